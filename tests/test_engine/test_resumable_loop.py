from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from mmdet.datasets.samplers import AspectRatioBatchSampler
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import mmdet_owp.engine.resumable_loop  # noqa: F401
from mmdet_owp.datasets.batch_sampler import ResumableAspectRatioBatchSampler


class Images(Dataset):
    """Images of random sizes; notes which are loaded in a file."""

    def __init__(self, log=None):
        self.sizes = np.random.default_rng(0).integers(1, 9, (101, 2))
        self.log = log

    def __len__(self):
        return len(self.sizes)

    def get_data_info(self, index):
        return dict(zip(('height', 'width'), self.sizes[index].tolist()))

    def __getitem__(self, index):
        with open(self.log, 'a') as file:
            file.write(f'{index}\n')
        return dict(inputs=torch.tensor([float(index)]), index=index)


class Toy(BaseModel):
    """Notes the images of each step."""

    def __init__(self, seen):
        super().__init__()
        self.linear = nn.Linear(1, 1)
        self.seen = seen

    def forward(self, inputs, index, mode):
        self.seen.append(index.tolist())
        return dict(loss=self.linear(inputs).square().mean())


@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('sampler', [InfiniteSampler, DefaultSampler])
@pytest.mark.parametrize('drop_last', [True, False])
def test_batches_are_those_of_mmdet(sampler, shuffle, drop_last):
    """The left-over buckets of a finite sampler included."""
    args = dict(batch_size=4, drop_last=drop_last)
    theirs = AspectRatioBatchSampler(
        sampler(Images(), shuffle=shuffle, seed=3), **args
    )
    expected = [batch for batch, _ in zip(theirs, range(80))]
    ours = ResumableAspectRatioBatchSampler(
        sampler(Images(), shuffle=shuffle, seed=3), **args
    )
    for start in (0, 1, 17, len(expected)):
        ours.start = start
        found = [b for b, _ in zip(ours, range(len(expected) - start))]
        assert found == expected[start:]


def train(folder, workers, **kwargs):
    """Train for 110 iterations; return the images of each."""
    folder.mkdir()
    seen = []
    runner = Runner(
        Toy(seen),
        str(folder),
        train_dataloader=dict(
            dataset=Images(str(folder / 'loaded')),
            batch_size=4,
            num_workers=workers,
            sampler=dict(type='InfiniteSampler'),
            batch_sampler=dict(type='mmdet.ResumableAspectRatioBatchSampler'),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(type='ResumableIterBasedTrainLoop', max_iters=110),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.001)),
        randomness=dict(seed=1),
        log_level='ERROR',
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=60)
        ),
        experiment_name=f'{folder.name}_{os.urandom(4).hex()}',
        **kwargs,
    )
    runner.train()
    return seen


@pytest.mark.slow
@pytest.mark.parametrize('workers', [0, 2])
def test_resumed_run_goes_on_with_the_next_images(tmp_path, workers):
    start = str(tmp_path / 'whole/iter_60.pth')
    whole = train(tmp_path / 'whole', workers)
    resumed = train(
        tmp_path / 'resumed', workers, load_from=start, resume=True
    )
    assert resumed == whole[60:]
    assert len(resumed) == 50
    if workers == 0:  # workers of mmengine 0.10.7 load ahead at the start
        loaded = (tmp_path / 'resumed/loaded').read_text().split()
        expected = [str(i) for batch in resumed for i in batch]
        assert loaded == expected
