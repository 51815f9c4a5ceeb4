"""Compiled parts against the original detector."""

import copy
import shutil
from functools import partialmethod
from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

import mmdet_owp.register  # noqa: F401
from mmdet_owp.engine.compile_hook import CompileHook, compile_parts

pytestmark = pytest.mark.usefixtures('mmdet_scope')


@pytest.fixture
def model(tiny_config):
    """A tiny joint model with all towers and refined boxes on three levels."""
    torch.manual_seed(0)
    config = Config.fromfile(tiny_config('fcos_iou_cs_is_joint_shapes'))
    config.model.bbox_head.update(
        refine='border', objectness=('iou', 'presence'), presence_convs=1
    )
    model = MODELS.build(config.model)
    model.init_weights()
    return model


def outputs_and_gradients(model, size):
    """Outputs of the head and gradients of all weights."""
    torch.manual_seed(1)
    model.zero_grad()
    outs = model(torch.rand(2, 3, *size), mode='tensor')
    outs = [level for kind in outs for level in kind]
    sum((out * torch.rand_like(out)).sum() for out in outs).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return outs, {n: g for n, g in gradients.items() if g is not None}


def assert_same(model, compiled, size):
    outs, gradients = outputs_and_gradients(model, size)
    got, got_gradients = outputs_and_gradients(compiled, size)
    assert len(got) == len(outs)
    for expected, out in zip(outs, got):
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == got_gradients.keys()
    for name, expected in gradients.items():
        # Sums over locations, in another order.
        scale = expected.abs().max().clamp(min=1)
        torch.testing.assert_close(
            got_gradients[name] / scale, expected / scale, rtol=1e-3, atol=1e-4
        )


@pytest.fixture
def graphs(monkeypatch):
    """Run compiled graphs as they are and collect them."""
    graphs = []
    torch.compiler.reset()  # of tests that compiled the same functions

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(
        torch.nn.Module,
        'compile',
        partialmethod(torch.nn.Module.compile, backend=backend),
    )
    return graphs


@pytest.mark.slow
def test_compiled_parts_are_the_model(model, graphs):
    """Same outputs, gradients and names of weights, at any image size."""
    compiled = copy.deepcopy(model)
    assert compile_parts(compiled) == [
        'backbone',
        'neck',
        'bbox_head.cls_convs',
        'bbox_head.reg_convs',
        'bbox_head.border.merge',
        'bbox_head.presence_tower',
    ]
    assert compiled.state_dict().keys() == model.state_dict().keys()
    compiled.load_state_dict(model.state_dict())
    assert_same(model, compiled, (64, 96))
    assert len(graphs) >= 3  # backbone, neck and what the towers share
    assert_same(model, compiled, (96, 64))
    num_graphs = len(graphs)
    assert_same(model, compiled, (160, 128))
    assert len(graphs) == num_graphs  # further sizes need no further graph


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which('c++') is None and shutil.which('g++') is None,
    reason='torch.compile needs a C++ compiler on a CPU',
)
def test_inductor(model):
    """Code that torch generates for a tower."""
    compiled = copy.deepcopy(model)
    compile_parts(compiled, ['bbox_head.reg_convs'])
    assert_same(model, compiled, (64, 96))


def test_hook(model, monkeypatch):
    compiled, messages = [], []
    monkeypatch.setattr(
        torch.nn.Module, 'compile', lambda m, **_: compiled.append(m)
    )
    logger = SimpleNamespace(info=messages.append)
    CompileHook(['neck']).before_run(
        SimpleNamespace(model=model, logger=logger)
    )
    assert 'neck' in messages[0]
    assert compiled == [model.neck]
    # Parts that a proposer lacks are an error only if they are named.
    del model.bbox_head.cls_convs
    assert 'bbox_head.cls_convs' not in compile_parts(model)
    with pytest.raises(ValueError, match="no part 'bbox_head.cls_convs'"):
        compile_parts(model, ['bbox_head.cls_convs'])
