"""A training loop that resumes within seconds at any iteration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop

from mmdet_owp.datasets.batch_sampler import ResumableAspectRatioBatchSampler


class _Resumed:
    """Batches of a loader whose batch sampler has skipped ``num`` of them.

    mmengine asks for the skipped ones, one by one or by ``skip_iter``; it gets
    None for each.
    """

    def __init__(self, batches: Iterator[Any], num: int) -> None:
        self._batches = batches
        self._to_skip = num

    def __next__(self) -> Any:
        if self._to_skip:
            self._to_skip -= 1
            return None
        return next(self._batches)

    def skip_iter(self, num: int) -> None:
        """Leave out batches that were skipped before."""
        self._to_skip -= num


@LOOPS.register_module()
class ResumableIterBasedTrainLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that does not load the batches it skips.

    A resumed run sees the images that an unbroken run would have seen, in
    that order; random transforms are drawn anew. It needs an
    ``InfiniteSampler`` and a :class:`ResumableAspectRatioBatchSampler`; with
    another batch sampler it resumes as mmengine does.
    """

    def run(self) -> Any:
        """Train from the current iteration on."""
        batch_sampler = self.dataloader.batch_sampler
        resumable = isinstance(batch_sampler, ResumableAspectRatioBatchSampler)
        if self.iter > 0 and resumable:
            batch_sampler.start = self.iter
            self.dataloader_iterator = _Resumed(
                iter(self.dataloader), self.iter
            )
        return super().run()
