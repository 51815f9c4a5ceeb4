"""What tools/train.py and tools/test.py share: arguments, checks, launching.

Both take mmdet's arguments. Beyond mmdet's own tools they run several
processes on CPUs, load checkpoints safely (see
:mod:`mmdet_owp.engine.checkpoint`), and answer bad input in one line.
"""

from __future__ import annotations

import contextlib
import datetime
import glob
import os
import os.path as osp
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

import mmdet_owp
from mmdet_owp.engine import checkpoint  # loads safely from here
from mmdet_owp.partitions import LVIS_PARTITIONS

_LVIS = (
    'put annotations/lvis_v1_{{train,val}}.json of LVIS v1 there, and '
    'train2017/ and val2017/ of COCO, or name their folder in the '
    'environment variable LVIS_ROOT'
)
# How to come by the data of a partition, for the message that it is missing.
_MAKE_DATA = {
    'shapes': 'make it with `python tools/dataset_tools/make_shapes.py --out '
    '{root}`, or name its folder in the environment variable SHAPES',
    'voc': 'put COCO 2017 there, or name its folder in the environment '
    'variable COCO_ROOT (COCO_MINI for the subset that '
    'tools/dataset_tools/make_coco_mini.py cuts)',
    **dict.fromkeys(LVIS_PARTITIONS, _LVIS),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments that mmdet's train.py and test.py have in common."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and metrics; default: '
        'work_dirs/NAME_OF_CONFIG',
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes; tools/dist_*.sh set it',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help='ignored where LOCAL_RANK is set, as torchrun does',
    )


def add_cfg_options(parser: ArgumentParser) -> None:
    """Add the argument that replaces settings of a config."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='replace settings of the config, for example '
        'train_dataloader.batch_size=4 or key="[(a,b),(c,d)]" (quoted, '
        'without spaces)',
    )


def read_config(path: str) -> Config:
    """Read a config.

    Args:
        path (str): of a file.

    Raises:
        FileNotFoundError: in one line, if there is no such config.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'{path}: no such config file; see configs/ for those there are'
        )
    return Config.fromfile(path)


def load_config(args: Namespace) -> Config:
    """Read the config and apply the common arguments to it.

    Args:
        args (Namespace): with the arguments of :func:`add_arguments`.

    Returns:
        Config: with ``launcher`` and ``work_dir`` set.

    Raises:
        FileNotFoundError: if there is no such config.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config)
    cfg.launcher = args.launcher
    cfg.merge_from_dict(args.cfg_options or {})
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        cfg.work_dir = osp.join('work_dirs', name)
    return cfg


def check_start(cfg: Config) -> None:
    """Check that the checkpoint is there that a config starts from.

    Args:
        cfg (Config): a whole config.

    Raises:
        FileNotFoundError: in one line, if it isn't; with the command that
            trains it, where its folder has the name of a config beside this.
    """
    if cfg.get('load_from') is None:
        return
    folder = osp.dirname(cfg.load_from)
    name = osp.basename(folder)
    configs = osp.dirname(osp.dirname(cfg.filename))
    remedy = None
    for config in glob.glob(osp.join(configs, '*', f'{name}.py')):
        remedy = f'make it with `python tools/train.py {config}'
        if folder != osp.join('work_dirs', name):
            remedy += f' --work-dir {folder}'
        remedy += '`'
    checkpoint.check_exists(cfg.load_from, remedy)


def check_data(cfg: Config, *splits: str) -> None:
    """Check that the files the data sets are read from are there.

    Those are annotations, images and, for a second stage, proposals.

    Args:
        cfg (Config): a whole config.
        *splits (str): of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        FileNotFoundError: in one line, naming the file and where to get it.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        for dataset in datasets(loader.dataset if loader else {}):
            root = dataset.get('data_root') or ''
            prefixes = dataset.get('data_prefix', {}).values()
            proposals = dataset.get('proposal_file')
            second_stage = [proposals] if proposals else []
            for name in (dataset.ann_file, *prefixes, *second_stage):
                path = osp.join(root, name)
                # Another storage than the disk has its own errors.
                elsewhere = '://' in path or dataset.get('backend_args')
                if elsewhere or osp.exists(path):
                    continue
                remedy = _MAKE_DATA.get(
                    str(dataset.get('partition')),
                    'set data_root, ann_file and data_prefix of '
                    f'{split}_dataloader.dataset',
                )
                if name == proposals:
                    remedy = (
                        'make it with `python tools/dump_proposals.py '
                        'CONFIG CHECKPOINT` of a proposer, or name '
                        'another by --cfg-options '
                        f'{split}_dataloader.dataset.proposal_file=...'
                    )
                raise FileNotFoundError(
                    f'{path}: no such data; ' + remedy.format(root=root)
                )


def datasets(dataset: dict) -> Iterator[dict]:
    """Yield the data sets with files inside wrappers such as ConcatDataset.

    Args:
        dataset (dict): config of a data set.

    Yields:
        dict: config of one with an ``ann_file``.
    """
    if 'ann_file' in dataset:
        yield dataset
    inner = dataset.get('dataset', dataset.get('datasets', []))
    for one in [inner] if isinstance(inner, dict) else inner:
        yield from datasets(one)


def build_runner(cfg: Config) -> Runner:
    """Build the config's runner, with processes that talk over gloo on CPUs.

    mmengine cannot start a process group without a device to set; so without
    one it is started here, before the runner looks for it.

    Args:
        cfg (Config): as :func:`load_config` returns it; changed in place.

    Raises:
        ValueError: for a launcher that needs devices, where there are none.
    """
    if (
        cfg.launcher != 'none'
        and get_device() == 'cpu'
        and not dist.is_initialized()
    ):
        init_cpu_group(cfg)
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def init_cpu_group(cfg: Config) -> None:
    """Join a gloo process group that torchrun describes in the environment.

    Args:
        cfg (Config): its ``model_wrapper_cfg`` is set so that the model isn't
            put on a device.

    Raises:
        ValueError: for another launcher than ``'pytorch'``.
    """
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'--launcher {cfg.launcher} needs CUDA; on CPUs use '
            'tools/dist_train.sh or tools/dist_test.sh'
        )
    timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout', 1800)
    dist.init_process_group(
        'gloo', timeout=datetime.timedelta(seconds=timeout)
    )
    cfg.model_wrapper_cfg = {
        # What the runner does where the config has no wrapper ...
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
        # ... except that it would name a CUDA device here.
        'device_ids': None,
    }


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line where this package refuses its input.

    Its messages for users are ``ValueError`` and ``FileNotFoundError``; any
    other exception, and those that arise in other packages, keep their
    traceback.
    """
    package = osp.dirname(osp.abspath(mmdet_owp.__file__))
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        if not osp.abspath(frame.filename).startswith(package + os.sep):
            raise
        sys.exit(f'error: {error}')
