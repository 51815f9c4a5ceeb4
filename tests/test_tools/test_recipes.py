"""Recipes of OWP-aware classification, trained on tiny data."""

from __future__ import annotations

import itertools
import os

import pytest
import torch
from mmengine.runner import Runner

from mmdet_owp.engine import launch
from mmdet_owp.engine.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow  # trainings
CLASSIFIER = ('bbox_head.cls_convs', 'bbox_head.conv_cls')
NO_VALIDATION = dict(val_cfg=None, val_dataloader=None, val_evaluator=None)
runs = itertools.count()


@pytest.fixture(scope='module', autouse=True)
def shapes(shapes_dir):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SHAPES', str(shapes_dir))
        yield


def build(config, work_dir, **options) -> Runner:
    """Build it as tools/train.py and tools/test.py do."""
    cfg = launch.load_config(str(config), str(work_dir), options)
    # Runs that begin in the same second would share one message hub.
    cfg.experiment_name = f'recipe_{os.getpid()}_{next(runs)}'
    return launch.build_runner(cfg)


def train(config, work_dir, epochs=1, **options) -> Runner:
    options = {'train_cfg.max_epochs': epochs, **NO_VALIDATION, **options}
    runner = build(config, work_dir, **options)
    runner.train()
    return runner


def weights(path):
    return load_checkpoint(path)['state_dict']


@pytest.fixture(scope='module')
def proposer(tiny_config, tmp_path_factory):
    """The config of a proposer and its checkpoint."""
    config, folder = tiny_config(), tmp_path_factory.mktemp('proposer')
    train(config, folder)
    return config, folder / 'epoch_1.pth'


def log_of(folder):
    return '\n'.join(p.read_text() for p in folder.glob('*/*.log'))


def test_finetune_starts_from_the_proposer(proposer, tiny_config, tmp_path):
    """Without a learning rate, only the classifier is added."""
    train(
        tiny_config('fcos_iou_cs_is_finetune_shapes'),
        tmp_path,
        **{'load_from': str(proposer[1]), 'optim_wrapper.optimizer.lr': 0.0},
    )
    given, got = weights(proposer[1]), weights(tmp_path / 'epoch_1.pth')
    new = {name for name in got if name.startswith(CLASSIFIER)}
    assert new and got.keys() == given.keys() | new
    for name, value in given.items():
        assert torch.equal(got[name], value), name
    # As initialized: probability 0.01.
    torch.testing.assert_close(
        got['bbox_head.conv_cls.bias'].sigmoid(), torch.full((8,), 0.01)
    )
    log = log_of(tmp_path)
    assert log.count(f'without the {len(new)} weights of') == 1
    assert 'missing keys' not in log


def predict(config, checkpoint, work_dir):
    """Return metrics and the proposals of the test images."""
    options = {'load_from': str(checkpoint), 'model.test_cfg.score_thr': 0.0}
    runner = build(config, work_dir, **options)
    proposals, test_step = [], runner.model.test_step

    def keep(batch):
        samples = test_step(batch)
        proposals.extend(sample.proposals for sample in samples)
        return samples

    runner.model.test_step = keep
    return runner.test(), proposals


def test_frozen_fb_keeps_its_proposals(proposer, tiny_config, tmp_path):
    """Bit by bit, after two epochs with weight decay and a resume."""
    config = tiny_config('fcos_iou_cs_is_frozen_fb_shapes')
    options = {
        'load_from': str(proposer[1]),
        'optim_wrapper.optimizer.weight_decay': 0.1,
        # Unless frozen, the statistics would change.
        'model.backbone.norm_eval': False,
    }
    train(config, tmp_path, epochs=1, **options)
    options.update(load_from=str(tmp_path / 'epoch_1.pth'), resume=True)
    train(config, tmp_path, epochs=2, **options)
    first, last = (weights(tmp_path / f'epoch_{i}.pth') for i in (1, 2))
    for name, value in weights(proposer[1]).items():
        assert torch.equal(last[name], value), name
    for name in last:
        kept = not name.startswith(CLASSIFIER)
        assert torch.equal(last[name], first[name]) == kept

    expected, proposals = predict(*proposer, tmp_path / 'test_proposer')
    last = tmp_path / 'epoch_2.pth'
    metrics, kept = predict(config, last, tmp_path / 'test')
    assert 0 < expected['novel_drop-base/AR@100']
    for name, value in expected.items():
        # NaN without objects of a size.
        assert metrics[name] == value or value != value, name
    assert len(kept) == len(proposals) == 4
    for ours, theirs in zip(kept, proposals):
        assert torch.equal(ours.bboxes, theirs.bboxes)
        assert torch.equal(ours.scores, theirs.scores)
    # One call gives all columns of Table 3.
    for name in ('AP', 'AR@10', 'AR@100'):
        assert 0 <= metrics[f'base_class-wise/{name}'] <= 1
        assert 0 <= metrics[f'novel_drop-base/{name}'] <= 1


def shares(runner):
    """Return the masked share of the background per iteration."""
    return runner.message_hub.get_scalar('train/masked_background').data[0]


MASKING = 'fcos_iou_cs_is_joint_unknown_shapes'
LOSS = 'model.bbox_head.loss_cls'


@pytest.fixture(scope='module')
def unmasked(tiny_config, tmp_path_factory):
    """A recipe with masking, after two epochs in which it masked nothing."""
    folder = tmp_path_factory.mktemp('unmasked')
    never = {f'{LOSS}.threshold': 1.0}
    runner = train(tiny_config(MASKING), folder, epochs=2, **never)
    assert len(shares(runner)) == 8 and not shares(runner).any()
    return runner.model.state_dict()


@pytest.mark.parametrize('start_iter, first', [(2, 2), (0.75, 6)])
def test_start_of_masking_survives_a_resume(
    tiny_config, tmp_path, unmasked, start_iter, first
):
    """Two epochs of four iterations, the second one resumed."""
    config = tiny_config(MASKING)
    options = {f'{LOSS}.threshold': 0.3, f'{LOSS}.start_iter': start_iter}
    whole = train(config, tmp_path / 'whole', epochs=2, **options)
    first_epoch = str(tmp_path / 'whole/epoch_1.pth')
    start = dict(load_from=first_epoch, resume=True)
    resumed = train(config, tmp_path / 'resumed', epochs=2, **start, **options)
    assert resumed.message_hub is not whole.message_hub
    expected = shares(whole)
    assert len(expected) == 8
    assert (expected[:first] == 0).all() and (expected[first:] > 0).all()
    assert shares(resumed).tolist() == expected.tolist()
    for name, value in weights(tmp_path / 'whole/epoch_2.pth').items():
        got = resumed.model.state_dict()[name]
        assert torch.equal(got, value), name
    # Masking has changed the weights.
    name = 'bbox_head.conv_cls.weight'
    assert not torch.equal(unmasked[name], whole.model.state_dict()[name])


def test_two_processes_train_frozen_fb(proposer, tiny_config, tmp_path, run):
    """Several steps, without a search for unused parameters."""
    config = tiny_config('fcos_iou_cs_is_frozen_fb_shapes')
    status, output = run(
        f'bash tools/dist_train.sh {config} 2 --work-dir {tmp_path} '
        f'--cfg-options load_from={proposer[1]} train_cfg.max_epochs=2',
        *(f'{key}=None' for key in NO_VALIDATION),
    )
    assert status == 0, output
    last = weights(tmp_path / 'epoch_2.pth')
    for name, value in weights(proposer[1]).items():
        assert torch.equal(last[name], value), name
