"""What the tools that draw pictures share: arguments, model and images."""
from __future__ import annotations

import argparse

import matplotlib
from mmdet.apis import init_detector
from mmdet.registry import DATASETS
from mmengine.config import DictAction
from mmengine.dataset import BaseDataset
from mmengine.registry import init_default_scope
from torch import nn

from mmdet_owp.engine.checkpoint import check_exists
from mmdet_owp.engine.launch import read_config


def parser(description: str, num: int) -> argparse.ArgumentParser:
    """Make a parser with the arguments that all of them have.

    Args:
        description (str): of the tool.
        num (int): how many images it draws by default.
    """
    made = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('config')
    made.add_argument('checkpoint')
    made.add_argument('--out', required=True, help='picture to write')
    made.add_argument('--num', type=int, default=num, help='images')
    made.add_argument('--seed', type=int, default=0)
    made.add_argument('--device', default='cpu')
    made.add_argument('--cfg-options', nargs='+', action=DictAction)
    return made


def load(args: argparse.Namespace,
         part: str) -> tuple[nn.Module, BaseDataset]:
    """Build the model and a data set, and set matplotlib to write files.

    Args:
        args (argparse.Namespace): of :func:`parser`.
        part (str): ``'train'`` or ``'test'``, whose data set it is.

    Returns:
        tuple[nn.Module, BaseDataset]: the model in test mode.

    Raises:
        FileNotFoundError: in one line, if a file is missing.
    """
    matplotlib.use('Agg')
    check_exists(args.checkpoint)
    config = read_config(args.config)
    config.merge_from_dict(args.cfg_options or {})
    init_default_scope(config.default_scope)
    dataset = DATASETS.build(config[f'{part}_dataloader'].dataset)
    return init_detector(
        config, args.checkpoint, device=args.device), dataset
