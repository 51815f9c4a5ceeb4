# For small data sets: six epochs of AdamW with a cosine schedule.
_base_ = '../default_runtime.py'

max_epochs = 6
train_cfg = dict(
    type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05),
    clip_grad=dict(max_norm=10),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(
        type='CosineAnnealingLR',
        by_epoch=True,
        convert_to_iter_based=True,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        eta_min_ratio=0.01,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
# optim_wrapper.optimizer: that of Faster R-CNN and OLN, which trains two
# stages better. The rate is theirs for batches of 16; here a batch is 8.
sgd = dict(
    _delete_=True, type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001
)
