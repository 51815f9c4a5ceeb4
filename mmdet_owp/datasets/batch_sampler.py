"""Batches of images of like aspect ratio, from any position at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cached_property

import numpy as np
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmdet.registry import DATA_SAMPLERS
from mmengine.dataset import InfiniteSampler


@DATA_SAMPLERS.register_module()
class ResumableAspectRatioBatchSampler(AspectRatioBatchSampler):
    """mmdet's ``AspectRatioBatchSampler`` that can skip batches by counting.

    The batches are the same. mmdet's reads a record of the data set for every
    index, so a resumed run of 90,000 iterations replays hours of reading.

    Arguments are those of ``AspectRatioBatchSampler``.

    Attributes:
        start (int): number of batches that the next iteration leaves out.
    """

    start = 0

    @cached_property
    def is_tall(self) -> np.ndarray:
        """Whether each image is higher than wide, (num_images,) bool."""
        dataset = self.sampler.dataset
        infos = map(dataset.get_data_info, range(len(dataset)))
        return np.array([info['width'] < info['height'] for info in infos])

    def _indices(self) -> Iterator[int]:
        """Return the sampler's indices from the very first on."""
        sampler = self.sampler
        if isinstance(sampler, InfiniteSampler):
            # Its iterator is shared: a loader that was iterated before has
            # moved it.
            sampler = InfiniteSampler(
                sampler.dataset, shuffle=sampler.shuffle, seed=sampler.seed
            )
        return iter(sampler)

    def _batches(self) -> Iterator[list[int]]:
        is_tall = self.is_tall.tolist()
        buckets: tuple[list[int], list[int]] = ([], [])
        for index in self._indices():
            bucket = buckets[is_tall[index]]
            bucket.append(index)
            if len(bucket) == self.batch_size:
                yield bucket[:]
                bucket.clear()
        rest = buckets[1] + buckets[0]  # tall images first, as mmdet
        for first in range(0, len(rest), self.batch_size):
            batch = rest[first : first + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __iter__(self) -> Iterator[list[int]]:
        return itertools.islice(self._batches(), self.start, None)
