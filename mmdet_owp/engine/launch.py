"""What the tools that train and test share: arguments, checks, the runner.

They take mmdet's arguments. Unlike mmdet's own tools they run several
processes on CPUs and load checkpoints safely.
"""

from __future__ import annotations

import datetime
import glob
import os
import os.path as osp
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmdet_owp.cli import add_cfg_options
from mmdet_owp.cores import num_cores

# Importing it makes mmengine's loaders of checkpoints safe.
from mmdet_owp.engine.checkpoint import check_exists
from mmdet_owp.errors import UserError, check_writable
from mmdet_owp.partitions import LVIS_PARTITIONS

_LVIS = (
    'put annotations/lvis_v1_{{train,val}}.json of LVIS v1 there, and '
    'train2017/ and val2017/ of COCO, or name their folder in the '
    'environment variable LVIS_ROOT'
)
# How to get the data of a partition, for the message that it is missing.
_MAKE_DATA = {
    'shapes': 'make it with `python tools/dataset_tools/make_shapes.py --out '
    '{root}`, or name its folder in the environment variable SHAPES',
    'voc': 'put COCO 2017 there, or name its folder in the environment '
    'variable COCO_ROOT (COCO_MINI for the subset that '
    'tools/dataset_tools/make_coco_mini.py cuts, REAL_MINI for what '
    'merge_coco.py merges)',
    **dict.fromkeys(LVIS_PARTITIONS, _LVIS),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments that mmdet's train.py and test.py have in common."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='folder for logs, checkpoints and metrics (default: '
        'work_dirs/NAME_OF_CONFIG)',
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes; tools/dist_*.sh set it',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help='ignored if LOCAL_RANK is set, as torchrun does',
    )


def read_config(path: str) -> Config:
    """Read a config file.

    Raises:
        UserError: if there is no such file.
    """
    if not osp.isfile(path):
        raise UserError(
            f'{path}: no such config file; see configs/ for those there are'
        )
    return Config.fromfile(path)


def load_config(
    path: str,
    work_dir: str | None = None,
    cfg_options: dict | None = None,
    launcher: str = 'none',
    local_rank: int = 0,
) -> Config:
    """Read a config and apply the arguments of :func:`add_arguments`.

    Returns:
        Config: with ``launcher`` and ``work_dir`` set.

    Raises:
        UserError: if there is no such config, or the work folder cannot be
            written to.
    """
    os.environ.setdefault('LOCAL_RANK', str(local_rank))
    cfg = read_config(path)
    cfg.launcher = launcher
    if torch.cuda.is_available():
        feed_gpu(cfg)
    cfg.merge_from_dict(cfg_options or {})
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        name = osp.splitext(osp.basename(path))[0]
        cfg.work_dir = osp.join('work_dirs', name)
    check_writable(cfg.work_dir, folder=True)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader') or {}
        if loader.get('num_workers') == 0:  # PyTorch refuses the two then
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)
    return cfg


def feed_gpu(cfg: Config) -> None:
    """Pin the memory of loaders and raise their workers to the cores per GPU.

    The cores are those that this process may use. At most 8 workers; a loader
    keeps ``pin_memory`` if it has it, and its own number of workers if that is
    larger or 0.

    Args:
        cfg (Config): changed in place.
    """
    num_gpus = torch.cuda.device_count() if cfg.launcher != 'none' else 1
    cores = num_cores() // max(1, num_gpus)
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if loader:
            loader.pin_memory = loader.get('pin_memory', True)
            if loader.get('num_workers'):
                loader.num_workers = max(loader.num_workers, min(8, cores))


def config_of(args: Namespace) -> Config:
    """Load the config that :func:`add_arguments` describes."""
    names = ('work_dir', 'cfg_options', 'launcher', 'local_rank')
    return load_config(args.config, *(getattr(args, name) for name in names))


def check_start(cfg: Config) -> None:
    """Check that the checkpoint exists that a training starts from.

    Raises:
        UserError: if not; the message has the command that trains it if its
            folder is named after one of the configs.
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
    check_exists(cfg.load_from, remedy)


def check_data(cfg: Config, *splits: str) -> None:
    """Check that annotations, images and proposals of data sets exist.

    Args:
        cfg (Config): a whole config.
        *splits (str): any of ``'train'``, ``'val'`` and ``'test'``.

    Raises:
        UserError: if a file or folder does not exist; the message says how to
            get it.
    """
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        for dataset in datasets(loader.dataset if loader else {}):
            _check_files(dataset, f'{split}_dataloader.dataset')


def _check_files(dataset: dict, key: str) -> None:
    """Check the files of the data set at ``key`` of the config."""
    root = dataset.get('data_root') or ''
    remedy = _MAKE_DATA.get(
        str(dataset.get('partition')),
        f'set data_root, ann_file and data_prefix of {key}',
    ).format(root=root)
    files = [dataset['ann_file'], *dataset.get('data_prefix', {}).values()]
    remedies = dict.fromkeys(files, remedy)
    if dataset.get('proposal_file'):
        remedies[dataset['proposal_file']] = (
            'make it with `python tools/dump_proposals.py CONFIG CHECKPOINT` '
            'of a proposer, or name another by --cfg-options '
            f'{key}.proposal_file=...'
        )
    for name, remedy in remedies.items():
        path = osp.join(root, name)
        # Other storage than the disk reports its own errors.
        is_remote = '://' in path or dataset.get('backend_args')
        if not is_remote and not osp.exists(path):
            raise UserError(f'{path}: no such data; {remedy}')


def datasets(dataset: dict) -> Iterator[dict]:
    """Yield the data sets with an ``ann_file`` inside wrappers.

    Args:
        dataset (dict): config of a data set or of a wrapper such as
            ``ConcatDataset``.
    """
    if 'ann_file' in dataset:
        yield dataset
    inner = dataset.get('dataset', dataset.get('datasets', []))
    for one in [inner] if isinstance(inner, dict) else inner:
        yield from datasets(one)


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config; several processes on CPUs use gloo.

    mmengine needs a CUDA device to start a process group. Without one, the
    group is started here, before the runner looks for it.

    Args:
        cfg (Config): from :func:`load_config`; changed in place.

    Raises:
        UserError: if the launcher needs CUDA and there is none.
    """
    if cfg.launcher != 'none' and get_device() == 'cpu':
        init_cpu_group(cfg)
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def init_cpu_group(cfg: Config) -> None:
    """Join the gloo process group that torchrun describes, once.

    Args:
        cfg (Config): its ``model_wrapper_cfg`` is set so that the model stays
            on the CPU.

    Raises:
        UserError: for another launcher than ``'pytorch'``.
    """
    if cfg.launcher != 'pytorch':
        raise UserError(
            f'--launcher {cfg.launcher} needs CUDA; on CPUs use '
            'tools/dist_train.sh or tools/dist_test.sh'
        )
    if not dist.is_initialized():
        settings = cfg.get('env_cfg', {}).get('dist_cfg', {})
        timeout = datetime.timedelta(seconds=settings.get('timeout', 1800))
        dist.init_process_group('gloo', timeout=timeout)
    cfg.model_wrapper_cfg = {
        # The runner's defaults ...
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
        # ... except that it would name a CUDA device here.
        'device_ids': None,
    }
