"""Merged parameter groups against mmengine's, one per parameter."""

import copy
import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from mmdet_owp.engine.merged_groups import ResumeMatchHook
from mmdet_owp.errors import UserError

SETTINGS = dict(
    optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.01),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={
            'tower': dict(lr_mult=0.1),
            'tower.1': dict(lr_mult=0.1, decay_mult=0.0),
        },
    ),
)
MERGED = dict(SETTINGS, constructor='MergedGroupsConstructor')


def part():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4))


@pytest.fixture
def model():
    torch.manual_seed(0)
    frozen = nn.Conv2d(3, 3, 1).requires_grad_(False)
    return nn.ModuleDict(dict(frozen=frozen, stem=part(), tower=part()))


def test_groups(model):
    groups = build_optim_wrapper(model, MERGED).optimizer.param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    got = {
        (round(group['lr'], 9), group['weight_decay']): [
            names[id(p)] for p in group['params']
        ]
        for group in groups
    }
    assert len(groups) == 4
    assert got == {
        (0.1, 0.01): ['stem.0.weight', 'stem.0.bias'],
        (0.1, 0.0): ['stem.1.weight', 'stem.1.bias'],
        (0.01, 0.01): ['tower.0.weight', 'tower.0.bias'],
        (0.01, 0.0): ['tower.1.weight', 'tower.1.bias'],
    }


def test_steps_are_those_of_unmerged_groups(model):
    usual, images = copy.deepcopy(model), torch.rand(2, 3, 8, 8)
    for one, settings in ((model, MERGED), (usual, SETTINGS)):
        optimizer = build_optim_wrapper(one, settings).optimizer
        for _ in range(3):
            loss = sum(one[name](images).sum() for name in ('stem', 'tower'))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    wanted = usual.state_dict()
    for name, value in model.state_dict().items():
        assert value.equal(wanted[name]), name


@pytest.fixture
def runner(model):
    return SimpleNamespace(
        optim_wrapper=build_optim_wrapper(model, MERGED),
        cfg=SimpleNamespace(filename='config.py'),
        logger=logging.getLogger('none'),
        work_dir='work',
        _load_from='old.pth',
        _resume=True,
    )


def test_resuming_with_other_groups(model, runner):
    hook = ResumeMatchHook()
    same = dict(optimizer=runner.optim_wrapper.state_dict())
    hook.after_load_checkpoint(runner, same)
    one_group = torch.optim.SGD(model.parameters(), lr=0.1)
    other = dict(optimizer=one_group.state_dict())
    message = (
        r'old.pth: cannot resume: its optimizer has 1 group\(s\) of 10 '
        r'parameters, that of config.py 4 of 2 \+ 2 \+ 2 \+ 2 \('
    )
    with pytest.raises(UserError, match=message):
        hook.after_load_checkpoint(runner, other)
    runner._resume = False  # its weights are welcome
    hook.after_load_checkpoint(runner, other)
    runner.optim_wrapper, runner._resume = None, True  # a test
    hook.after_load_checkpoint(runner, other)
