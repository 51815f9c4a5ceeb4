"""``torch.compile`` of the parts of a detector that become faster.

mmengine's own switch (``compile`` in the config) compiles the whole training
step, including losses and assignment, whose shapes change with every batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from mmdet_owp.engine.multi_view import unwrapped
from mmdet_owp.errors import UserError

# Most of the time goes into convolutions and the norms between them. Not the
# whole of `border`: PyTorch fails to generate its sampling at dynamic sizes.
PARTS = (
    'backbone',
    'neck',
    'bbox_head.cls_convs',
    'bbox_head.reg_convs',
    'bbox_head.border.merge',
    'bbox_head.presence_tower',
)


def compile_parts(
    model: nn.Module, parts: Sequence[str] | None = None
) -> list[str]:
    """Compile modules in place, each at its first call.

    Names of weights do not change, so checkpoints fit the compiled and the
    original model. The modules of a list, such as a tower, are compiled one
    by one. Sizes of images and levels are dynamic: few graphs serve them all.

    Args:
        model (nn.Module): a detector.
        parts (Sequence[str], optional): names of its modules. None: those of
            :data:`PARTS` that it has.

    Returns:
        list[str]: names of the compiled parts.

    Raises:
        UserError: if the model has no such part, or PyTorch is too old.
    """
    if not hasattr(nn.Module, 'compile'):
        raise UserError(
            f'torch {torch.__version__} cannot compile modules in place; use '
            '2.2 or newer, or leave CompileHook out'
        )
    modules = dict(model.named_modules())
    usual = [name for name in PARTS if name in modules]
    parts = usual if parts is None else list(parts)
    for name in parts:
        if name not in modules:
            raise UserError(
                f'{type(model).__name__} has no part {name!r} to compile; '
                f'usual parts are {", ".join(usual)}'
            )
    for name in parts:
        part = attrgetter(name)(model)
        for module in part if isinstance(part, nn.ModuleList) else [part]:
            module.compile(dynamic=True)
    return parts


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles parts of the detector before training or testing.

    In a config: ``custom_hooks = [dict(type='CompileHook')]``. Results equal
    those of the original model up to rounding.

    Args:
        parts (Sequence[str], optional): as in :func:`compile_parts`.
    """

    def __init__(self, parts: Sequence[str] | None = None) -> None:
        self.parts = parts

    def before_run(self, runner: Runner) -> None:
        """Compile the runner's model."""
        names = ', '.join(compile_parts(unwrapped(runner.model), self.parts))
        runner.logger.info(f'compiled at their first call: {names}')
