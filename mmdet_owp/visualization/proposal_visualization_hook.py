"""Pictures of novel objects found and missed, during training."""

from __future__ import annotations

import os.path as osp
from collections import Counter
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mmdet_owp.datasets.coco_file import SideBoxes, read_boxes
from mmdet_owp.engine.head_outputs import HeadOutputs, score_map
from mmdet_owp.evaluation.sample_proposals import proposals_of
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead
from mmdet_owp.visualization import style
from mmdet_owp.visualization.overlays import (
    draw_found_and_missed,
    draw_heat_map,
)


@HOOKS.register_module()
class ProposalVisualizationHook(Hook):
    r"""Draw novel objects found and missed, and the objectness map.

    At each validation it draws the first image of every ``interval``-th
    batch, for all backends of the visualizer: files, TensorBoard, Weights &
    Biases. It replaces mmdet's ``DetVisualizationHook``, which draws class
    detections only::

        python tools/train.py CONFIG --cfg-options \
            default_hooks.visualization.type=ProposalVisualizationHook

    The map comes from the forward pass of the validation. A model without
    ``proposals`` is drawn with its detections, one without an ``OWPFCOSHead``
    without a map. The data set must know the novel classes, as a
    ``CocoSplitDataset`` does.

    Args:
        interval (int): draw every ``interval``-th batch.
        k (int): proposals per image that count.
    """

    def __init__(self, interval: int = 50, k: int = 100) -> None:
        self.interval = interval
        self.k = k
        self._objects: SideBoxes | None = None
        self._outputs: HeadOutputs | None = None
        self._stems: Counter[str] = Counter()

    def before_val_epoch(self, runner: Any) -> None:
        """Read the objects, once.

        Raises:
            UserError: if the data set knows no novel classes.
        """
        if self._objects is None and is_main_process():
            dataset = runner.val_dataloader.dataset
            self._objects = read_boxes(dataset)
            self._stems.update(
                _stem(dataset.get_data_info(i)['img_path'])
                for i in range(len(dataset))
            )

    def before_val_iter(
        self, runner: Any, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Record the head outputs if an image of the batch will be drawn."""
        model = getattr(runner.model, 'module', runner.model)
        head = getattr(model, 'bbox_head', None)
        if self._draws(batch_idx) and isinstance(head, OWPFCOSHead):
            self._outputs = HeadOutputs(model).__enter__()

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[DetDataSample] | None = None,
    ) -> None:
        """Draw the first image of the batch."""
        if not self._draws(batch_idx):
            return
        heat = None
        if self._outputs is not None:
            self._outputs.__exit__()
            heat = score_map(
                self._outputs.objectness(),
                self._outputs.head.strides,
                outputs[0],
            )
            self._outputs = None
        name = _stem(outputs[0].img_path)
        if self._stems[name] > 1:  # names may repeat in folders, ids do not
            name = f'{name}_{outputs[0].img_id}'
        runner.visualizer.add_image(
            f'proposals_{name}', self.picture(outputs[0], heat), runner.iter
        )

    def _draws(self, batch_idx: int) -> bool:
        return batch_idx % self.interval == 0 and is_main_process()

    def picture(
        self, sample: DetDataSample, heat: np.ndarray | None
    ) -> np.ndarray:
        """Draw one image.

        Args:
            sample (DetDataSample): its prediction, in pixels of the image
                file.
            heat (ndarray, optional): (H, W) objectness in [0, 1].

        Returns:
            ndarray: (height, width, 3) uint8, RGB.
        """
        image = mmcv.imread(sample.img_path, channel_order='rgb')
        proposals = proposals_of(sample)
        best = proposals.scores.argsort(descending=True)[: self.k]
        novel, base, _ = (boxes[sample.img_id] for boxes in self._objects)
        columns = 1 if heat is None else 2
        height = style.WIDTH / columns * image.shape[0] / image.shape[1] + 0.3
        with style.new_figure(1, columns, height) as (figure, axes):
            num_found, num_objects = draw_found_and_missed(
                axes[0, 0],
                image,
                novel,
                proposals.bboxes[best].cpu().numpy(),
                base,
            )
            axes[0, 0].set_title(
                f'{num_found} of {num_objects} novel objects found by '
                f'{self.k} proposals'
            )
            if heat is not None:
                draw_heat_map(axes[0, 1], image, heat)
                axes[0, 1].set_title('objectness')
            return style.as_array(figure)


def _stem(path: str) -> str:
    return osp.splitext(osp.basename(path))[0]
