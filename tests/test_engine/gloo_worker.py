"""One process's share of a training step, for test_launch.py.

Usage: gloo_worker.py FOLDER CONFIG..., under torch.distributed.run.
FOLDER/NAME_OF_CONFIG.pth is written.
"""

import sys
from pathlib import Path
from unittest import mock

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import all_reduce, get_dist_info
from mmengine.registry import DATASETS, DefaultScope

from mmdet_owp.engine import launch


def losses_and_gradients(config, launcher, work_dir):
    """Take those of the first four images, shared by the processes."""
    cfg = Config.fromfile(config)
    cfg.launcher, cfg.work_dir = launcher, str(work_dir)
    with mock.patch.object(Config, 'pretty_text', ''):  # takes seconds
        runner = launch.build_runner(cfg)
    runner.model.train()
    rank, world_size = get_dist_info()
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    share = range(rank * 4 // world_size, (rank + 1) * 4 // world_size)
    batch = pseudo_collate([dataset[i] for i in share])
    model = getattr(runner.model, 'module', runner.model)
    data = model.data_preprocessor(batch, training=True)
    total, log = model.parse_losses(runner.model(**data, mode='loss'))
    total.backward()
    losses = {name: value.detach() for name, value in log.items()}
    for value in losses.values():
        all_reduce(value, 'mean')
    gradients = {name: p.grad for name, p in model.named_parameters()}
    return dict(losses=losses, gradients=gradients)


if __name__ == '__main__':
    folder = Path(sys.argv[1])
    for config in map(Path, sys.argv[2:]):
        result = losses_and_gradients(config, 'pytorch', folder / config.stem)
        if get_dist_info()[0] == 0:
            torch.save(result, folder / f'{config.stem}.pth')
