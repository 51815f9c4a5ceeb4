"""Convolutions on channels-last memory, which makes many of them faster."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.utils import digit_version
from torch import Tensor, nn

from mmdet_owp.engine.multi_view import unwrapped

# Backward through depthwise convolutions on a CPU takes twenty times as long
# on channels-last maps in 2.1.2 and 2.2.2, but not in 2.13.0.
_SLOW_DEPTHWISE = digit_version(torch.__version__) < digit_version('2.13')


def to_channels_last(module: nn.Module) -> None:
    """Convert the weights of convolutions in place to channels last.

    PyTorch's operators follow the weights: the maps between them are
    channels last from the first convolution on. Operators of mmcv read memory
    as if it were contiguous, most without a check; theirs are made so.

    Args:
        module (nn.Module): a detector, or a part of one.
    """
    for child in module.children():
        if _needs_contiguous(child):
            child.register_forward_pre_hook(_make_contiguous)
            child.register_forward_hook(_make_gradient_contiguous)
        elif isinstance(child, nn.Conv2d):
            child.to(memory_format=torch.channels_last)
        else:
            to_channels_last(child)


def _needs_contiguous(module: nn.Module) -> bool:
    """Return whether maps must be contiguous to be right, or fast."""
    if isinstance(module, nn.Conv2d):
        on_cpu = module.weight.device.type == 'cpu'
        return module.groups > 1 and on_cpu and _SLOW_DEPTHWISE
    return any(
        base.__module__.startswith('mmcv.ops') for base in type(module).__mro__
    )


def _make_contiguous(module: nn.Module, args: tuple) -> tuple:
    return tuple(
        arg.contiguous() if isinstance(arg, Tensor) else arg for arg in args
    )


def _make_gradient_contiguous(
    module: nn.Module, args: tuple, output: Any
) -> None:
    if isinstance(output, Tensor) and output.requires_grad:
        output.register_hook(Tensor.contiguous)


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Trains and tests with channels-last weights of convolutions.

    In a config: ``custom_hooks = [dict(type='ChannelsLastHook')]``. Results
    equal those of the original model up to rounding. Checkpoints hold the
    usual, contiguous weights.
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the runner's model, before weights are loaded into it."""
        to_channels_last(unwrapped(runner.model))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Store contiguous weights."""
        weights = checkpoint['state_dict']
        for name, value in weights.items():
            weights[name] = value.contiguous()
