# SGD with the learning rate of Faster R-CNN and OLN: it trains two stages
# better than the solver of schedule_epochs.py.
_base_ = './schedule_epochs.py'

optim_wrapper = dict(
    optimizer=dict(
        _delete_=True, type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001
    )
)
