"""Refined boxes: sampled points, second boxes and gradients."""

from __future__ import annotations

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch.nn import functional as F

import mmdet_owp.register  # noqa: F401
from mmdet_owp.models.dense_heads.border_refinement import (
    BorderFeatures,
    border_points,
    move_sides,
)
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead

pytestmark = pytest.mark.usefixtures('mmdet_scope')

STRIDES = (8, 16)
SIZES = [(8, 12), (4, 6)]
TEST_CFG = ConfigDict(
    nms_pre=100,
    score_thr=0.0,
    nms=dict(type='nms', iou_threshold=0.6),
    max_per_img=100,
)
UNKNOWN = dict(type='UnknownMaskFocalLoss', threshold=0.5, mode='area')


def build(seed=0, **kwargs):
    """A head with initial weights, whose first boxes vary."""
    settings = dict(
        num_classes=5,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        strides=STRIDES,
        regress_ranges=((-1, 32), (32, 1e8)),
        norm_cfg=dict(type='GN', num_groups=4),
        norm_on_bbox=True,
        center_sampling=True,
        loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
        loss_cls=None,
        refine='border',
        test_cfg=TEST_CFG,
    )
    torch.manual_seed(seed)
    head = OWPFCOSHead(**{**settings, **kwargs})
    head.init_weights()
    torch.nn.init.normal_(head.conv_reg.weight, std=0.3)
    torch.nn.init.constant_(head.conv_reg.bias, 2.0)
    return head


def perturb(head):
    """Move the second boxes away from the first."""
    for parameter in (*head.border.parameters(), head.conv_refine.weight):
        torch.nn.init.normal_(parameter, std=0.3)
    return head


def inputs():
    torch.manual_seed(1)
    feats = [torch.randn(2, 8, *size) for size in SIZES]
    boxes = [[10, 8, 40, 30], [50, 10, 90, 60.0]], [[20, 20, 60, 50.0]]
    samples = []
    for of_image in boxes:
        sample = DetDataSample(metainfo=dict(img_shape=(64, 96)))
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(of_image), labels=torch.arange(len(of_image))
        )
        samples.append(sample)
    return feats, samples


def test_points_are_center_and_sides():
    """Maps of x and y, sampled there, return the points by brute force."""
    height, width, stride = 5, 7, 1.0
    torch.manual_seed(0)
    distances = torch.rand(2, 4, height, width) * 4
    x = (torch.arange(width) + 0.5).expand(height, width)
    y = (torch.arange(height) + 0.5)[:, None].expand(height, width)
    maps = torch.stack([x, y]).expand(2, -1, -1, -1)
    grid = border_points(distances)
    found = F.grid_sample(
        maps, grid.flatten(1, 2), padding_mode='border', align_corners=False
    ).unflatten(2, (5, height))
    for image in range(2):
        for row in range(height):
            for column in range(width):
                left, top, right, bottom = distances[image, :, row, column]
                at_x, at_y = column + 0.5 * stride, row + 0.5 * stride
                x1, y1, x2, y2 = (
                    at_x - left,
                    at_y - top,
                    at_x + right,
                    at_y + bottom,
                )
                middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
                points = torch.tensor(
                    [
                        (middle_x, middle_y),
                        (x1, middle_y),
                        (middle_x, y1),
                        (x2, middle_y),
                        (middle_x, y2),
                    ]
                )
                # Beyond the centers of the outer cells the map is constant.
                limit = torch.tensor([width - 0.5, height - 0.5])
                expected = points.clamp(min=0.5).minimum(limit)
                torch.testing.assert_close(
                    found[image, :, :, row, column].t(), expected
                )


def test_features_keep_the_order_of_the_points():
    """The merging convolution gets channel after channel, five samples each.

    An empty box samples its own location five times.
    """
    torch.manual_seed(0)
    features, feature = BorderFeatures(3), torch.randn(2, 3, 4, 6)
    merged = features(feature, torch.zeros(2, 4, 4, 6))
    weight = features.merge.conv.weight.view(3, 3, 5).sum(2)[..., None, None]
    expected = F.conv2d(feature, weight, features.merge.conv.bias).relu()
    torch.testing.assert_close(merged, expected)


def test_sides_move_by_shares_of_the_size():
    """A box of 4 x 6; the left side would pass the location."""
    distances = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
    shares = torch.tensor([-0.5, 0.5, 0.0, -0.25]).view(1, 4, 1, 1)
    moved = move_sides(distances, shares).flatten().tolist()
    assert moved == [0.0, 5.0, 3.0, 2.5]


