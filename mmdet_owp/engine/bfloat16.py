"""Training in bfloat16, on a CPU too.

mmengine's ``AmpOptimWrapper`` needs CUDA. bfloat16 has the range of float32,
so that no scaling of the loss is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from mmdet.models.roi_heads import BaseRoIHead
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from mmengine.runner.amp import autocast
from mmengine.utils import digit_version
from torch import Tensor, nn

from mmdet_owp.engine.multi_view import unwrapped
from mmdet_owp.errors import UserError

# Flags of processors that multiply bfloat16 matrices: x86_64, and ARM's bf16.
_NATIVE = ('amx_bf16', 'avx512_bf16', 'bf16')
_CPU_INFO = '/proc/cpuinfo'


def _processor_flags() -> set[str]:
    """Return what Linux says the processor can do; elsewhere nothing."""
    try:
        with open(_CPU_INFO, encoding='utf-8') as file:
            lines = [line.split(':', 1) for line in file]
    except OSError:
        return set()
    keys = ('flags', 'Features')
    return {
        flag
        for line in lines
        if line[0].strip() in keys
        for flag in line[1].split()
    }


def bfloat16_problem() -> str | None:
    """Return why bfloat16 is no gain on this machine; None if it is one."""
    device = get_device()
    if device == 'cuda':
        if torch.cuda.is_bf16_supported():
            return None
        return 'this GPU has no bfloat16'
    if device != 'cpu':
        return f'it needs CUDA or a CPU, not {device}'
    if digit_version(torch.__version__) < digit_version('2.0'):
        return f'on a CPU it needs torch 2.0 or newer, not {torch.__version__}'
    if not torch.backends.mkldnn.is_available():
        return 'this build of PyTorch has no oneDNN'
    if not _processor_flags().intersection(_NATIVE):
        return (
            'the processor has no bfloat16 arithmetic (none of '
            f'{", ".join(_NATIVE)} in {_CPU_INFO}) and would be slower in it'
        )
    return None


def check_bfloat16() -> None:
    """Check that training in bfloat16 is a gain on this machine.

    Raises:
        UserError: if not; the message has the reason.
    """
    problem = bfloat16_problem()
    if problem:
        raise UserError(
            f'cannot train in bfloat16: {problem}; leave out --amp or '
            'optim_wrapper.type=BFloat16OptimWrapper'
        )


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """``OptimWrapper`` that computes convolutions and the like in bfloat16.

    Weights, their gradients and the optimizer stay in float32, so checkpoints
    are those of ``OptimWrapper``. So do losses, assignment, RoIAlign and NMS:
    what backbone, neck and heads return is cast to float32. Arguments are
    those of ``OptimWrapper``.

    Raises:
        UserError: if the machine cannot, or would be slower.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        check_bfloat16()
        self._has_hooks = False
        print_log('training in bfloat16', logger='current')

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute in bfloat16, with the context of ``OptimWrapper``."""
        if not self._has_hooks:
            for part in _parts(unwrapped(model)):
                part.register_forward_hook(_return_float32)
            self._has_hooks = True
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the backbone, the neck, the heads and the like of a detector."""
    for child in module.children():
        # Those that are not called themselves.
        if isinstance(child, (BaseDetector, BaseRoIHead, nn.ModuleList)):
            yield from _parts(child)
        else:
            yield child


def _return_float32(module: nn.Module, args: Any, output: Any) -> Any:
    """Cast the tensors that a part returns, which are in tuples and lists."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype is torch.bfloat16 else output
    if isinstance(output, (tuple, list)):
        return type(output)(
            _return_float32(module, args, one) for one in output
        )
    return output
