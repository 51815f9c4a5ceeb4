# What LVIS changes of a detector, for `model`, which a file of its own can't
# set, as two bases can't share a key.
lvis_classes = dict(num_classes=1103)
lvis_test_cfg = dict(score_thr=0.0001, max_per_img=300)
