# Novel classes by image count, not by id.
_base_ = './fcos_iou_cs_is_lvis.py'

train_dataloader = _base_.by_count
val_dataloader = _base_.by_count
test_dataloader = _base_.by_count
val_evaluator = [
    dict(metric, partition='lvis-count') for metric in _base_.val_evaluator
]
test_evaluator = val_evaluator
