"""Merging of the proposals of several views of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmcv.ops import batched_nms
from mmdet.models.test_time_augs import DetTTAModel
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mmdet_owp.errors import UserError

# Of mmdet's tools/test.py, for detectors without an NMS of their own.
_DETECTIONS = dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)
_PROPOSALS = dict(nms=dict(type='nms', iou_threshold=0.7), max_per_img=1500)


@MODELS.register_module()
class ProposalTTAModel(DetTTAModel):
    """Merges proposals and class detections of several views of an image.

    Views are other sizes and flips of an image, made by ``TestTimeAug``.
    Their ``proposals`` are flipped back and merged by a class-agnostic NMS,
    their class detections as in ``DetTTAModel``, by the NMS of each class. A
    detector without a classifier has the merged proposals as its
    ``pred_instances``; one without ``proposals`` gets none.

    Args:
        tta_cfg (dict, optional): ``nms`` and ``max_per_img`` of the class
            detections, by default those of the detector's ``test_cfg``, and
            as ``proposals`` a dict of

            - ``nms``, by default at IoU 0.7, and ``max_per_img``, by default
              1500;
            - ``size_ranges`` (list[tuple[float, float]], optional): one per
              scale, in the order of ``TestTimeAug``, whose scales come before
              its flips. Of a scale's proposals only those count whose size,
              the square root of the area in pixels of the resized image, is
              at least the first number and below the second.
        **kwargs: ``module``, the detector, and those of ``DetTTAModel``.
    """

    def __init__(self, tta_cfg: Mapping | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        # A `Detectron2Wrapper` or a semi-supervised detector has none.
        test_cfg = getattr(self.module, 'test_cfg', None) or {}
        own = test_cfg.get('rcnn') or test_cfg.get('rpn') or test_cfg
        own = {key: own[key] for key in _DETECTIONS if own.get(key)}
        self.tta_cfg = ConfigDict({**_DETECTIONS, **own, **(tta_cfg or {})})
        self.tta_cfg.proposals = {
            **_PROPOSALS,
            **self.tta_cfg.get('proposals', {}),
        }

    def _merge_single_sample(
        self, data_samples: Sequence[DetDataSample]
    ) -> DetDataSample:
        """Merge the predictions of the views of one image.

        Args:
            data_samples (Sequence[DetDataSample]): one per view, with boxes
                in pixels of the original image, flipped as the view is.

        Returns:
            DetDataSample: that of the first view that is not flipped, with
            the merged predictions.
        """
        proposals = None
        if 'proposals' in data_samples[0]:
            proposals = self._merge_proposals(data_samples)
        classifies = any(
            view.pred_instances is not view.get('proposals')
            for view in data_samples
        )
        views = sorted(data_samples, key=lambda view: view.flip)
        merged = (
            super()._merge_single_sample(views) if classifies else views[0]
        )
        if proposals is not None:
            merged.proposals = proposals
        if not classifies:
            merged.pred_instances = proposals
        return merged

    def _merge_proposals(self, views: Sequence[DetDataSample]) -> InstanceData:
        """Flip the proposals back and merge them, best first."""
        cfg = self.tta_cfg.proposals
        kept = self._in_size_ranges(views, cfg.get('size_ranges'))
        boxes, scores = self.merge_aug_bboxes(
            [proposals.bboxes for proposals in kept],
            [proposals.scores for proposals in kept],
            [view.metainfo for view in views],
        )
        labels = torch.cat([proposals.labels for proposals in kept])
        if len(boxes):
            merged, inds = batched_nms(
                boxes, scores, labels, cfg.nms, class_agnostic=True
            )
            boxes, scores, labels = merged[:, :4], merged[:, 4], labels[inds]
        merged = InstanceData(bboxes=boxes, scores=scores, labels=labels)
        return merged[: cfg.max_per_img]

    def _in_size_ranges(
        self,
        views: Sequence[DetDataSample],
        ranges: Sequence[tuple[float, float]] | None,
    ) -> list[InstanceData]:
        """Return the proposals of each view within the range of its scale."""
        proposals = [view.proposals for view in views]
        if ranges is None:
            return proposals
        per_scale = len({(view.flip, view.flip_direction) for view in views})
        if len(views) != per_scale * len(ranges):
            raise UserError(
                f'tta_cfg.proposals.size_ranges has {len(ranges)} ranges for '
                f'{len(views)} views; give one per scale'
            )
        kept = []
        for index, (view, found) in enumerate(zip(views, proposals)):
            low, high = ranges[index // per_scale]
            width, height = view.scale_factor
            sides = found.bboxes[:, 2:] - found.bboxes[:, :2]
            sizes = (sides.prod(dim=1) * width * height).sqrt()
            kept.append(found[(sizes >= low) & (sizes < high)])
        return kept
