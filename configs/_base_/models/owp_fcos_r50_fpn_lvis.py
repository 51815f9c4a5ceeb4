# The proposer with the classes and thresholds of LVIS.
_base_ = './owp_fcos_r50_fpn.py'

model = dict(
    bbox_head=dict(num_classes=1103),
    test_cfg=dict(score_thr=0.0001, max_per_img=300),
)
