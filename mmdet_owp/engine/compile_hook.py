"""``torch.compile`` of the parts of a detector that it makes faster.

mmengine's own switch (``compile`` in the config) compiles the whole training
step, losses and assignment included, whose shapes change with every batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

# Where the time goes: convolutions and the norms between them.
PARTS = ('backbone', 'neck', 'bbox_head.cls_convs', 'bbox_head.reg_convs')


def compile_parts(
    model: nn.Module,
    parts: Sequence[str] | None = None,
    backend: str = 'inductor',
) -> list[str]:
    """Compile modules in place, each at its first call.

    The names of the weights stay as they are, so that checkpoints fit the
    model compiled or not. The modules of a list, such as a tower, are
    compiled one by one. Sizes of images and of levels are left open
    (dynamic shapes), so that few graphs serve them all.

    Args:
        model (nn.Module): a detector.
        parts (Sequence[str], optional): names of its modules. None: those
            of :data:`PARTS` that it has.
        backend (str): of ``torch.compile``.

    Returns:
        list[str]: names of what is compiled.

    Raises:
        ValueError: in one line, if the model has no such part.
    """
    modules = dict(model.named_modules())
    if parts is None:
        parts = [name for name in PARTS if name in modules]
    for name in parts:
        if name not in modules:
            raise ValueError(
                f'{type(model).__name__} has no part {name!r} to compile; '
                f'usual are {", ".join(p for p in PARTS if p in modules)}'
            )
    for name in parts:
        part = attrgetter(name)(model)
        for module in part if isinstance(part, nn.ModuleList) else [part]:
            module.compile(dynamic=True, backend=backend)
    return list(parts)


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles parts of the detector before a training or a test.

    In a config: ``custom_hooks = [dict(type='CompileHook')]``. Results are
    those of the model as it is up to rounding.

    Args:
        parts (Sequence[str], optional): as in :func:`compile_parts`.
        backend (str): likewise.
    """

    def __init__(
        self, parts: Sequence[str] | None = None, backend: str = 'inductor'
    ) -> None:
        self.parts = parts
        self.backend = backend

    def before_run(self, runner: Runner) -> None:
        """Compile the runner's model.

        Args:
            runner (Runner): with the model, wrapped or not.

        Raises:
            ValueError: in one line, if the model has no such part.
        """
        model = getattr(runner.model, 'module', runner.model)
        done = compile_parts(model, self.parts, self.backend)
        runner.logger.info(f'compiled at their first call: {", ".join(done)}')
