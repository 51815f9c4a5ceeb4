# IoU-CS-IS trained on the 20 VOC classes of COCO, tested on UVO.
_base_ = [
    '../_base_/models/owp_fcos_r50_fpn.py',
    '../_base_/datasets/coco_voc.py',
    '../_base_/schedules/schedule_90k.py',
    '../_base_/methods.py',
]

model = dict(bbox_head=_base_.iou_cs_is)
test_dataloader, test_evaluator = _base_.uvo