@pytest.mark.parametrize('norm_on_bbox', [True, False])
def test_second_box_starts_from_the_first(norm_on_bbox):
    plain = build(refine=None, norm_on_bbox=norm_on_bbox)
    refined = build(norm_on_bbox=norm_on_bbox)
    added = refined.state_dict().keys() - plain.state_dict().keys()
    assert {key.split('.')[0] for key in added} == {'border', 'conv_refine'}
    refined.load_state_dict(plain.state_dict(), strict=False)
    feats, _ = inputs()
    for training in (True, False):
        _, expected, _ = plain.train(training)(feats)
        _, distances, _ = refined.train(training)(feats)
        for one, other in zip(distances, expected):
            for boxes in one.split(4, dim=1):
                assert torch.equal(boxes, other)
            assert one.shape[1] == (8 if training else 4)


@pytest.mark.parametrize('norm_on_bbox', [True, False])
def test_boxes_do_not_depend_on_the_mode(norm_on_bbox):
    """In pixels in test; the cue and the second box see the same features."""
    head = perturb(build(norm_on_bbox=norm_on_bbox, conditional='tower'))
    feats, _ = inputs()
    with torch.no_grad():
        _, training, cues = head.train()(feats)
        _, test, test_cues = head.eval()(feats)
    for level, stride in enumerate(STRIDES):
        unit = stride if norm_on_bbox else 1
        boxes, first = training[level].split(4, dim=1)
        torch.testing.assert_close(test[level], boxes * unit)
        torch.testing.assert_close(test_cues[level], cues[level])
        assert (boxes != first)[first > 0].float().mean() > 0.9


def test_cue_and_second_loss_measure_the_second_box():
    """One box, (1, 2, 10, 8), at (4, 4); the first is 4 pixels to each side.

    Overlap 42 of a union of 76 in 80. The second box is exact.
    """
    head = build(regress_ranges=((-1, 64), (64, 1e8)))
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    for scale in head.scales:
        torch.nn.init.ones_(scale.scale)
    with torch.no_grad():
        head.conv_reg.bias.fill_(0.5)
        head.conv_refine.bias.copy_(torch.tensor([-1, -2, 2, 0]) / 8)
        head.conv_iou.bias.fill_(0.3)
    feats, (sample, _) = inputs()
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[1, 2, 10, 8.0]]), labels=torch.zeros(1).long()
    )
    losses = head.loss([feature[:1] for feature in feats], [sample])
    assert float(losses['loss_bbox']) == pytest.approx(1 - (42 / 76 - 4 / 80))
    assert float(losses['loss_bbox_refine']) == pytest.approx(0, abs=1e-6)
    logit = torch.tensor(0.3)
    expected = -torch.log(logit.sigmoid())  # target 1
    assert float(losses['loss_iou']) == pytest.approx(float(expected))


def test_loss_of_the_second_box():
    """Its own, or that of the first."""
    feats, samples = inputs()
    default, own = (
        perturb(build(loss_bbox_refine=loss)).loss(feats, samples)
        for loss in (None, dict(type='GIoULoss', loss_weight=3.0))
    )
    assert torch.equal(default['loss_bbox'], own['loss_bbox'])
    torch.testing.assert_close(
        3 * default['loss_bbox_refine'], own['loss_bbox_refine']
    )


def test_gradients():
    """The first box learns from its own loss alone."""
    feats, samples = inputs()
    first = ('conv_reg', 'scales')
    second = ('border', 'conv_refine')
    for name, reached, spared in (
        ('loss_bbox', ('reg_convs', *first), (*second, 'conv_iou')),
        ('loss_bbox_refine', ('reg_convs', *second), (*first, 'conv_iou')),
        ('loss_iou', ('reg_convs', 'border', 'conv_iou'), first),
    ):
        head = perturb(build())
        head.loss(feats, samples)[name].backward()
        for key, parameter in head.named_parameters():
            moved = parameter.grad is not None and parameter.grad.any()
            assert not (key.startswith(spared) and moved), (name, key)
            if key.startswith(reached) and parameter.dim() > 1:
                assert moved, (name, key)


def test_every_parameter_gets_a_gradient():
    """With initial weights and no objects too, as DDP requires."""
    feats, samples = inputs()
    for sample in samples:
        sample.gt_instances = sample.gt_instances[:0]
    head = build(objectness=('iou', 'presence'), presence_convs=1)
    sum(head.loss(feats, samples).values()).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_frozen_with_masking():
    """Areas are the second boxes; nothing of them is trained."""
    head = perturb(
        build(freeze_regression=True, loss_cls=UNKNOWN, refine='border')
    )
    feats, samples = inputs()
    losses = head.train().loss(feats, samples)
    assert 'loss_cls' in losses and 'loss_bbox_refine' not in losses
    losses['loss_cls'].backward()
    for name, parameter in head.named_parameters():
        assert (parameter.grad is not None) == ('cls' in name), name

    gt_boxes = [sample.gt_instances.bboxes for sample in samples]
    areas = []
    for mode in (True, False):
        _, *outs = head.train(mode)(feats)
        areas.append(head.masking_inputs(head.masking, *outs, gt_boxes).boxes)
    torch.testing.assert_close(*areas)
    head.predict(feats, samples)
    for sample in samples:
        assert len(sample.proposals) > 0
