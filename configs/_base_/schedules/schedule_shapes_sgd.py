# OLN's solver on the built-in data: its rate, divided by ten after 6/8 and
# 7/8 of three epochs, which are 1203 iterations of 8 images.
_base_ = './schedule_8e.py'

max_epochs = 3
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

# As the other schedules of three epochs.
optim_wrapper = dict(clip_grad=dict(_delete_=True, max_norm=10))
param_scheduler = [
    dict(_base_.param_scheduler[0], end=100),
    dict(
        _base_.param_scheduler[1],
        by_epoch=False,
        end=1203,
        milestones=[902, 1053],
    ),
]
auto_scale_lr = dict(base_batch_size=8)
