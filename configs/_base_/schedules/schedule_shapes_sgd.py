# OLN's solver on the built-in data: its rate, divided by ten after 6/8 and
# 7/8 of three epochs, which are 1203 iterations of 8 images.
_base_ = './schedule_epochs.py'

optim_wrapper = dict(optimizer=dict(lr=0.02))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        by_epoch=False,
        begin=0,
        end=1203,
        milestones=[902, 1053],
        gamma=0.1)
]
