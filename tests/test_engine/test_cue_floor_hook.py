"""The floor is the entropy of the targets; training does not change."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from mmdet_owp.engine.cue_floor_hook import CueFloorHook
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead

pytestmark = pytest.mark.usefixtures('mmdet_scope')
runs = itertools.count()


def make(**options):
    """A tiny head in the parts of a runner that the hook uses."""
    torch.manual_seed(0)
    tiny = dict(feat_channels=8, stacked_convs=1, norm_cfg=None, loss_cls=None)
    tiny.update(strides=(8, 16), regress_ranges=((-1, 32), (32, 1e8)))
    tiny.update(norm_on_bbox=True, center_sampling=True)
    head = OWPFCOSHead(3, 8, **{**tiny, **options})
    hub = MessageHub.get_instance(f'floor_{next(runs)}')
    model = SimpleNamespace(bbox_head=head)
    return SimpleNamespace(model=model, message_hub=hub)


def loss(runner):
    torch.manual_seed(1)
    feats = [torch.rand(2, 8, s, s) for s in (8, 4)]
    objects = InstanceData(
        bboxes=torch.tensor([[3.0, 5, 40, 33], [20, 20, 62, 60]]),
        labels=torch.tensor([0, 2]),
    )
    head = runner.model.bbox_head
    return head.loss_by_feat(*head(feats), [objects, objects[:1]], [{}, {}])


@pytest.mark.parametrize('candidates', ['center', 'center+hard', 'all'])
def test_entropy_of_the_targets(candidates):
    sampler = dict(type='IoUSampler', candidates=candidates, iou_thr=0.1)
    runner = make(objectness=('centerness', 'iou'), sampler=sampler)
    unwatched = loss(runner)
    hook = CueFloorHook()
    hook.before_train(runner)
    # The weights and the divisor, from the arguments of the loss.
    calls = []
    runner.model.bbox_head.loss_objectness.register_forward_pre_hook(
        lambda module, args, kwargs: calls.append((args, kwargs)),
        with_kwargs=True,
    )
    watched = loss(runner)
    for name, value in unwatched.items():
        assert torch.equal(watched[name], value)
    hook.after_train_iter(runner, 0)
    assert len(calls) == 2
    for cue, (args, kwargs) in zip(('centerness', 'iou'), calls):
        t = args[1].double()
        weight = torch.ones_like(t) if args[2] is None else args[2]
        entropy = -torch.xlogy(t, t) - torch.xlogy(1 - t, 1 - t)
        expected = float((entropy * weight).sum() / kwargs['avg_factor'])
        floor = runner.message_hub.get_scalar(f'train/floor_loss_{cue}')
        assert floor.current() == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert 0 < floor.current() < float(watched[f'loss_{cue}'])
    hook.after_train(runner)
    loss(runner)
    hook.after_train_iter(runner, 1)
    assert len(floor.data[0]) == 1


def test_centerness_by_hand():
    """A box of 24 x 16: its four locations are (8, 16) from the sides."""
    runner = make(
        objectness=('centerness',),
        center_sampling=False,
        strides=(8,),
        regress_ranges=((-1, 1e8),),
    )
    hook = CueFloorHook()
    hook.before_train(runner)
    head = runner.model.bbox_head
    objects = InstanceData(
        bboxes=torch.tensor([[4.0, 8, 28, 24]]), labels=torch.tensor([0])
    )
    # Inside are the locations at x 12 and 20, y 12 and 20.
    head.loss_by_feat(*head([torch.rand(1, 8, 4, 4)]), [objects], [{}])
    hook.after_train_iter(runner, 0)
    c = np.sqrt(8 / 16 * 4 / 12)
    expected = -c * np.log(c) - (1 - c) * np.log(1 - c)
    floor = runner.message_hub.get_scalar('train/floor_loss_centerness')
    assert floor.current() == pytest.approx(expected, rel=1e-5)


def test_frozen_head_has_no_floor():
    runner = make(loss_cls=dict(type='FocalLoss'), freeze_regression=True)
    hook = CueFloorHook()
    hook.before_train(runner)
    loss(runner)
    hook.after_train_iter(runner, 0)
    assert not runner.message_hub.log_scalars


def test_what_has_no_floor_is_refused():
    runner = make(loss_objectness=dict(type='FocalLoss'))
    with pytest.raises(ValueError, match='only a binary cross entropy'):
        CueFloorHook().before_train(runner)
    runner.model.bbox_head = torch.nn.Identity()
    with pytest.raises(ValueError, match='must be an OWPFCOSHead'):
        CueFloorHook().before_train(runner)
