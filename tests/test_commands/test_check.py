"""Check a data set and print its config from the command line."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mmdet_owp.commands.check import main
from mmdet_owp.shapes.dataset import make_shapes

REPO = Path(__file__).parents[2]
TOOL = REPO / 'tools/dataset_tools/check_dataset.py'
BASE = 'ring,star,7,supercategory:polygon'


@pytest.fixture(scope='module')
def own_data(tmp_path_factory):
    """The built-in images, in folders and under classes of a user's own."""
    root = tmp_path_factory.mktemp('own') / 'my data'
    make_shapes(root, seed=3, num_train=8, num_val=4, size=64)
    for part in ('train', 'val'):
        path = root / f'annotations/instances_{part}.json'
        content = json.loads(path.read_text())
        for category in content['categories']:
            sides = ('rectangle', 'triangle', 'hexagon')
            if category['name'] in sides:
                category['supercategory'] = 'polygon'
        for a in content['annotations']:
            del a['area']  # which not everybody writes
        (root / f'{part}.json').write_text(json.dumps(content))
    return root


@pytest.fixture
def tool(own_data, call_tool, monkeypatch, capsys):
    """Call the tool on the data; return exit status and output."""

    def call(*arguments, cwd=own_data):
        monkeypatch.chdir(cwd)
        status = call_tool(TOOL, *arguments)
        return status, capsys.readouterr().out

    return call


@pytest.mark.slow
def test_printed_config_trains_and_tests(
    own_data, tool, tiny_config, tmp_path, mmdet_scope
):
    """Pasted as it is, it trains and tests a classifier and proposals."""
    status, out = tool(
        *'train.json val.json --images train val --read --base'.split(),
        BASE,
        '--parent',
        tiny_config('fcos_iou_cs_is_joint_shapes'),
    )
    assert status is None, out
    assert 'hidden beside base objects' in out
    # The relative path to an absolute parent is from configs/custom.
    _, config = out.split('# Written by', 1)
    folder = own_data / 'configs/custom'
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'pasted.py'
    path.write_text('# Written by' + config)

    from mmengine.config import Config
    from mmengine.runner import Runner

    import mmdet_owp.register  # noqa: F401

    cfg = Config.fromfile(path)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = 1
    cfg.experiment_name = 'check_dataset'
    runner = Runner.from_cfg(cfg)
    runner.train()
    classes = ('rectangle', 'triangle', 'ring', 'star', 'crescent', 'hexagon')
    assert runner.train_loop.dataloader.dataset.metainfo['classes'] == classes
    assert runner.model.bbox_head.conv_cls.out_channels == 6
    metrics = runner.test()
    assert 0 <= metrics['novel_exclude-base/AR@100'] <= 1
    assert 0 <= metrics['base_class-wise/AR@100'] <= 1


def test_json_and_saved_config(own_data, tool, tmp_path):
    saved = tmp_path / 'configs/mine.py'
    status, out = tool(
        'my data/train.json',
        'my data/val.json',
        *('--images', 'my data/train', own_data / 'val'),
        *('--base', 'shapes', '--save', saved, '--json'),
        cwd=own_data.parent,
    )
    assert status is None
    report = json.loads(out)
    assert report['problems'] == 0 and saved.read_text() == report['config']
    train = report['files']['my data/train.json']
    content = json.loads((own_data / 'train.json').read_text())
    assert train['splits']['all']['boxes'] == len(content['annotations'])
    assert train['unlabelled']['hidden_boxes'] > 0
    assert "partition='shapes'" in report['config']
    # Relative and absolute paths are mixed: all become absolute.
    assert f'data_root={str(own_data)!r}' in report['config']
    assert "ann_file='train.json'" in report['config']


def test_problems_end_with_status_1(own_data, tool, tmp_path):
    content = json.loads((own_data / 'val.json').read_text())
    content['annotations'][0]['bbox'] = [1, 2, -3, 4]
    (tmp_path / 'val.json').write_text(json.dumps(content))
    arguments = (
        'train.json',
        tmp_path / 'val.json',
        *'--images val --base star'.split(),
    )
    status, out = tool(*arguments)
    # Half of the eight training images have namesakes in val/.
    assert status == '2 problems: see above'
    assert 'problem: image files not in val: 4' in out
    assert 'bbox is [1, 2, -3, 4]; it must be x, y, width, height' in out
    assert 'Written by' not in out
    status, out = tool(*arguments, '--json')
    report = json.loads(out)
    assert report['config'] is None and report['problems'] == 2
    assert status == '2 problems: see above'


