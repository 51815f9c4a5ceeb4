# Pipelines of small photographs, at 256 pixels.
_base_ = 'mmdet::_base_/datasets/coco_detection.py'

image_size = (256, 256)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
pack_unflipped = dict(
    type='PackDetInputs',
    meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'),
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    pack_unflipped,
]
# tools/test.py --tta: two sizes of each image.
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=image_size, keep_ratio=True),
                dict(type='Resize', scale=(512, 512), keep_ratio=True),
            ],
            [dict(type='RandomFlip', prob=0.0)],
            [dict(type='PackDetInputs')],
        ],
    ),
]
loader = dict(batch_size=8, num_workers=1, persistent_workers=False)
