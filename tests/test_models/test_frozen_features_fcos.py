"""A detector with a frozen backbone and neck."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData

import mmdet_owp.register  # noqa: F401

REPO = Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures('mmdet_scope')


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    sample = DetDataSample(
        metainfo=dict(img_shape=(64, 64), scale_factor=(1.0, 1.0))
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[8.0, 8, 40, 50]]), labels=torch.tensor([seed])
    )
    return dict(
        inputs=[torch.randint(0, 256, (3, 64, 64), generator=generator)],
        data_samples=[sample],
    )


# Backbone and neck with batch norms, which have running statistics.
@pytest.mark.parametrize(
    'backbone, channels',
    [
        (None, [32, 64, 128]),
        (dict(type='MobileNetV2', out_indices=(1, 2, 4)), [24, 32, 96]),
    ],
)
@pytest.mark.parametrize(
    'optimizer',
    [
        dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.1),
        dict(type='AdamW', lr=0.01, weight_decay=0.1),
    ],
)
def test_only_the_head_moves(backbone, channels, optimizer):
    config = Config.fromfile(
        REPO / 'configs/shapes/fcos_iou_cs_is_joint_fb_shapes.py'
    )
    config.model.neck.update(in_channels=channels, norm_cfg=dict(type='BN'))
    if backbone is not None:
        config.model.backbone = backbone
    model = MODELS.build(config.model)
    model.init_weights()
    optim_wrapper = build_optim_wrapper(
        model, dict(type='OptimWrapper', optimizer=optimizer)
    )
    before = {k: v.clone() for k, v in model.state_dict().items()}
    for step in range(2):
        model.train()
        model.train_step(batch(step), optim_wrapper)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith('bbox_head')
    for name, value in model.state_dict().items():
        same = torch.equal(value, before[name])
        assert same != name.startswith('bbox_head'), name
