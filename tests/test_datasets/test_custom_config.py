"""The written config builds, trains and is evaluated, whatever its parent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from mmdet_owp.datasets.custom_config import config_text
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import resolve_partition

CONFIGS = Path(__file__).parents[2] / 'configs'
BASE = ['rectangle', 'ring', 'star']


@pytest.fixture(scope='module')
def write(shapes_dir, tmp_path_factory):
    """Write the config for the built-in data, return its path."""
    folder = tmp_path_factory.mktemp('written')
    ann_files = [
        str(shapes_dir / f'annotations/instances_{part}.json')
        for part in ('train', 'val')
    ]
    images = [str(shapes_dir / part) for part in ('train', 'val')]
    categories = json.loads(Path(ann_files[0]).read_text())['categories']
    partition = resolve_partition(BASE, categories, 'train')

    def write_config(parent) -> Path:
        path = folder / Path(parent).name
        text = config_text(
            ann_files, images, partition, str(parent), str(folder)
        )
        path.write_text(text)
        return path

    return write_config


def one_class(name):
    return name.startswith('class_agnostic')


@pytest.mark.slow
@pytest.mark.parametrize(
    'parent',
    [
        'shapes/fcos_shapes.py',
        'shapes/fcos_iou_cs_is_finetune_unknown_shapes.py',
        'shapes/oln_box_shapes.py',
        'shapes/oln_box_cls_shapes.py',
        'shapes/oln_rpn_shapes.py',
        'shapes/class_agnostic_faster_rcnn_shapes.py',
        'shapes/class_agnostic_rpn_shapes.py',
        'coco_mini/oln_box_cls_mobilenetv2_coco-mini.py',
        'owp/fcos_iou_cs_is_coco80-to-uvo.py',
        'owp_cls/fcos_iou_cs_is_joint_lvis.py',
        'oln/oln_box_cls_coco.py',
    ],
)
def test_trains_and_is_evaluated(write, mmdet_scope, parent):
    from mmdet.registry import DATASETS, MODELS
    from mmengine.config import Config
    from mmengine.dataset import pseudo_collate
    from mmengine.evaluator import Evaluator

    import mmdet_owp.register  # noqa: F401

    cfg = Config.fromfile(write(CONFIGS / parent))
    cfg.model.backbone.init_cfg = None
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()

    def batch(split):
        dataset = cfg[f'{split}_dataloader'].dataset
        for transform in dataset.pipeline:
            if transform['type'] == 'Resize':
                transform['scale'] = (128, 128)
        dataset = DATASETS.build(dataset)
        names = tuple(BASE)
        if one_class(Path(parent).name):
            names = ('object',)
        assert dataset.metainfo['classes'] == names
        return dataset, pseudo_collate([dataset[0], dataset[1]])

    data = model.data_preprocessor(batch('train')[1], True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    for split in ('val', 'test'):
        dataset, data = batch(split)
        with torch.no_grad():
            samples = model.eval().test_step(data)
        evaluator = Evaluator(cfg[f'{split}_evaluator'])
        evaluator.dataset_meta = dataset.metainfo
        evaluator.process(samples, data)
        metrics = evaluator.evaluate(len(samples))
        assert any('AR@100' in name for name in metrics)


@pytest.mark.slow
def test_heads_have_the_classes(write, mmdet_scope):
    """Of every detector, unless it has one class."""
    from mmdet.registry import MODELS
    from mmengine.config import Config

    import mmdet_owp.register  # noqa: F401

    folders = ('shapes', 'oln', 'fast_rcnn')
    parents = [p for name in folders for p in CONFIGS.glob(f'{name}/*.py')]
    assert len(parents) > 30
    for parent in parents:
        model = Config.fromfile(write(parent)).model
        head = model.get('bbox_head') or (model.roi_head or {}).get(
            'bbox_head'
        )
        if head is not None:
            num_classes = 1 if one_class(parent.name) else len(BASE)
            assert head.num_classes == num_classes, parent
        MODELS.build(model)


@pytest.mark.parametrize('text, message', [
    (None, 'no such config; give --parent a file of configs/'),
    ('model = (', 'not a config of a detector .*; give another --parent'),
    ('model = dict()', 'not a config of a detector .*train_dataloader'),
    ('model = dict(roi_head=dict(bbox_head=[dict(num_classes=2)]))\n'
     "test_dataloader = dict(dataset=dict(type='A', ann_file=''))\n"
     'train_dataloader = val_dataloader = test_dataloader',
     'not a config of a detector .*the heads in bbox_head are a list'),
    ('model = dict()\n'
     "test_dataloader = dict(dataset=dict(type='RepeatDataset'))\n"
     'train_dataloader = val_dataloader = test_dataloader',
     r'its data set is a wrapper of others \(RepeatDataset\)'),
])  # fmt: skip
def test_bad_parent(write, tmp_path, text, message):
    path = tmp_path / 'parent.py'
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        write(path)
    assert str(error.value).startswith(str(path))
    assert '\n' not in str(error.value)
