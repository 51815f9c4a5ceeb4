"""Confidence interval of the difference between two lists of proposals."""

from __future__ import annotations

import numpy as np

from mmdet_owp.recall.evaluation import Evaluation


def bootstrap_difference(
    first: Evaluation,
    second: Evaluation,
    k: int,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Compare AR@k of two lists of proposals for the same images.

    Paired bootstrap: images with objects are drawn with replacement, each
    with the objects that either list finds in it.

    Args:
        first (Evaluation): of one list.
        second (Evaluation): of the other, on the same ground truth.
        k (int): proposals per image.
        resamples (int): number of draws; each draws as many images as exist.
        seed (int): of the draws.

    Returns:
        tuple: AR@k of the second minus that of the first, and the 2.5 and
        97.5 percentiles of the draws.
    """
    found_first, number = first.counts_by_image(k)
    found_second, _ = second.counts_by_image(k)
    low, high = paired_interval(
        found_first, found_second, number, resamples, seed
    )
    return (second.average_recall(k) - first.average_recall(k), low, high)


def paired_interval(
    found_first: np.ndarray,
    found_second: np.ndarray,
    number: np.ndarray,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of :func:`bootstrap_difference`.

    Args:
        found_first (np.ndarray): (num_images,) objects found, averaged over
            IoU thresholds.
        found_second (np.ndarray): (num_images,) those of the other list.
        number (np.ndarray): (num_images,) objects.
        resamples (int): see :func:`bootstrap_difference`.
        seed (int): see :func:`bootstrap_difference`.

    Returns:
        tuple: the 2.5 and 97.5 percentiles of the draws; NaN without objects.
    """
    columns = np.stack([found_first, found_second, number])[:, number > 0]
    num = columns.shape[1]
    if not num:
        return (float('nan'),) * 2
    rng = np.random.default_rng(seed)
    drawn = np.stack(
        [
            columns @ np.bincount(rng.integers(num, size=num), minlength=num)
            for _ in range(resamples)
        ]
    )
    difference = (drawn[:, 1] - drawn[:, 0]) / drawn[:, 2]
    low, high = np.quantile(difference, (0.025, 0.975))
    return float(low), float(high)
