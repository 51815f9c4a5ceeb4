# The paper's solver, in iterations of 16 images (its "epochs"). As in the
# improved FCOS it follows, the weights of norms do not decay.
_base_ = '../default_runtime.py'

max_iters = 90000
train_cfg = dict(
    type='ResumableIterBasedTrainLoop', max_iters=max_iters, val_interval=10000
)
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MergedGroupsConstructor',
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
warmup = dict(
    type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000
)
steps = dict(type='MultiStepLR', by_epoch=False, begin=0, gamma=0.1)
param_scheduler = [
    warmup,
    dict(steps, end=max_iters, milestones=[60000, 80000]),
]
# train_cfg, param_scheduler: a fifth of it, 17 epochs of PASCAL VOC 07+12.
schedule_18k = (
    dict(max_iters=18000, val_interval=6000),
    [warmup, dict(steps, end=18000, milestones=[12000, 16000])],
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
