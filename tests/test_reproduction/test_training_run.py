"""A training and its test as commands."""

from __future__ import annotations

import json
import sys

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

import mmdet_owp.register  # noqa: F401
from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.run_files import machine, portable
from mmdet_owp.reproduction.training_run import TrainingRun, measured_step_time


@pytest.fixture
def plan(repo, tmp_path, shapes_dir, monkeypatch):
    """Plan a run of a config of the repository."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))

    def plan_run(name='shapes/fcos_iou_cs_is_shapes', *settings, **options):
        folder = tmp_path / name.split('/')[1]
        folder.mkdir(exist_ok=True)
        return TrainingRun(
            repo / 'configs' / f'{name}.py',
            folder,
            ['randomness.seed=7', *settings],
            repo / 'tools',
            **options,
        )

    return plan_run


def test_iterations_are_those_of_the_loader(plan, mmdet_scope):
    run = plan('shapes/fcos_shapes', 'train_dataloader.batch_size=3')
    loader = Runner.build_dataloader(run.cfg.train_dataloader, seed=0)
    assert run.iterations == 3 * len(loader) == 9
    assert run.checkpoint.name == 'epoch_3.pth'
    # Three processes take three times the images per step.
    run = plan('shapes/fcos_shapes', 'train_dataloader.batch_size=1', gpus=3)
    assert run.iterations == 9


def test_iterations_of_the_paper_need_no_data(plan, monkeypatch):
    monkeypatch.setenv('COCO_ROOT', '/none')
    monkeypatch.setenv('COCO_MINI', '/none')
    run = plan('owp/fcos_iou_coco')
    assert (run.iterations, run.checkpoint.name) == (90000, 'iter_90000.pth')
    assert plan('coco_mini/fcos_mobilenetv2_coco-mini').iterations is None


@pytest.mark.parametrize('gpus, batch', [(0, 16), (1, 16), (2, 8), (8, None)])
def test_gpus_share_the_papers_batch(plan, gpus, batch):
    """A step has 16 images, which the learning rate is made for."""
    run = plan('owp/fcos_iou_coco', gpus=gpus)
    train, test = run.commands()
    assert test.words[-1].startswith('test_evaluator.0.hits_file=')
    options = [f'train_dataloader.batch_size={batch}'] if batch else []
    assert train.words[-1 - len(options) :] == [*options, 'randomness.seed=7']
    assert run.cfg.train_dataloader.batch_size * max(gpus, 1) == 16
    launchers = 'dist_{}.sh' if gpus > 1 else '{}.py'
    for command, name in ((train, 'train'), (test, 'test')):
        assert command.words[1].split('/')[-1] == launchers.format(name)
    config = train.words.index('--work-dir') - (2 if gpus > 1 else 1)
    assert train.words[config].endswith('configs/owp/fcos_iou_coco.py')
    if gpus > 1:
        assert train.words[config + 1] == test.words[4] == str(gpus)
        for command in (train, test):
            assert command.environment['PYTHON'] == sys.executable


def test_gpus_that_cannot_share(plan):
    message = '^[^\n]*16 images per step cannot be shared by 3 GPUs; set'
    with pytest.raises(UserError, match=message):
        plan('owp/fcos_iou_coco', gpus=3)
    # Unless the user sets their number.
    run = plan('owp/fcos_iou_coco', 'train_dataloader.batch_size=5', gpus=3)
    assert run.cfg.train_dataloader.batch_size == 5


def test_start_is_the_last_checkpoint_of_another(plan):
    proposer = plan()
    run = plan('shapes/fcos_iou_cs_is_frozen_shapes', start=proposer)
    train, test = run.commands()
    (option,) = (word for word in train.words if word.startswith('load_from='))
    assert option.endswith('fcos_iou_cs_is_shapes/epoch_3.pth')
    assert not any(word.startswith('load_from=') for word in test.words)
    assert run.job.start is proposer.job


def test_what_is_trained_is_tested_only(plan):
    run = plan()
    assert (run.part_done, len(run.commands())) == (0, 2)
    (run.folder / 'last_checkpoint').write_text('elsewhere/epoch_2.pth')
    assert run.part_done == pytest.approx(2 / 3)
    assert '--resume' in run.commands()[0].words
    (run.folder / 'last_checkpoint').write_text('elsewhere/epoch_3.pth')
    run.checkpoint.touch()
    (test,) = run.commands()
    assert test.words[1].endswith('tools/test.py')
    assert test.words[3].endswith('fcos_iou_cs_is_shapes/epoch_3.pth')


def test_other_settings_are_refused(plan):
    run = plan()
    run.job.commands()  # as when it is started
    assert plan().job.refused == ''
    # What does not change the results may differ.
    assert plan(options=('val_cfg=None',), gpus=2).job.refused == ''

    def refused(setting):
        return plan('shapes/fcos_iou_cs_is_shapes', setting).job.refused

    rate = 'optim_wrapper.optimizer.lr'
    assert refused(f'{rate}=0.5') == (
        f'{run.folder} was made with other settings ({rate} was '
        '0.006, is 0.5); remove it, or choose another folder'
    )
    for setting, difference in (
        ('param_scheduler.1.T_max=4', 'param_scheduler.1.T_max was 3, is 4'),
        ('model.new.key=1', "model.new was None, is {'key': 1}"),
        (
            'test_dataloader.dataset.partition=all-novel',
            "test_dataloader.dataset.partition was 'shapes', is 'all-novel'",
        ),
    ):
        assert f'({difference})' in refused(setting)
    # So may a config's own variables.
    assert refused('new.key=1') == ''
    (run.folder / 'settings.json').write_text('{"gpus')
    with pytest.raises(UserError, match='settings.json: not the settings'):
        plan()


@pytest.mark.parametrize(
    'checkpoint, difference',
    [
        ('', ''),
        # The file that open-mmlab://detectron2/resnet50_caffe downloads.
        ('/data/resnet50_msra-5891d200.pth', ''),
        ('/data/other.pth', "(weights.0 was None, is 'other.pth')"),
        (
            'open-mmlab://detectron/resnet50_caffe',
            "(weights.0 was None, is 'resnet50_caffe-788b5fa3.pth')",
        ),
    ],
)
def test_other_weights_are_other_settings(
    plan, tmp_path, checkpoint, difference
):
    """By the names of their files, not by where these are."""
    options = [f'model.backbone.init_cfg.checkpoint={checkpoint}']
    options = options if checkpoint else []
    file = tmp_path / 'run.json'
    run = plan('owp/fcos_iou_coco', *options)
    content = dict(settings=portable(run.record), tests={})
    # Earlier files do not name the weights.
    file.write_text(json.dumps(content))
    assert plan('owp/fcos_iou_coco', *options, run_file=file).note == ''
    file.write_text(json.dumps(dict(content, weights=[])))
    run = plan('owp/fcos_iou_coco', *options, run_file=file)
    assert difference in run.note and bool(run.note) == bool(difference)
    assert run.run_file == (None if difference else file)
    run.job.commands()
    content = json.loads(json.dumps(run._describe_training()))
    assert '/data/' not in json.dumps(content)
    file.write_text(json.dumps(content))
    assert plan('owp/fcos_iou_coco', *options, run_file=file).note == ''


@pytest.mark.parametrize(
    'checkpoint, names', [('', []), ('/data/other.pth', ['other.pth'])]
)
def test_weights_of_torchvision_without_it(
    plan, monkeypatch, checkpoint, names
):
    """Planning does not look them up; a file may stand in for them."""
    monkeypatch.setitem(sys.modules, 'torchvision', None)
    options = [f'model.backbone.init_cfg.checkpoint={checkpoint}']
    run = plan('oln/oln_box_coco', *(options if checkpoint else []))
    assert run.weights == names


def test_bad_cfg_options(plan):
    with pytest.raises(UserError, match='lr: must be KEY=VALUE'):
        plan('shapes/fcos_iou_cs_is_shapes', 'lr')


def test_settings_are_those_of_the_config(plan):
    channels = 'model.neck.in_channels=[8,16,32]'
    run = plan('shapes/fcos_iou_cs_is_shapes', channels)
    run.job.commands()
    record = json.loads((run.folder / 'settings.json').read_text())
    assert record['gpus'] == 0
    expected = Config.fromfile(run.config)
    expected.model.neck.in_channels = [8, 16, 32]
    model = json.loads(json.dumps(expected.model.to_dict()))
    assert record['config']['model'] == model
    assert record['config']['randomness'] == dict(seed=7)


def test_time_and_progress_of_a_log(plan, write_log):
    run = plan('shapes/fcos_iou_cs_is_shapes', 'train_dataloader.batch_size=2')
    assert measured_step_time(run.folder) is None and run.progress() == ''
    lines = [
        dict(step=step, loss=1.0, time=time)
        for step, time in ((2, 90.0), (4, 30.0), (6, 60.0))
    ]
    # A validation has a time of its own.
    lines.append({'novel_drop-base/AR@10': 0.1, 'time': 500.0, 'step': 1})
    write_log(run.folder, *lines)
    assert measured_step_time(run.folder) == 60
    assert run.progress() == 'iteration 6 of 12, 6 min left'
    (run.folder / 'last_checkpoint').write_text('epoch_3.pth')
    assert run.progress() == 'testing'


def test_machine_has_the_cores_that_the_process_may_use(monkeypatch):
    name = 'mmdet_owp.reproduction.run_files.num_cores'
    for number, text in (1, '1 CPU core, '), (3, '3 CPU cores, '):
        monkeypatch.setattr(name, lambda number=number: number)
        assert machine().startswith(text)
