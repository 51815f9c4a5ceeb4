"""Box loss and IoU computed together, against mmdet's own, to the bit."""

import pytest
import torch
from mmdet.models.losses import GIoULoss, IoULoss
from mmdet.structures.bbox import bbox_overlaps

from mmdet_owp.models.losses.box_loss import aligned_overlaps, box_loss


def random_boxes(seed, n=300):
    """Pairs of boxes: apart, nested, equal, without area, inverted, tiny."""
    generator = torch.Generator().manual_seed(seed)
    center = torch.rand(2, n, 2, generator=generator) * 100
    half = torch.exp(torch.rand(2, n, 2, generator=generator) * 8 - 3)
    boxes, others = torch.cat([center - half, center + half], 2)
    boxes[:20] = others[:20]
    boxes[20:40, 2:] = boxes[20:40, :2]
    others[30:50, 2] = others[30:50, 0]
    boxes[50:60] = boxes[50:60, [2, 3, 0, 1]]
    boxes[60:80] *= 1e-5
    others[70:90] *= 1e-5
    return boxes, others


@pytest.mark.parametrize('seed', range(5))
def test_overlaps_are_those_of_mmdet(seed):
    boxes, others = random_boxes(seed)
    ious, gious = aligned_overlaps(boxes, others)
    for mode, value in (('iou', ious), ('giou', gious)):
        expected = bbox_overlaps(boxes, others, mode, is_aligned=True)
        assert torch.equal(value, expected)


@pytest.mark.parametrize(
    'loss',
    [
        GIoULoss(),
        GIoULoss(loss_weight=2.5),
        GIoULoss(eps=1e-3),  # not shared
        IoULoss(),
    ],
)
@pytest.mark.parametrize('positive', [0.5, 0])
@pytest.mark.parametrize('n', [300, 0])
def test_loss_and_gradient_are_those_of_mmdet(loss, positive, n):
    """With few, no positive weights, and no boxes at all."""
    results = []
    for ours in (True, False):
        boxes, others = (b[:n] for b in random_boxes(7))
        boxes.requires_grad_()
        weight = torch.rand(n, generator=torch.Generator().manual_seed(1))
        weight, factor = weight * (weight < positive), torch.tensor(7.0)
        if ours:
            value, ious = box_loss(loss, boxes, others, weight, factor)
            assert not ious.requires_grad
        else:
            value = loss(boxes, others, weight, avg_factor=factor)
            ious = bbox_overlaps(boxes.detach(), others, is_aligned=True)
        value.backward()
        results.append((value, ious, boxes.grad))
    for mine, theirs in zip(*results):
        assert torch.equal(mine, theirs)
