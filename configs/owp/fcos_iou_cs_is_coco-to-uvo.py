# Trained on the 20 VOC classes of COCO, tested on UVO.
_base_ = ['./fcos_iou_cs_is_coco.py', '../_base_/datasets/uvo.py']

test_dataloader = _base_.uvo_dataloader
test_evaluator = _base_.uvo_evaluator
