"""RoI head that ranks proposals by how good their boxes are: OLN-Box."""

from __future__ import annotations

from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules.samplers import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import InstanceList
from torch import Tensor


@MODELS.register_module()
class OLNRoIHead(StandardRoIHead):
    """Second stage of OLN, for mmdet's ``FasterRCNN``.

    Its ``bbox_head`` is a :class:`Shared2FCBBoxScoreHead`. Every image gets
    ``proposals``, scored with the geometric mean of the first stage's cue and
    the box score, and class detections where there is a classifier, as
    ``StandardRoIHead`` makes them, from the same forward pass. Arguments are
    those of mmdet's ``StandardRoIHead``, without masks.

    ``test_cfg.proposals`` (``nms``, ``max_per_img``) controls the proposals,
    the keys beside it the class detections.
    """

    def init_mask_head(self, *args, **kwargs) -> None:
        """Refuse a mask head, of which there would be no predictions."""
        raise ValueError('OLNRoIHead predicts no masks: leave out mask_head')

    def _bbox_forward(self, x: tuple[Tensor], rois: Tensor) -> dict:
        """Predict from RoIs (num_rois, 5), with their ``bbox_score``."""
        levels = x[: self.bbox_roi_extractor.num_inputs]
        bbox_feats = self.bbox_roi_extractor(levels, rois)
        if self.with_shared_head:
            bbox_feats = self.shared_head(bbox_feats)
        cls_score, bbox_pred, bbox_score = self.bbox_head(bbox_feats)
        return dict(
            cls_score=cls_score,
            bbox_pred=bbox_pred,
            bbox_score=bbox_score,
            bbox_feats=bbox_feats,
        )

    def bbox_loss(
        self, x: tuple[Tensor], sampling_results: list[SamplingResult]
    ) -> dict:
        """Compute the losses of sampled RoIs.

        Args:
            x (tuple[Tensor]): feature maps.
            sampling_results (list[SamplingResult]): of each image.

        Returns:
            dict: predictions and, as ``loss_bbox``, the losses by name:
            ``loss_bbox``, ``loss_bbox_score`` and, with a classifier, those
            of mmdet's.
        """
        results = super().bbox_loss(x, sampling_results)
        results['loss_bbox']['loss_bbox_score'] = self.bbox_head.score_loss(
            results['bbox_score'], sampling_results
        )
        return results

    def predict(
        self,
        x: tuple[Tensor],
        rpn_results_list: InstanceList,
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Predict the proposals and, with a classifier, class detections.

        Args:
            x (tuple[Tensor]): feature maps.
            rpn_results_list (list[InstanceData]): ``bboxes`` (n, 4) as (x1,
                y1, x2, y2), in pixels of the network input, and ``scores``
                (n, ) of the first stage.
            batch_data_samples (list[DetDataSample]): their ``metainfo`` is
                read; each gets ``proposals`` with ``bboxes``, ``scores``,
                descending, and ``labels``, all 0.
            rescale (bool): boxes in pixels of the original image instead of
                the network input.

        Returns:
            list[InstanceData]: class detections of each image, or the
            proposals where there is no classifier.

        Raises:
            ValueError: if the samples hold proposals already, which mmdet
                would have taken for those of the first stage.
        """
        if any('proposals' in sample for sample in batch_data_samples):
            raise ValueError(
                'the samples hold proposals already, which the detector has '
                "taken for its first stage's: predict on new samples, as "
                'test_step makes them'
            )
        metas = [sample.metainfo for sample in batch_data_samples]
        num_rois = [len(results) for results in rpn_results_list]
        rois = bbox2roi([results.bboxes for results in rpn_results_list])
        outs = self._bbox_forward(x, rois)
        rois = rois.split(num_rois)
        bbox_preds = outs['bbox_pred'].split(num_rois)
        bbox_scores = outs['bbox_score'].split(num_rois)
        proposals = [
            self.bbox_head.propose(
                roi,
                results.scores,
                bbox_pred,
                bbox_score,
                meta,
                self.test_cfg.proposals,
                rescale=rescale,
            )
            for roi, results, bbox_pred, bbox_score, meta in zip(
                rois, rpn_results_list, bbox_preds, bbox_scores, metas
            )
        ]
        for sample, found in zip(batch_data_samples, proposals):
            sample.proposals = found
        if not self.bbox_head.with_cls:
            return proposals
        return self.bbox_head.predict_by_feat(
            rois,
            outs['cls_score'].split(num_rois),
            bbox_preds,
            metas,
            rcnn_test_cfg=self.test_cfg,
            rescale=rescale,
        )
