_base_ = 'mmdet::_base_/default_runtime.py'

custom_imports = dict(imports=['mmdet_owp.register'])
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# tools/test.py --tta, with the tta_pipeline of the data set.
tta_model = dict(
    type='ProposalTTAModel',
    tta_cfg=dict(
        proposals=dict(
            nms=dict(type='nms', iou_threshold=0.7, split_thr=100000),
            max_per_img=1500,
        )
    ),
)
# The hook deletes the old checkpoint before it writes the new one: with two
# kept, a run that is killed in between still has one.
default_hooks = dict(
    checkpoint=dict(max_keep_ckpts=2),
    resume_match=dict(type='ResumeMatchHook'),
)