@pytest.mark.parametrize('arguments, message', [
    ('no.json --base star', 'error: no annotation file no.json'),
    ('train.json --base star,cow', 'error: train.json: no class named cow'),
    ('train.json --base supercategory:cow', 'error: train.json: no '
     'supercategory cow in this file; it has: base, novel, polygon'),
    ('train.json --base voc', "error: train.json: partition 'voc'"),
    ('train.json val.json --base star --images train val --parent none.py',
     'error: none.py: no such config; give --parent a file of configs/'),
    # One problem for each use of the file, one for both being the same.
    ('train.json train.json --base star --images no', '3 problems'),
])  # fmt: skip
def test_wrong_input_gets_one_message(tool, arguments, message):
    status, _ = tool(*arguments.split())
    assert status.startswith(message) and '\n' not in status


def test_same_images_for_training_and_evaluation(own_data, tool, tmp_path):
    """By one file, by links and by copies; findings of both uses are kept."""
    status, out = tool(*'train.json train.json --base star --json'.split())
    report = json.loads(out)
    assert status == '1 problems: see above'
    assert len(report['files']) == 2
    assert 'for evaluation: 8 (' in report['findings'][0]['text']
    first, second = report['files'].values()
    assert 'training' in first and 'training' not in second
    shutil.copytree(own_data / 'train', tmp_path / 'copies')
    (tmp_path / 'linked').symlink_to(own_data / 'train')
    saved = tmp_path / 'mine.py'
    for folder in ('train', tmp_path / 'copies', tmp_path / 'linked'):
        status, out = tool(
            *'train.json train.json --base star --images train'.split(),
            *(folder, '--save', saved),
        )
        assert status == '1 problems: see above'
        assert 'problem: images for training and for evaluation: 8' in out
        saved.unlink()  # written: training would run
    # Namesakes of other content are other images.
    status, out = tool(
        *'train.json val.json --base star --images train val'.split()
    )
    assert status is None


def test_one_file_gives_no_config(tool):
    status, out = tool('train.json', '--base', BASE)
    assert status is None
    assert 'For a config, give a file to evaluate on' in out


def test_starts_without_mmdet_or_torch():
    code = (
        'import runpy, sys; '
        f'runpy.run_path({str(TOOL)!r}, run_name="tool"); '
        'sys.exit(bool({"torch", "mmdet", "mmengine"} & '
        'set(sys.modules)))'
    )
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_config_of_the_docs(own_data, tmp_path, monkeypatch):
    """The config in docs/custom_data.md is what the tool writes."""
    from mmengine.config import Config

    pages = (REPO / 'docs/custom_data.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', pages, re.S)
    paths = [tmp_path / f'custom/{n}.py' for n in ('mine', 'shorter', 'other')]
    paths[0].parent.mkdir()
    for path, block in zip(paths, blocks):
        path.write_text(block.replace("'../", f"'{REPO}/configs/"))
    path = paths[0]
    saved = path.parent / 'saved.py'
    monkeypatch.chdir(REPO)
    files = (own_data / name for name in ('train.json', 'val.json'))
    images = (own_data / name for name in ('train', 'val'))
    arguments = *files, '--images', *images, '--base', 'star,key'
    main([*map(str, arguments), '--save', str(saved)])
    ours, theirs = Config.fromfile(saved), Config.fromfile(path)
    assert set(ours) == set(theirs)
    for part in ('train', 'val', 'test'):
        a, b = (c[f'{part}_dataloader'].dataset for c in (ours, theirs))
        assert set(a) == set(b) and a.split == b.split == 'base'
    assert ours.model == theirs.model
    config = Config.fromfile(paths[1])
    assert config.param_scheduler[1].milestones == [6000, 8000]
    assert config.param_scheduler[1].type == 'MultiStepLR'
    assert config.train_cfg.type == 'ResumableIterBasedTrainLoop'
    assert config.default_hooks.checkpoint.max_keep_ckpts == 2
    dataset = Config.fromfile(paths[2]).test_dataloader.dataset
    assert len(dataset.partition) == 20 and dataset.split == 'novel'
