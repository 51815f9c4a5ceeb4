"""Branches for old versions of PyTorch and NumPy, by stubs of what they lack.

tools/test_stacks.sh runs them for real.
"""

from __future__ import annotations

import runpy

import numpy as np
import pytest
import torch
from torch import nn

from mmdet_owp.deployment import onnx_export
from mmdet_owp.engine.compile_hook import compile_parts
from mmdet_owp.errors import UserError
from mmdet_owp.models.task_modules import unknown_masking
from mmdet_owp.restricted_pickle import numpy_globals


def test_compiling_in_place_needs_torch_2_2(monkeypatch):
    monkeypatch.delattr(nn.Module, 'compile')
    with pytest.raises(UserError, match='cannot compile.* 2.2 or newer'):
        compile_parts(nn.Linear(1, 1))


def test_masking_without_torch_compiler(monkeypatch):
    monkeypatch.delattr(torch, 'compiler')
    names = runpy.run_path(unknown_masking.__file__)
    masking = names['UnknownMasking'](start_iter=0)
    assert masking.has_started()


@pytest.mark.parametrize('has_dynamo', [True, False])
def test_exporter_with_and_without_a_choice(monkeypatch, tmp_path, has_dynamo):
    """From PyTorch 2.5 on, `dynamo=False` chooses the exporter."""
    given = []

    def export(network, inputs, path, opset_version, input_names):
        given.append(dict(input_names=input_names))

    def export_with_choice(
        network, inputs, path, opset_version, input_names, dynamo=True
    ):
        given.append(dict(input_names=input_names, dynamo=dynamo))

    monkeypatch.setattr(
        torch.onnx, 'export', export_with_choice if has_dynamo else export
    )
    monkeypatch.setattr('onnx.checker.check_model', lambda *a, **k: None)
    onnx_export.trace(
        nn.Linear(1, 1), (torch.zeros(1),), 'x.onnx', input_names=['x']
    )
    choice = dict(dynamo=False) if has_dynamo else {}
    assert given == [dict(input_names=['x'], **choice)]


def test_numpy_functions_under_both_names():
    """NumPy 1.26 has a `numpy._core` without these functions."""
    found = numpy_globals()
    for core in ('core', '_core'):
        module = f'numpy.{core}.multiarray'
        rebuilt = found[module, 'scalar'](
            np.dtype('<f8'), np.float64(2.5).tobytes()
        )
        assert rebuilt == 2.5
        assert found[module, '_reconstruct'] is np.empty(0).__reduce__()[0]
