"""Compiled parts against the detector as it is."""

import copy
import shutil

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

import mmdet_owp.register  # noqa: F401
from mmdet_owp.engine.compile_hook import CompileHook, compile_parts

pytestmark = pytest.mark.usefixtures('mmdet_scope')


@pytest.fixture
def model(tiny_config):
    """A tiny joint model, whose two towers are run on three levels."""
    torch.manual_seed(0)
    config = Config.fromfile(tiny_config('fcos_iou_cs_is_joint_shapes'))
    model = MODELS.build(config.model)
    model.init_weights()
    return model


def outputs_and_gradients(model, size):
    """Maps of the head and the gradient of all weights by all of them."""
    torch.manual_seed(1)
    model.zero_grad()
    outs = model(torch.rand(2, 3, *size), mode='tensor')
    outs = [level for kind in outs for level in kind]
    sum((out * torch.rand_like(out)).sum() for out in outs).backward()
    return outs, {
        name: p.grad
        for name, p in model.named_parameters()
        if p.grad is not None
    }


def assert_same(model, compiled, size):
    outs, gradients = outputs_and_gradients(model, size)
    got, got_gradients = outputs_and_gradients(compiled, size)
    for expected, out in zip(outs, got, strict=True):
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == got_gradients.keys()
    for name, expected in gradients.items():
        # Sums over locations, in another order.
        scale = expected.abs().max().clamp(min=1)
        torch.testing.assert_close(
            got_gradients[name] / scale, expected / scale, rtol=1e-3, atol=1e-4
        )


def test_compiled_parts_are_the_model(model):
    """Same outputs, gradients and names of weights, at any image size."""
    compiled = copy.deepcopy(model)
    calls = []

    def backend(graph, inputs):
        calls.append(graph)
        return graph.forward

    done = compile_parts(compiled, backend=backend)
    assert done == [
        'backbone',
        'neck',
        'bbox_head.cls_convs',
        'bbox_head.reg_convs',
    ]
    assert compiled.state_dict().keys() == model.state_dict().keys()
    compiled.load_state_dict(model.state_dict())
    assert_same(model, compiled, (64, 96))
    assert len(calls) >= 3  # backbone, neck and what the towers share
    assert_same(model, compiled, (96, 64))
    graphs = len(calls)
    assert_same(model, compiled, (160, 128))
    assert len(calls) == graphs  # further sizes need no further graph


@pytest.mark.skipif(
    shutil.which('c++') is None and shutil.which('g++') is None,
    reason='torch.compile needs a C++ compiler on a CPU',
)
def test_inductor(model):
    """Code that torch generates, of a tower."""
    compiled = copy.deepcopy(model)
    compile_parts(compiled, ['bbox_head.reg_convs'])
    assert_same(model, compiled, (64, 96))


def test_hook(model):
    class Runner:
        pass

    class Logger:
        def info(self, text):
            self.text = text

    runner = Runner()
    runner.model, runner.logger = model, Logger()
    CompileHook(['neck'], backend='eager').before_run(runner)
    assert 'neck' in runner.logger.text
    assert model.neck._compiled_call_impl is not None
    assert model.backbone._compiled_call_impl is None
    # Parts that a proposer lacks are no error unless they are asked for.
    del model.bbox_head.cls_convs
    assert 'bbox_head.cls_convs' not in compile_parts(model, backend='eager')
    with pytest.raises(ValueError, match="no part 'bbox_head.cls_convs'"):
        compile_parts(model, ['bbox_head.cls_convs'])
