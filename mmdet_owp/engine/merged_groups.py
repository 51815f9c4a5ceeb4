"""Parameter groups of the optimizer: few of them, and those of a resumed run.

mmengine makes one group per parameter as soon as there is a
``paramwise_cfg``, and the optimizer then loops over hundreds of them.
"""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import HOOKS, OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from mmdet_owp.errors import UserError


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedGroupsConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor, with one group per distinct setting.

    In a config: ``optim_wrapper = dict(constructor=
    'MergedGroupsConstructor', ...)``. Steps equal those of mmengine's
    groups. Arguments are those of ``DefaultOptimWrapperConstructor``.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs
    ) -> None:
        """Append the groups of a module to ``params``, merged at the end."""
        super().add_params(params, module, prefix=prefix, **kwargs)
        if prefix == '':  # the whole model
            params[:] = self._merged(params)

    def _merged(self, groups: list[dict]) -> list[dict]:
        """Merge groups of equal settings, in the order of the parameters."""
        usual = {'lr': self.base_lr, 'weight_decay': self.base_wd}
        usual = {k: value for k, value in usual.items() if value is not None}
        merged: dict[tuple, list] = {}
        for group in groups:
            settings = {**usual, **group}
            parameters = settings.pop('params')
            # They are in the rate and the decay already.
            for name in ('lr_mult', 'decay_mult'):
                settings.pop(name, None)
            key = tuple(sorted(settings.items()))
            merged.setdefault(key, []).extend(parameters)
        return [
            dict(settings, params=parameters)
            for settings, parameters in merged.items()
        ]


@HOOKS.register_module()
class ResumeMatchHook(Hook):
    """Refuse to resume from a run whose optimizer grouped parameters else."""

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Compare the sizes of the groups of both optimizers.

        Args:
            runner (Runner): about to load the checkpoint, perhaps to resume.
            checkpoint (dict): as ``load_checkpoint`` returns it.

        Raises:
            UserError: if a resuming run has groups of other sizes.
        """
        wrapper, saved = runner.optim_wrapper, checkpoint.get('optimizer', {})
        resuming = runner._resume and isinstance(wrapper, OptimWrapper)
        if not resuming or 'param_groups' not in saved:
            return
        then, now = (
            [len(group['params']) for group in groups]
            for groups in (
                saved['param_groups'],
                wrapper.optimizer.param_groups,
            )
        )
        if then != now:
            raise UserError(
                f'{runner._load_from or runner.work_dir}: cannot resume: its '
                f'optimizer has {len(then)} group(s) of {_counts(then)} '
                f'parameters, that of {runner.cfg.filename} {len(now)} of '
                f'{_counts(now)} (another optim_wrapper.paramwise_cfg, or '
                'other frozen weights); resume with the settings the run '
                'began with, or name the checkpoint as load_from to start '
                'anew from its weights'
            )


def _counts(sizes: list[int]) -> str:
    """Return the sizes of groups in words, shortened if there are many."""
    shown = ' + '.join(map(str, sizes[:4]))
    return shown if len(sizes) <= 4 else f'{shown} + ...'
