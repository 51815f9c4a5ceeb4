"""Training in bfloat16 on a CPU against float32."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.utils import digit_version
from torch import nn

import mmdet_owp.register  # noqa: F401
from mmdet_owp.engine import bfloat16
from mmdet_owp.engine.channels_last_hook import (
    ChannelsLastHook,
    to_channels_last,
)
from mmdet_owp.errors import UserError

pytestmark = pytest.mark.usefixtures('mmdet_scope')
needs_bfloat16 = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.0'),
    reason='no bfloat16 on a CPU before PyTorch 2',
)


@pytest.fixture
def any_machine(monkeypatch):
    """Let machines compute bfloat16 that are slow at it."""
    monkeypatch.setattr(bfloat16, 'bfloat16_problem', lambda: None)


@pytest.fixture(
    params=['fcos_iou_cs_is_joint_shapes', 'oln_box_cls_shapes'],
    ids=['one-stage', 'two-stage'],
)
def config(request, repo):
    """A method on a network of one tower and few channels."""
    config = Config.fromfile(repo / f'configs/shapes/{request.param}.py')
    config.model.backbone.init_cfg = None
    if 'roi_head' not in config.model:
        config.model.bbox_head.stacked_convs = 1
    return config


def build(config):
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    return model.train()


def batch():
    return demo_mm_inputs(
        2, [[3, 96, 128]] * 2, num_items=[3, 2], num_classes=8
    )


def step(model, settings):
    """Take a training step; return the logged losses."""
    wrapper = build_optim_wrapper(model, settings)
    torch.manual_seed(1)  # OLN samples RoIs
    return wrapper, model.train_step(batch(), wrapper)


def dtypes(model, kinds):
    """Record what modules of some kinds return, by their type."""
    seen = {}
    for module in model.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(
                lambda module, _, out: seen.setdefault(
                    type(module), set()
                ).add(out.dtype)
            )
    return seen


@needs_bfloat16
def test_step_is_that_of_float32(config, any_machine):
    model = build(config)
    fast = copy.deepcopy(model)
    seen = dtypes(fast, (nn.Conv2d, nn.Linear, SingleRoIExtractor))
    settings = dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.0), clip_grad=None
    )
    _, expected = step(model, settings)
    _, losses = step(fast, dict(settings, type='BFloat16OptimWrapper'))
    assert seen.pop(nn.Conv2d) == {torch.bfloat16}
    assert seen.pop(nn.Linear, {torch.bfloat16}) == {torch.bfloat16}
    # mmcv has no RoIAlign in bfloat16.
    assert seen.pop(SingleRoIExtractor, {torch.float32}) == {torch.float32}
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert losses[name].dtype == torch.float32
        assert losses[name].item() == pytest.approx(value.item(), rel=0.02)
    gradients = dict(fast.named_parameters())
    for name, weight in model.named_parameters():
        if weight.grad is None or not weight.grad.any():
            continue
        got = gradients[name].grad
        assert got.dtype == gradients[name].dtype == torch.float32
        cosine = torch.cosine_similarity(
            got.flatten(), weight.grad.flatten(), dim=0
        )
        assert cosine > 0.9, (name, cosine)


@needs_bfloat16
def test_accumulates_and_clips(config, any_machine):
    model = build(config)
    wrapper = build_optim_wrapper(
        model,
        dict(
            type='BFloat16OptimWrapper',
            optimizer=dict(type='SGD', lr=1.0),
            accumulative_counts=2,
            clip_grad=dict(max_norm=1e-3),
        ),
    )
    wrapper.initialize_count_status(model, 0, 4)
    before = copy.deepcopy(model.state_dict())
    weights = [name for name, p in model.named_parameters() if p.requires_grad]
    moved = []
    for _ in range(2):
        model.train_step(batch(), wrapper)
        after = model.state_dict()
        squares = [(after[n] - before[n]).square().sum() for n in weights]
        moved.append(sum(squares).sqrt().item())
    assert moved == [0, pytest.approx(1e-3, rel=0.01)]
    # Checkpoints are those of float32.
    assert wrapper.state_dict().keys() == wrapper.optimizer.state_dict().keys()


@pytest.mark.parametrize('flags, version, reason', [
    ('flags\t: sse avx512f avx512_bf16', '2.1.2', None),
    ('Features\t: fp asimd bf16', '2.13.0+cpu', None),
    ('flags\t: sse avx512f', '2.1.2', 'the processor has no bfloat16'),
    ('flags\t: avx512_bf16', '1.13.1', 'on a CPU it needs torch 2.0'),
])  # fmt: skip
def test_processors(monkeypatch, tmp_path, flags, version, reason):
    (tmp_path / 'cpuinfo').write_text(f'processor\t: 0\n{flags}\n\n')
    monkeypatch.setattr(bfloat16, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(bfloat16, '_CPU_INFO', tmp_path / 'cpuinfo')
    monkeypatch.setattr(torch, '__version__', version)
    if reason is None:
        assert bfloat16.bfloat16_problem() is None
        bfloat16.check_bfloat16()
    else:
        assert bfloat16.bfloat16_problem().startswith(reason)
        with pytest.raises(UserError, match=f'bfloat16: {reason}'):
            bfloat16.check_bfloat16()


def test_machine_that_does_not_say(monkeypatch, tmp_path):
    monkeypatch.setattr(bfloat16, '_CPU_INFO', tmp_path / 'none')
    assert bfloat16._processor_flags() == set()


def test_channels_last_changes_nothing_but_memory(config):
    """mmcv's RoIAlign reads channels-last maps as if they were contiguous."""
    model = build(config)
    other = copy.deepcopy(model)
    to_channels_last(other)
    inputs = []
    other.neck.register_forward_pre_hook(
        lambda module, args: inputs.extend(args[0])
    )
    settings = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    _, expected = step(model, settings)
    wrapper, losses = step(other, settings)
    for level in inputs:
        assert level.is_contiguous(memory_format=torch.channels_last)
        assert not level.is_contiguous()
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-4)
    wanted, weights = model.state_dict(), other.state_dict()
    for name, value in weights.items():
        torch.testing.assert_close(
            value, wanted[name], rtol=1e-3, atol=1e-4, msg=name
        )
    checkpoint = dict(state_dict=weights)
    assert not weights['neck.fpn_convs.0.conv.weight'].is_contiguous()
    ChannelsLastHook().before_save_checkpoint(None, checkpoint)
    for name, value in checkpoint['state_dict'].items():
        assert value.is_contiguous() and value.equal(weights[name])


class Deformed(nn.Sequential):
    def __init__(self, kind):
        super().__init__(
            nn.Conv2d(3, 8, 3),
            MODELS.get(kind)(8, 8, 3, padding=1),
            nn.Conv2d(8, 4, 3),
        )


@pytest.mark.parametrize('kind', ['DCN', 'DCNv2'])
def test_deformable_convolutions_stay_right(kind):
    torch.manual_seed(0)
    model = Deformed(kind)
    nn.init.normal_(model[1].conv_offset.weight, std=0.1)
    other = copy.deepcopy(model)
    runner = SimpleNamespace(model=nn.ModuleDict(dict(module=other)))
    ChannelsLastHook().before_run(runner)
    images, wanted = torch.rand(2, 3, 24, 20), None
    for one in (model, other):
        one(images).square().sum().backward()
        gradients = [weight.grad for weight in one.parameters()]
        wanted = wanted or gradients
        for got, expected in zip(gradients, wanted):
            torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    assert other[2].weight.is_contiguous(memory_format=torch.channels_last)
    assert other[1].weight.is_contiguous()
