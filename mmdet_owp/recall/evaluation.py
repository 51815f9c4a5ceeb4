"""What is found: recall, precision and their means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mmdet_owp.recall.matching import Hits
from mmdet_owp.recall.tables import GroundTruth, Proposals

# AUC covers 1 to this many proposals.
AUC_MAX = 1000


class Found(NamedTuple):
    """Objects found.

    Attributes:
        threshold (np.ndarray): (num_found,) indices of IoU thresholds.
        object (np.ndarray): (num_found,) indices of objects.
        rank (np.ndarray): (num_found,) rank of the proposal that finds the
            object among those of its image that count, from 0.
    """

    threshold: np.ndarray
    object: np.ndarray
    rank: np.ndarray

    @classmethod
    def of(cls, hits: Hits, rank: np.ndarray) -> Found:
        """Look up the ranks of hits; ``rank`` is (num_proposals,)."""
        return cls(hits.threshold, hits.object, rank[hits.proposal])


class Evaluation(NamedTuple):
    """Which objects the proposals find.

    Attributes:
        iou_thrs (np.ndarray): (num_thresholds,).
        found (dict[str, Found]): objects found, by area range.
        wanted (dict[str, np.ndarray]): (num_objects,) bool, the objects to be
            found, by area range.
        kept (np.ndarray): (num_proposals,) bool, the proposals that count
            under the protocol, for objects of any area.
        list_length (float): proposals per image that the protocol looks at
            before it removes some; infinite if it removes them first.
        precision (np.ndarray): (num_thresholds, 101) precision at recall 0,
            0.01, …, 1 with the largest k, NaN if there is no object.
        ground_truth (GroundTruth): the objects.
        proposals (Proposals): the proposals.
        proposal_nums (tuple[int, ...]): the k.
    """

    iou_thrs: np.ndarray
    found: dict[str, Found]
    wanted: dict[str, np.ndarray]
    kept: np.ndarray
    list_length: float
    precision: np.ndarray
    ground_truth: GroundTruth
    proposals: Proposals
    proposal_nums: tuple[int, ...]

    def recall(self, k: int, area: str = 'all') -> np.ndarray:
        """Recall with the best k per image, (num_thresholds,).

        NaN if there is no object.
        """
        hits = self.found[area]
        found = np.bincount(
            hits.threshold[hits.rank < k], minlength=len(self.iou_thrs)
        )
        return _divide(found, np.count_nonzero(self.wanted[area]))

    def average_recall(self, k: int, area: str = 'all') -> float:
        """AR@k: mean recall over IoU thresholds."""
        return float(np.mean(self.recall(k, area)))

    def average_recalls(self, max_k: int) -> np.ndarray:
        """AR@k for k = 1, …, max_k, (max_k,); NaN if there is no object."""
        hits = self.found['all']
        found = np.bincount(
            hits.rank[hits.rank < max_k], minlength=max_k
        ).cumsum()
        return _divide(
            found, len(self.iou_thrs) * np.count_nonzero(self.wanted['all'])
        )

    def average_precision(self) -> float:
        """Class-agnostic AP with the largest k."""
        return float(np.mean(self.precision))

    def area_under_curve(self) -> float:
        r"""AUC: the area under AR over the logarithm of k, from 0 to 1.

        .. math:: \frac{1}{\ln 1000} \sum_{k=1}^{999}
            \frac{AR@k + AR@(k+1)}{2} \, \ln\frac{k+1}{k}
        """
        recall = self.average_recalls(AUC_MAX)
        steps = np.diff(np.log(np.arange(1, AUC_MAX + 1)))
        return float(
            ((recall[1:] + recall[:-1]) / 2 * steps).sum() / np.log(AUC_MAX)
        )

    def average_recall_by_class(self, k: int) -> dict[int, float]:
        """AR@k of each category that has objects, by category id."""
        hits = self.found['all']
        ids, position = np.unique(
            self.ground_truth.category, return_inverse=True
        )
        found = np.bincount(
            position[hits.object[hits.rank < k]], minlength=len(ids)
        )
        number = np.bincount(position[self.wanted['all']], minlength=len(ids))
        recall = _divide(found, number * len(self.iou_thrs))
        return {
            i: value
            for i, value, n in zip(ids.tolist(), recall.tolist(), number)
            if n
        }

    def details(self, names: Mapping[int, str]) -> dict[str, float]:
        """AR per class and recall per IoU threshold at the largest k.

        Args:
            names (dict[int, str]): names of the target categories.

        Returns:
            dict[str, float]: ``AR@100/giraffe``, … for classes that have
            objects; ``recall@100/0.50``, ….
        """
        k = max(self.proposal_nums)
        by_class = self.average_recall_by_class(k)
        return {
            **{f'AR@{k}/{names[i]}': value for i, value in by_class.items()},
            **{
                f'recall@{k}/{thr:.2f}': float(value)
                for thr, value in zip(self.iou_thrs, self.recall(k))
            },
        }

    def counts_by_image(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Numerator and denominator of AR@k per image.

        Returns:
            tuple: the objects found, averaged over thresholds, and the
            objects to be found; each (num_images,), in the order of
            ``GroundTruth.image_ids``.
        """
        hits = self.found['all']
        image = self.ground_truth.image
        num = len(self.ground_truth.image_ids)
        found = np.bincount(image[hits.object[hits.rank < k]], minlength=num)
        return (
            found / len(self.iou_thrs),
            np.bincount(image[self.wanted['all']], minlength=num),
        )

    def hits_by_image(self) -> dict[str, list[int]]:
        """Counts per image, in the order of ``GroundTruth.image_ids``.

        Returns:
            dict[str, list[int]]: ``objects``, to be found, and for each k
            (``10``, …) the objects found, summed over the IoU thresholds.
        """
        num_thrs, hits = len(self.iou_thrs), {}
        for k in self.proposal_nums:
            found, number = self.counts_by_image(k)
            hits[str(k)] = np.rint(num_thrs * found).astype(int).tolist()
        return dict(objects=number.tolist(), **hits)

    def cut_short(self) -> str:
        """Return a warning if lists end before the largest k is reached.

        It concerns images that have fewer than k proposals because the
        protocol removed some, and whose list was as long as the longest. If
        several lists have that length, and the protocol looks at more, they
        were most likely truncated (``max_per_img``), and recall is
        understated. Otherwise the text is empty.
        """
        num = len(self.ground_truth.image_ids)
        length = np.bincount(self.proposals.image, minlength=num)
        left = np.bincount(self.proposals.image[self.kept], minlength=num)
        longest, k = length.max(initial=0), max(self.proposal_nums)
        cut = (length == longest) & (longest < self.list_length)
        images = np.count_nonzero(cut & (left < length) & (left < k))
        if not images or np.count_nonzero(cut) < min(2, num):
            return ''
        return (
            f'{images} images have {longest} proposals, no image has more, '
            f'and fewer than k={k} remain under the protocol: if lists were '
            'truncated to that length, recall is understated; raise '
            'max_per_img of test_cfg.proposals (1500 in the configs of '
            'mmdet_owp)'
        )

    def metrics(self) -> dict[str, float]:
        """All numbers by name.

        Returns:
            dict[str, float]: ``AR@10``, ``AR_s@10``, … for each k and area
            range, ``AUC``, ``AP``, from 0 to 1 and NaN if there is no object;
            ``proposals``, the mean number per image of those that count.
        """
        metrics = {
            f'AR@{k}'
            if area == 'all'
            else f'AR_{area}@{k}': self.average_recall(k, area)
            for area in self.found
            for k in self.proposal_nums
        }
        metrics['AUC'] = self.area_under_curve()
        metrics['AP'] = self.average_precision()
        metrics['proposals'] = float(
            _divide(np.count_nonzero(self.kept), self.proposals.num_images)
        )
        return metrics


def _divide(found: np.ndarray | int, number: np.ndarray | int) -> np.ndarray:
    """Divide; 0 / 0 is NaN."""
    with np.errstate(invalid='ignore'):
        return np.true_divide(found, number)
