"""What the tools that draw pictures share: arguments, models and images."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from mmdet.apis import init_detector
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.registry import init_default_scope
from torch import nn

from mmdet_owp.cli import labelled
from mmdet_owp.engine.checkpoint import check_exists
from mmdet_owp.engine.launch import add_cfg_options, read_config
from mmdet_owp.visualization import style
from mmdet_owp.visualization.head_outputs import HeadOutputs


class ModelFiles(NamedTuple):
    """A model that a command line names."""

    label: str
    config: str
    checkpoint: str


def _model_files(text: str) -> ModelFiles:
    label, files = labelled(text)
    if len(files) != 2:
        raise argparse.ArgumentTypeError(
            f'{text}: a model is LABEL=CONFIG,CHECKPOINT'
        )
    return ModelFiles(label, *files)


def parser(
    description: str, num: int, several: bool = False
) -> argparse.ArgumentParser:
    """Make a parser with the arguments that all of them have.

    Args:
        description (str): of the tool.
        num (int): how many images it takes by default.
        several (bool): whether it takes several models, as ``models``, a
            list of :class:`ModelFiles`, or one.
    """
    made = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if several:
        made.add_argument(
            'models',
            nargs='+',
            type=_model_files,
            metavar='LABEL=CONFIG,CHECKPOINT',
        )
    else:
        made.add_argument('config')
        made.add_argument('checkpoint')
    made.add_argument(
        '--out',
        required=True,
        type=style.picture_path,
        help='picture to write',
    )
    made.add_argument(
        '--num', type=int, default=num, help=f'images (default: {num})'
    )
    made.add_argument('--seed', type=int, default=0, help='of their choice')
    made.add_argument('--device', default='cpu')
    add_cfg_options(made)
    return made


def load(
    args: argparse.Namespace,
    files: ModelFiles | None = None,
    *,
    train: bool = False,
    augment: bool = False,
) -> tuple[nn.Module, BaseDataset]:
    """Build a model and a data set.

    Args:
        args (argparse.Namespace): of :func:`parser`.
        files (ModelFiles, optional): which of several models.
        train (bool): the images of the training instead of those of the test.
        augment (bool): prepare them as in training, not as in the test.

    Returns:
        tuple[nn.Module, BaseDataset]: the model in test mode.

    Raises:
        FileNotFoundError: in one line, if a file is missing.
    """
    files = files or args
    check_exists(files.checkpoint)
    config = read_config(files.config)
    config.merge_from_dict(args.cfg_options or {})
    init_default_scope(config.default_scope)
    dataset = _dataset(config, train)
    if train and not augment:
        dataset.update(pipeline=_dataset(config, False).pipeline)
    built = DATASETS.build(dataset)
    return init_detector(config, files.checkpoint, device=args.device), built


def _dataset(config: Config, train: bool) -> ConfigDict:
    """Config of a data set, without wrappers such as RepeatDataset."""
    loader = config.train_dataloader if train else config.test_dataloader
    dataset = loader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def richest(
    dataset: BaseDataset,
    boxes: Mapping[int, np.ndarray],
    pool: np.ndarray,
    num: int,
) -> np.ndarray:
    """Choose the images with the most boxes.

    Args:
        dataset (BaseDataset): their data set.
        boxes (dict[int, ndarray]): by image id.
        pool (ndarray): positions to choose from.
        num (int): how many.

    Returns:
        ndarray: positions, the richest first, of equal ones the later.
    """
    counts = [len(boxes[dataset.get_data_info(i)['img_id']]) for i in pool]
    return pool[np.argsort(counts, kind='stable')[::-1][:num]]


def shuffled(dataset: BaseDataset, seed: int) -> np.ndarray:
    """Positions of all images, in an order that the seed tells."""
    return np.random.default_rng(seed).permutation(len(dataset))


@torch.no_grad()
def run(
    model: nn.Module, dataset: BaseDataset, chosen: Collection[int]
) -> Iterator[tuple[DetDataSample, HeadOutputs]]:
    """Test a model on some images, one after the other.

    Args:
        model (nn.Module): of :func:`load`.
        dataset (BaseDataset): likewise.
        chosen (Collection[int]): positions in the data set.

    Yields:
        tuple[DetDataSample, HeadOutputs]: what it found, in pixels of the
        image file, and what its head said, from the same pass.

    Raises:
        ValueError: in one line, if the model has no head of FCOS.
    """
    outputs = HeadOutputs(model)
    for i in chosen:
        with outputs:
            sample = model.test_step(pseudo_collate([dataset[int(i)]]))[0]
        yield sample, outputs
