"""Operators and host waits of the loss, counted as the benchmark does."""

import pytest
import torch
from mmengine.structures import InstanceData

import mmdet_owp.register  # noqa: F401
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead
from mmdet_owp.models.task_modules.locations import location_grid
from mmdet_owp.reproduction.profiling import count_operators, count_waits

pytestmark = pytest.mark.usefixtures('mmdet_scope')

SIZES = [(32, 32), (16, 16), (8, 8), (4, 4), (2, 2)]


def unknown(mode):
    return dict(type='UnknownMaskFocalLoss', threshold=0.5, mode=mode)


def random_truth(generator, num):
    center = torch.rand(num, 2, generator=generator) * 256
    half = torch.exp(torch.rand(num, 2, generator=generator) * 4 + 0.5)
    boxes = torch.cat([center - half, center + half], 1)
    labels = torch.randint(20, (num,), generator=generator)
    return InstanceData(bboxes=boxes, labels=labels)


def prepare(num_crowds=0, **arguments):
    """The loss of two images, as a function."""
    torch.manual_seed(0)
    head = OWPFCOSHead(
        20,
        16,
        feat_channels=16,
        stacked_convs=1,
        norm_cfg=dict(type='GN', num_groups=4),
        norm_on_bbox=True,
        center_sampling=True,
        loss_bbox=dict(type='GIoULoss'),
        sampler=dict(type='IoUSampler', candidates='center+hard', iou_thr=0.3),
        **arguments,
    )
    generator = torch.Generator().manual_seed(0)
    outs = head([torch.randn(2, 16, *s, generator=generator) for s in SIZES])
    truth = [random_truth(generator, 7) for _ in range(2)]
    crowds = [random_truth(generator, num_crowds) for _ in range(2)]
    return lambda: head.loss_by_feat(*outs, truth, [{}] * 2, crowds)


@pytest.mark.parametrize(
    'arguments, most, waits',
    [
        (dict(loss_cls=None), 200, dict(nonzero=1)),
        (dict(), 240, dict(nonzero=1)),
        (dict(num_crowds=1), 300, dict(nonzero=1)),
        (dict(loss_cls=unknown('pixel')), 330, dict(nonzero=1)),
        (dict(loss_cls=unknown('area')), 400, dict(nonzero=2)),
    ],
    ids=['proposer', 'joint', 'crowd', 'pixel', 'area'],
)
def test_goals(arguments, most, waits):
    """At most so many operators; no copies from the host but at first."""
    loss = prepare(**arguments)
    assert 100 < count_operators(loss) <= most
    assert count_waits(loss) == waits


def test_operators_by_hand():
    x = torch.rand(4, 6)

    def work():
        y = x[:, :3].t().unsqueeze(0) + 1  # views, then a sum
        torch.empty(3).copy_(y.sum((0, 2))).reshape(3, 1)

    assert count_operators(work) == 3


def test_constants_made_in_inference_mode_serve_training():
    sizes, strides = [(3, 5)], [17]
    with torch.inference_mode():
        grid = location_grid(sizes, strides, 1, torch.device('cpu'))
    assert not grid.points.is_inference()
    x = torch.ones(15, 2, requires_grad=True)
    (x * grid.points).sum().backward()  # saved for backward
    assert torch.equal(x.grad, grid.points)
    assert grid.points[7].tolist() == [2.5 * 17, 1.5 * 17]
    again = location_grid(sizes, strides, 1, torch.device('cpu'))
    assert again.points is grid.points
