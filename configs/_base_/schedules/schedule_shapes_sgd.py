# OLN's solver on the built-in data: the rate is divided by ten after 6/8 and
# 7/8 of three epochs, which are 1203 iterations of 8 images.
_base_ = '../default_runtime.py'

max_epochs = 3
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001),
    clip_grad=dict(max_norm=10),
)
warmup = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0)
steps = dict(type='MultiStepLR', by_epoch=False, begin=0, end=1203, gamma=0.1)
param_scheduler = [dict(warmup, end=100), dict(steps, milestones=[902, 1053])]
# The paper's: 1000/90000 to warm up, divided after 60/90 and 80/90.
paper_scheduler = [dict(warmup, end=13), dict(steps, milestones=[802, 1069])]
auto_scale_lr = dict(enable=False, base_batch_size=8)
