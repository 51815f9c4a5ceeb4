"""The report page at the end of a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.runner import Runner
from torch import nn

from mmdet_owp.datasets.coco_file import CocoObjects, read_coco
from mmdet_owp.engine.head_outputs import HeadOutputs
from mmdet_owp.errors import UserError, check_writable
from mmdet_owp.evaluation.file_evaluation import AnnotationFile
from mmdet_owp.evaluation.sample_proposals import proposals_of
from mmdet_owp.evaluation.split_metric import SplitMetric
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead
from mmdet_owp.partitions import Partition
from mmdet_owp.recall import Proposals, RecallEvaluator, corners_to_xywh
from mmdet_owp.reporting import page


class ReportMetric(SplitMetric):
    """Collects proposals and writes the report page; gives no metric.

    Of an ``OWPFCOSHead`` it also sees the boxes before NMS, so that the page
    knows which objects were suppressed.

    Args:
        out (Path): folder to write.
        images (str): folder of the image files.
        label (str): name of the proposals on the page.
        model (nn.Module, optional): whose boxes before NMS to look at; each
            forward pass must be that of the samples processed next.

    Raises:
        UserError: if the folder cannot be written or has other files.
    """

    def __init__(
        self, out: Path, images: str, label: str, model: nn.Module | None
    ) -> None:
        check_writable(out, folder=True)
        page.check_output(out)
        super().__init__(None, None, 'cpu')
        self.out, self.images, self.label = out, images, label
        self.outputs = None
        if isinstance(getattr(model, 'bbox_head', None), OWPFCOSHead):
            self.outputs = HeadOutputs(model)
            self.outputs.__enter__()  # until the process ends

    def load(self, objects: CocoObjects, partition: Partition) -> None:
        """Keep the objects of both sides."""
        self.truth = objects.ground_truth.select(partition.categories('all'))

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the proposals of a batch.

        Args:
            data_batch (dict): unused.
            data_samples (Sequence[dict]): results of the model.
        """
        for index, sample in enumerate(data_samples):
            proposals = proposals_of(sample)
            self.results.append(
                dict(
                    img_id=sample['img_id'],
                    bboxes=proposals['bboxes'].cpu().numpy(),
                    scores=proposals['scores'].cpu().numpy(),
                    candidate_iou=self._candidate_iou(index, sample),
                )
            )

    def _rows(self, image_id: int) -> slice:
        """Return which objects are those of an image."""
        position = np.searchsorted(self.truth.image_ids, image_id)
        ends = np.searchsorted(self.truth.image, [position, position + 1])
        return slice(*ends)

    def _candidate_iou(self, index: int, sample: Mapping) -> np.ndarray | None:
        """Return the highest IoU of an image's objects before NMS."""
        if self.outputs is None:
            return None
        boxes = self.outputs.boxes(index).float()
        boxes = boxes / boxes.new_tensor(sample['scale_factor']).repeat(2)
        objects = self.truth.boxes[self._rows(sample['img_id'])].copy()
        objects[:, 2:] += objects[:, :2]
        ious = bbox_overlaps(torch.as_tensor(objects).to(boxes), boxes)
        return ious.amax(1).cpu().numpy()

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Write the page from the results of all processes."""
        candidate_iou = None
        if self.outputs is not None:
            candidate_iou = np.zeros(len(self.truth.image))
            for result in results:
                rows = self._rows(result['img_id'])
                candidate_iou[rows] = result['candidate_iou']
        proposals = Proposals.from_images(
            self.truth.image_ids,
            [r['img_id'] for r in results],
            [corners_to_xywh(r['bboxes']) for r in results],
            [r['scores'] for r in results],
        )
        evaluator = RecallEvaluator(self.truth, proposals)
        data = AnnotationFile(
            self.ann_file,
            read_coco(self.ann_file, with_files=False),
            self.partition,
            self.truth,
        )
        split = 'novel' if self.partition.novel else 'all'
        path = page.write_report(
            data,
            [page.ReportFile(self.label, evaluator, candidate_iou)],
            page.Settings(self.out, self.images, split),
        )
        print(f'written: {path}')
        return {}


def add_report(runner: Runner, out: str, one_view: bool) -> None:
    """Let a test end with a report page.

    Args:
        runner (Runner): of the test.
        out (str): folder to write.
        one_view (bool): whether the model sees each image once.

    Raises:
        UserError: if the data set has no folder of images, or as
            :class:`ReportMetric`.
    """
    dataset = runner.test_dataloader.dataset
    images = getattr(dataset, 'data_prefix', {}).get('img')
    if images is None:
        raise UserError(
            f'--report: {type(dataset).__name__} has no data_prefix.img; test '
            'one data set'
        )
    model = getattr(runner.model, 'module', runner.model)
    metric = ReportMetric(
        *(Path(out), images, Path(runner.cfg.filename).stem),
        model if one_view else None,
    )
    metric.dataset_meta = dataset.metainfo
    runner.test_evaluator.metrics.append(metric)
