"""Exported proposals against those of the detector, image by image."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from mmcv.ops import nms
from mmcv.transforms import Compose
from mmdet.models.detectors import SingleStageDetector
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdet_owp.deployment.onnx_export import check_installed

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Boxes (n, 4) and scores (n, ).
Found = tuple[np.ndarray, np.ndarray]


def open_model(path: str, threads: int = 1) -> InferenceSession:
    """Open an exported model on the CPU.

    Args:
        path (str): of the file.
        threads (int): that an operator may use.

    Returns:
        InferenceSession: of onnxruntime.

    Raises:
        ValueError: in one line, if onnxruntime is not installed.
    """
    check_installed()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait busily would take the time of whatever else runs.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    return onnxruntime.InferenceSession(
        path, options, providers=['CPUExecutionProvider']
    )


def read_images(config: Config, paths: Sequence[str]) -> Iterator[np.ndarray]:
    """Read images as the test set's pipeline does.

    Args:
        config (Config): a whole config.
        paths (Sequence[str]): of image files.

    Yields:
        np.ndarray: (height, width, 3) uint8, resized.

    Raises:
        FileNotFoundError: in one line, if there is no such file.
        ValueError: likewise, if it is no image.
    """
    with DefaultScope.overwrite_default_scope('mmdet'):
        pipeline = Compose(get_test_pipeline_cfg(config))
    for number, path in enumerate(paths):
        if not osp.isfile(path):
            raise FileNotFoundError(f'{path}: no such image')
        try:
            data = pipeline(dict(img_path=path, img_id=number))
        # What mmcv raises of a damaged and of an empty file.
        except (AssertionError, cv2.error) as error:
            raise ValueError(
                f'{path}: no image, or a damaged one; give one '
                'that OpenCV reads'
            ) from error
        yield data['inputs'].permute(1, 2, 0).numpy()


@torch.no_grad()
def propose_eagerly(
    detector: SingleStageDetector, images: np.ndarray
) -> list[Found]:
    """Propose with the detector itself.

    Args:
        detector (SingleStageDetector): with an ``OWPFCOSHead``.
        images (np.ndarray): (batch, height, width, 3) uint8.

    Returns:
        list[Found]: boxes in pixels of the images and scores, by image.
    """
    size = images.shape[1:3]
    samples = detector.test_step(
        dict(
            inputs=list(torch.from_numpy(images).permute(0, 3, 1, 2)),
            data_samples=[
                DetDataSample(
                    metainfo=dict(
                        img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)
                    )
                )
                for _ in images
            ],
        )
    )
    return [
        (
            sample.proposals.bboxes.cpu().numpy(),
            sample.proposals.scores.cpu().numpy(),
        )
        for sample in samples
    ]


def propose_by_onnx(
    session: InferenceSession, images: np.ndarray, cfg: dict
) -> list[Found]:
    """Propose with an exported model.

    Args:
        session (InferenceSession): as :func:`open_model` returns it.
        images (np.ndarray): (batch, height, width, 3) uint8.
        cfg (dict): ``nms`` and ``max_per_img``, for a model whose NMS was
            left outside.

    Returns:
        list[Found]: as :func:`propose_eagerly`.
    """
    boxes, scores, *image = session.run(None, dict(images=images))
    if image:
        return [
            (boxes[image[0] == i], scores[image[0] == i])
            for i in range(len(images))
        ]
    found = []
    for box, score in zip(boxes, scores):
        box, score = box[score >= 0], score[score >= 0]
        _, kept = nms(box, score, cfg['nms']['iou_threshold'])
        kept = kept[: cfg['max_per_img']]
        found.append((box[kept], score[kept]))
    return found


def largest_difference(one: Found, other: Found) -> tuple[float, float]:
    """Compare two lists of proposals of an image, in whatever order.

    Args:
        one (Found): boxes and scores.
        other (Found): likewise.

    Returns:
        tuple[float, float]: of each proposal and the one of the other list
        that is most like it, the largest difference of a coordinate, in
        pixels, and of the scores. Infinite if only one list is empty.
    """
    if not len(one[0]) or not len(other[0]):
        worst = 0.0 if len(one[0]) == len(other[0]) else float('inf')
        return worst, worst
    box = np.abs(one[0][:, None] - other[0]).max(2)
    score = np.abs(one[1][:, None] - other[1])
    # Both count alike: scores lie in 0 to 1, boxes in about 1000 pixels.
    unlike = box / 1000 + score
    rows, columns = np.arange(len(box)), np.arange(len(box[0]))
    pairs = (
        np.concatenate([rows, unlike.argmin(0)]),
        np.concatenate([unlike.argmin(1), columns]),
    )
    return float(box[pairs].max()), float(score[pairs].max())
