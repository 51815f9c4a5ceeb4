"""What the tools that draw a model's outputs share."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import DefaultScope
from torch import nn

from mmdet_owp import cli
from mmdet_owp.engine import launch
from mmdet_owp.engine.detector import load_detector
from mmdet_owp.engine.head_outputs import HeadOutputs
from mmdet_owp.errors import UserError


class ModelFiles(NamedTuple):
    """A model given on the command line."""

    label: str
    config: str
    checkpoint: str


def _model_files(text: str) -> ModelFiles:
    label, files = cli.labelled(text)
    if len(files) != 2:
        raise ArgumentTypeError(f'{text}: must be LABEL=CONFIG,CHECKPOINT')
    return ModelFiles(label, *files)


def drawing_parser(
    description: str, num: int, several: bool = False, pool: bool = False
) -> ArgumentParser:
    """Return a parser with the arguments that the drawing tools share.

    Args:
        description (str): of the tool.
        num (int): default number of images.
        several (bool): whether it takes several models, as ``models``, a
            list of :class:`ModelFiles`, instead of one.
        pool (bool): whether it takes the images with the most novel objects,
            see :func:`images_with_most_boxes`.
    """
    parser = cli.parser(description)
    if several:
        parser.add_argument(
            'models',
            nargs='+',
            type=_model_files,
            metavar='LABEL=CONFIG,CHECKPOINT',
        )
    else:
        parser.add_argument('config', help='config file')
        parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        required=True,
        type=cli.picture_path,
        help='picture to write (.png, .jpg, .pdf or .svg)',
    )
    parser.add_argument(
        '--num',
        type=cli.positive,
        default=num,
        help=f'number of images (default: {num})',
    )
    if pool:
        parser.add_argument(
            '--pool',
            type=cli.positive,
            default=60,
            help='number of random images to choose from (default: 60)',
        )
    parser.add_argument(
        '--seed', type=int, default=0, help='random seed of the choice'
    )
    parser.add_argument('--device', default='cpu', help='(default: cpu)')
    cli.add_cfg_options(parser)
    return parser


def load(
    args: Namespace,
    files: ModelFiles | None = None,
    *,
    train: bool = False,
    augment: bool = False,
) -> tuple[nn.Module, BaseDataset]:
    """Load a model and build a data set.

    Args:
        args (Namespace): of :func:`drawing_parser`.
        files (ModelFiles, optional): which of several models.
        train (bool): take the training images instead of the test images.
        augment (bool): prepare them as in training, not as in a test.

    Returns:
        tuple[nn.Module, BaseDataset]: the model is in eval mode.

    Raises:
        UserError: as :func:`load_detector`, or if a file of the data set is
            missing.
    """
    files = files or args
    config = launch.read_config(files.config)
    config.merge_from_dict(args.cfg_options or {})
    model = load_detector(config, files.checkpoint, args.device)
    dataset = _dataset(config, 'train' if train else 'test')
    if train and not augment:
        dataset.pipeline = _dataset(config, 'test').pipeline
    with DefaultScope.overwrite_default_scope(
        config.get('default_scope', 'mmdet')
    ):
        return model, DATASETS.build(dataset)


def _dataset(config: Config, split: str) -> ConfigDict:
    """Return the config of a data set without wrappers.

    Raises:
        UserError: if there is not exactly one, or one of its files is missing.
    """
    loader = config.get(f'{split}_dataloader') or {}
    found = list(launch.datasets(loader.get('dataset', {})))
    if len(found) != 1:
        raise UserError(
            f'{config.filename}: {split}_dataloader has {len(found)} data '
            'sets with an ann_file, but pictures are drawn of one; set it by '
            '--cfg-options'
        )
    launch.check_data(config, split)
    return found[0]


def shuffled(dataset: BaseDataset, seed: int) -> np.ndarray:
    """Return the positions of all images in random order."""
    return np.random.default_rng(seed).permutation(len(dataset))


def images_with_most_boxes(
    args: Namespace, dataset: BaseDataset, boxes: Mapping[int, np.ndarray]
) -> np.ndarray:
    """Choose ``args.num`` of ``args.pool`` random images.

    Args:
        args (Namespace): of :func:`drawing_parser`.
        dataset (BaseDataset): to choose from.
        boxes (dict[int, ndarray]): by image id.

    Returns:
        ndarray: positions, by descending number of boxes.
    """
    pool = shuffled(dataset, args.seed)[: args.pool]
    counts = [len(boxes[dataset.get_data_info(i)['img_id']]) for i in pool]
    return pool[np.argsort(counts, kind='stable')[::-1][: args.num]]


@torch.no_grad()
def run(
    model: nn.Module, dataset: BaseDataset, chosen: Collection[int]
) -> Iterator[tuple[DetDataSample, HeadOutputs]]:
    """Test a model on some images, one at a time.

    Args:
        model (nn.Module): in eval mode.
        dataset (BaseDataset): with the images.
        chosen (Collection[int]): their positions in the data set.

    Yields:
        tuple[DetDataSample, HeadOutputs]: the prediction, in pixels of the
        image file, and the head outputs of the same pass.

    Raises:
        UserError: if the model has no ``OWPFCOSHead``.
    """
    outputs = HeadOutputs(model)
    for i in chosen:
        with outputs:
            sample = model.test_step(pseudo_collate([dataset[int(i)]]))[0]
        yield sample, outputs
