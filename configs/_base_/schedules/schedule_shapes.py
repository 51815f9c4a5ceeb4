# Three epochs from scratch, at the high rate that AdamW allows.
_base_ = './schedule_epochs.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=0.006, weight_decay=0.05)
)
