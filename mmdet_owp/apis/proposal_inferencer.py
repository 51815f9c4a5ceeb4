"""Images in, proposals out."""

from __future__ import annotations

import collections
import copy
import glob
import itertools
import os
import os.path as osp
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Union

import mmcv
import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.runner import CheckpointLoader
from mmengine.structures import InstanceData
from torch import nn
from tqdm import tqdm

import mmdet_owp.register  # noqa: F401
from mmdet_owp.apis.inputs import find_images
from mmdet_owp.engine.checkpoint import (
    RefusedCheckpointError,
    check_exists,
    load_checkpoint,
    load_weights,
)
from mmdet_owp.engine.launch import read_config
from mmdet_owp.evaluation.take_proposals import TakeProposals
from mmdet_owp.visualization.ranked_boxes import draw_ranked_boxes

ImageType = Union[str, os.PathLike, np.ndarray]
InputsType = Union[ImageType, Iterable[ImageType]]


class Unreadable(NamedTuple):
    """An input that no proposals could be made of.

    Attributes:
        index (int): its position in the inputs, from 0.
        name (str): its path, or ``'array 3'``.
        reason (str): why, in one line.
    """

    index: int
    name: str
    reason: str


class ProposalInferencer(DetInferencer):
    """Proposes objects on images, with any detector of this package or mmdet.

    Used as mmdet's ``DetInferencer``, except that

    - config and checkpoint must both be given: nothing is executed that a
      checkpoint carries, nor is its text of a config;
    - an image that can't be read ends nothing: it is left out and noted in
      ``unreadable``;
    - :meth:`stream` keeps no prediction in memory.

    Proposals are ``sample.proposals``; of a detector that makes none, its
    detections by score, whatever their class. Boxes are in pixels of the
    image as it is loaded: upright, if its EXIF data say how to turn it.

    Args:
        config (str | Config): a config file, or a config.
        checkpoint (str): a file or a URL, trained with that config.
        device (str, optional): such as ``'cuda:0'``. None: the best there is.
        top_k (int, optional): proposals an image, at most. None: as many as
            the config keeps.
        score_thr (float): smallest score of proposals and detections.
        nms (float, optional): IoU above which the worse of two proposals is
            suppressed, instead of that of the config.
        trust (bool): let the checkpoint, a local file, execute what it likes
            while it is loaded.
        show_progress (bool): whether calls show a progress bar.

    Attributes:
        unreadable (list[Unreadable]): inputs that the last call or stream
            left out.

    Raises:
        FileNotFoundError: in one line, if config or checkpoint isn't there.
        ValueError: likewise, if the checkpoint is damaged, refused or made by
            another config, the config has no NMS to set, or there is no such
            device.

    With the model and the data of ``tools/quickstart.sh``::

        inferencer = ProposalInferencer(
            'configs/shapes/fcos_iou_cs_is_shapes.py',
            'work_dirs/quickstart/fcos_iou_cs_is_shapes/epoch_3.pth',
            device='cpu', top_k=100)
        for sample in inferencer.stream('data/shapes/val'):
            best = sample.proposals.bboxes[0]  # x1, y1, x2, y2
            print(sample.img_path, best, sample.proposals.scores[0])
        image = np.zeros((240, 320, 3), np.uint8)  # BGR
        result = inferencer(image)['predictions'][0]  # bboxes, scores, ...
    """

    def __init__(
        self,
        config: str | Config,
        checkpoint: str,
        device: str | None = None,
        *,
        top_k: int | None = None,
        score_thr: float = 0.0,
        nms: float | None = None,
        trust: bool = False,
        show_progress: bool = True,
    ) -> None:
        if isinstance(config, str):
            config = read_config(config)
        config = copy.deepcopy(config)
        if nms is not None:
            _set_nms(config, nms)
        self.top_k = top_k
        self.score_thr = score_thr
        self.unreadable = []
        self._trust = trust
        self._take_proposals = TakeProposals()
        super().__init__(
            config,
            checkpoint,
            _usable_device(device),
            scope=config.get('default_scope', 'mmdet'),
            show_progress=show_progress,
        )

    def _init_model(self, cfg: Config, weights: str, device: str) -> nn.Module:
        """Build the model and give it the weights, safely."""
        check_exists(weights)
        try:
            checkpoint = (
                load_checkpoint(weights, trust=True)
                if self._trust
                else CheckpointLoader.load_checkpoint(
                    weights, map_location='cpu'
                )
            )
        except RefusedCheckpointError as error:
            raise RefusedCheckpointError(
                f'{error}; --trust (trust=True) loads it and executes '
                'what it carries'
            ) from error
        model = MODELS.build(cfg.model)
        load_weights(model, checkpoint, weights)
        meta = checkpoint.get('meta', {}).get('dataset_meta', {})
        self.classes = tuple(meta.get('classes', ()))
        model.cfg = cfg
        return model.to(device).eval()

    def _init_collate(self, cfg: Config) -> Callable:
        """The only one that detectors take; mmengine warns as it seeks it."""
        return pseudo_collate

    def _init_visualizer(self, cfg: Config) -> None:
        """None: :meth:`visualize` needs no visualizer of mmengine."""

    def _inputs_to_list(self, inputs: InputsType) -> Iterable:
        """Images one by one; a folder stands for those in it."""
        if isinstance(inputs, os.PathLike):
            inputs = os.fspath(inputs)
        if isinstance(inputs, str):
            if osp.isdir(inputs) or glob.has_magic(inputs):
                found = find_images([inputs])
                return [osp.join(found.folder, name) for name in found.names]
            return [inputs]
        return [inputs] if isinstance(inputs, np.ndarray) else inputs

    def _get_chunk_data(
        self, inputs: Iterable, chunk_size: int
    ) -> Iterator[list[dict]]:
        """Yield what can be read of each ``chunk_size`` inputs."""
        inputs = enumerate(inputs)
        while chunk := list(itertools.islice(inputs, chunk_size)):
            read = []
            for index, source in chunk:
                if isinstance(source, os.PathLike):
                    source = os.fspath(source)
                # Broken files make readers and transforms raise anything.
                try:
                    packed = self.pipeline(source)
                except Exception as error:
                    self._note_unreadable(index, source, error)
                    continue
                # By which a prediction is found among the inputs.
                packed['data_samples'].set_metainfo(dict(img_id=index))
                read.append(packed)
            yield read

    def _note_unreadable(
        self,
        index: int,
        source: str | np.ndarray | None,
        error: Exception | str,
    ) -> None:
        name, reason = f'array {index}', str(error)
        if isinstance(source, str):
            name = source
            if osp.isfile(source) and not osp.getsize(source):
                reason = 'an empty file'
        # OpenCV starts with its version and the line of its source.
        reason = re.sub(r'^OpenCV\S* \S+ error: ', '', reason)
        reason = ' '.join(reason.split()) or type(error).__name__
        self.unreadable.append(Unreadable(index, name, reason))

    def forward(self, inputs: dict) -> list[DetDataSample]:
        """Predict a batch.

        Args:
            inputs (dict): collated ``inputs`` and ``data_samples``.

        Returns:
            list[DetDataSample]: on the CPU, with ``proposals``, best first,
            and, where the model classifies, ``pred_instances``.
        """
        samples = super().forward(inputs)
        return [self._finish(sample) for sample in samples]

    def _finish(self, sample: DetDataSample) -> DetDataSample:
        """Keep the best, on the CPU, in a sample without anything else."""
        done = DetDataSample(metainfo=sample.metainfo)
        found = self._take_proposals(sample)
        done.proposals = self._best(found)[: self.top_k]
        if sample.pred_instances is not sample.get('proposals'):
            done.pred_instances = self._best(sample.pred_instances)
        return done

    def _best(self, found: InstanceData) -> InstanceData:
        """Those above the smallest score, best first."""
        found = InstanceData(
            bboxes=found.bboxes.cpu(),
            scores=found.scores.cpu(),
            labels=found.labels.cpu(),
        )
        found = found[found.scores >= self.score_thr]
        return found[found.scores.argsort(descending=True, stable=True)]

    def stream(
        self, inputs: InputsType, batch_size: int = 1
    ) -> Iterator[DetDataSample]:
        """Predict image by image; nothing of those before is kept.

        Args:
            inputs (str | Path | np.ndarray | Iterable): an image, a folder, a
                pattern such as ``'photos/*.jpg'``, an image as an array
                (height, width, 3), BGR uint8, or any number of images and
                arrays; a generator is read as it goes.
            batch_size (int): images that are read and, where their sizes
                are the same, go through the model at once. Predictions do
                not depend on it.

        Yields:
            DetDataSample: on the CPU, with ``proposals`` (``bboxes`` as (x1,
            y1, x2, y2) in pixels of the image, ``scores``), best first; where
            the model classifies, ``pred_instances`` with ``labels`` too.
            ``img_id`` is the image's position in the inputs, from 0,
            ``img_path`` its path, ``ori_shape`` its height and width.

        Raises:
            ValueError: in one line, if a batch does not fit in memory.
        """
        self.unreadable = []
        chunks = self._get_chunk_data(self._inputs_to_list(inputs), batch_size)
        for chunk in chunks:
            # Padded to one size, images would get other proposals.
            by_size = collections.defaultdict(list)
            for packed in chunk:
                by_size[packed['inputs'].shape].append(packed)
            samples = []
            for batch in by_size.values():
                samples += self._predict(batch)
            yield from sorted(samples, key=lambda sample: sample.img_id)

    def _predict(self, batch: list[dict]) -> list[DetDataSample]:
        """Predict images of one size; one that is too large is noted."""
        try:
            return self.forward(self.collate_fn(batch))
        except torch.OutOfMemoryError as error:
            height, width = batch[0]['inputs'].shape[-2:]
            reason = f'no memory for images of {width} x {height}'
            if len(batch) > 1:
                raise ValueError(
                    f'{reason} in a batch of {len(batch)}; go on '
                    'with a smaller batch size'
                ) from error
            sample = batch[0]['data_samples']
            self._note_unreadable(sample.img_id, sample.img_path, reason)
            return []

    def __call__(
        self,
        inputs: InputsType,
        batch_size: int = 1,
        return_datasamples: bool = False,
    ) -> dict[str, list]:
        """Predict all images at once; of many, :meth:`stream` keeps less.

        Args:
            inputs (str | Path | np.ndarray | Iterable): as in :meth:`stream`.
            batch_size (int): likewise.
            return_datasamples (bool): samples instead of dicts.

        Returns:
            dict[str, list]: ``predictions``, of each image that could be
            read a dict of :meth:`pred2dict` or a sample.
        """
        samples = self.stream(inputs, batch_size)
        if self.show_progress:
            inputs = self._inputs_to_list(inputs)
            samples = tqdm(
                samples,
                desc='Inference',
                total=len(inputs) if isinstance(inputs, list) else None,
            )
        return dict(
            predictions=[
                sample if return_datasamples else self.pred2dict(sample)
                for sample in samples
            ]
        )

    def pred2dict(self, data_sample: DetDataSample) -> dict:
        """Make plain lists and numbers of a prediction.

        Args:
            data_sample (DetDataSample): of :meth:`stream`.

        Returns:
            dict: ``img_path``, ``bboxes`` (x1, y1, x2, y2) and ``scores`` of
            the proposals and, where the model classifies, ``detections`` with
            ``bboxes``, ``scores`` and ``labels``.
        """
        result = dict(
            img_path=data_sample.img_path,
            bboxes=data_sample.proposals.bboxes.tolist(),
            scores=data_sample.proposals.scores.tolist(),
        )
        if 'pred_instances' in data_sample:
            found = data_sample.pred_instances
            result['detections'] = {
                key: found[key].tolist()
                for key in ('bboxes', 'scores', 'labels')
            }
        return result

    def visualize(
        self,
        inputs: Sequence[str | np.ndarray],
        preds: Sequence[DetDataSample],
        num_boxes: int = 30,
    ) -> list[np.ndarray]:
        """Draw the best proposals.

        Args:
            inputs (Sequence[str | np.ndarray]): images, as given to
                :meth:`stream`.
            preds (Sequence[DetDataSample]): their predictions.
            num_boxes (int): how many proposals.

        Returns:
            list[np.ndarray]: pictures (height, width, 3), BGR uint8.
        """
        return [
            draw_ranked_boxes(
                mmcv.imread(image),
                pred.proposals.bboxes[:num_boxes].numpy(),
                pred.proposals.scores[:num_boxes].numpy(),
            )
            for image, pred in zip(inputs, preds)
        ]


def _set_nms(config: Config, iou_threshold: float) -> None:
    """Set the NMS of the proposals, or of what a detector has instead."""
    test_cfg = config.model.get('test_cfg') or {}
    for part in (test_cfg.get('proposals'), test_cfg.get('rcnn'), test_cfg):
        if part and 'nms' in part:
            part.nms.iou_threshold = iou_threshold
            return
    raise ValueError(
        f'{config.filename}: its model.test_cfg has no NMS whose '
        'threshold could be set; leave --nms out'
    )


def _usable_device(device: str | None) -> str:
    """Check that a device is there; None stands for the best."""
    if device is None:
        return get_device()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f'no device {device!r} here: {str(error).splitlines()[0]}'
        ) from error
    return device
