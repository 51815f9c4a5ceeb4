# tools/test.py --tta: two sizes of each image.
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='Resize', scale=(1333, 800), keep_ratio=True),
                dict(type='Resize', scale=(2000, 1200), keep_ratio=True),
            ],
            [dict(type='RandomFlip', prob=0.0)],
            [dict(type='PackDetInputs')],
        ],
    ),
]
