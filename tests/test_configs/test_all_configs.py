"""Every config builds, trains one step and tests one, at a tiny size."""

from __future__ import annotations

import json
import re
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
from mmdet.datasets import Objects365V2Dataset
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import METRICS, DefaultScope
from mmengine.runner import Runner
from torch import nn
from voc_tree import write_voc

import mmdet_owp.register  # noqa: F401
from mmdet_owp import partitions
from mmdet_owp.datasets.lvis_split import LVISSplitDataset
from mmdet_owp.engine.launch import datasets
from mmdet_owp.shapes.lvis import to_lvis
from mmdet_owp.shapes.objects import FAMILIES

REPO = Path(__file__).parents[2]
CONFIGS = sorted(
    str(p.relative_to(REPO))
    for p in (REPO / 'configs').glob('[!_]*/*.py')
    # Those read proposals: test_fast_rcnn.py.
    if not p.name.startswith('fast_rcnn_')
)


PARTS = ('train2017', 'val2017', 'train', 'val')


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def coco_content(classes: dict[int, str], images: list[dict]) -> dict:
    """Return an annotation file with 80 boxes per image, one of a crowd."""
    rng = np.random.default_rng(0)
    categories = [dict(id=i, name=n) for i, n in sorted(classes.items())]
    annotations = [
        dict(
            id=n + 1,
            image_id=images[n % len(images)]['id'],
            category_id=categories[n // 4 % len(categories)]['id'],
            bbox=[*rng.uniform(0, 50, 2), 30.0, 20.0],
            area=600.0,
            iscrowd=int(n == 3),
            segmentation=[],
        )
        for n in range(80 * len(images))
    ]
    return dict(images=images, annotations=annotations, categories=categories)


@pytest.fixture(scope='module')
def data_roots(tmp_path_factory):
    """Four images in every format and under every path of the configs."""
    root = tmp_path_factory.mktemp('coco')
    rng = np.random.default_rng(0)
    images = [
        dict(id=i, file_name=f'{i}.png', width=96, height=72)
        for i in range(1, 5)
    ]
    for part in PARTS:
        for image in images:
            pixels = rng.integers(0, 256, (72, 96, 3), np.uint8)
            mmcv.imwrite(pixels, str(root / part / image['file_name']))
    coco_classes = {**partitions.COCO_VOC, **partitions.COCO_NON_VOC}
    for name, classes in (('coco', coco_classes), ('shapes', FAMILIES)):
        content = coco_content(classes, images)
        for part in PARTS:
            file = root / name / 'annotations' / f'instances_{part}.json'
            write_json(file, content)
            (root / name / part).symlink_to(root / part)
        if name == 'coco':
            write_voc(content, root / 'train', root / 'VOCdevkit')
    for part in ('train', 'val'):
        file = root / 'lvis' / 'annotations' / f'lvis_v1_{part}.json'
        write_json(file, to_lvis(content, f'{part}2017'))
        (root / 'lvis' / f'{part}2017').symlink_to(root / f'{part}2017')
    # A set of another kind: objects without classes, in folders of videos.
    frames = [dict(i, file_name=f'video/{i["file_name"]}') for i in images[:2]]
    content = coco_content({7: 'object'}, frames)
    write_json(root / 'uvo/FrameSet/UVO_frame_val.json', content)
    (root / 'uvo/uvo_videos_sparse_frames').mkdir()
    (root / 'uvo/uvo_videos_sparse_frames/video').symlink_to(root / 'val')
    return dict(
        UVO_ROOT=str(root / 'uvo'),
        VOC_ROOT=str(root / 'VOCdevkit'),
        LVIS_ROOT=str(root / 'lvis'),
        COCO_ROOT=str(root / 'coco'),
        COCO_MINI=str(root / 'coco'),
        REAL_MINI=str(root / 'coco'),
        SHAPES=str(root / 'shapes'),
    )


def build_test(config):
    """Build the test data and the first metric, which takes its metainfo."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(config.test_dataloader.dataset)
        metric = METRICS.build(config.test_evaluator[0])
    metric.dataset_meta = dataset.metainfo
    return dataset, metric


def load(path, data_roots, monkeypatch):
    for name, value in data_roots.items():
        monkeypatch.setenv(name, value)
    config = Config.fromfile(REPO / path)
    config.model.backbone.init_cfg = None
    for loader in (config.train_dataloader, config.test_dataloader):
        loader.batch_size = 2
        loader.num_workers = 0
        loader.persistent_workers = False
        for dataset in datasets(loader.dataset):
            for step in dataset.pipeline:
                if step.type == 'Resize':
                    step.scale = (96, 72)
    return config


def expected_losses(model):
    """Return the names that a training step of this model must log."""
    expected = {'loss'}
    if 'rpn_head' in model:
        ours = model.rpn_head.type == 'OLNRPNHead'
        expected |= {'loss_rpn_bbox', f'loss_rpn_{"obj" if ours else "cls"}'}
        if model.roi_head is None:
            return expected
        expected.add('loss_bbox')
        if ours:
            expected.add('loss_bbox_score')
        if model.roi_head.bbox_head.get('loss_cls'):
            expected |= {'loss_cls', 'acc'}
        return expected
    head = model.bbox_head
    if not head.get('freeze_regression'):
        expected |= {'loss_bbox'} | {f'loss_{c}' for c in head.objectness}
        if head.get('refine'):
            expected.add('loss_bbox_refine')
        if head.get('presence_masking'):
            expected.add('presence_masked_background')
    if head.loss_cls is not None:
        expected.add('loss_cls')
        if head.loss_cls.type == 'UnknownMaskFocalLoss':
            expected |= {'masked_background', 'background_objectness_max'}
    return expected


@pytest.mark.slow
@pytest.mark.parametrize('path', CONFIGS)
def test_config_trains_and_tests(path, data_roots, monkeypatch):
    config = load(path, data_roots, monkeypatch)
    torch.manual_seed(0)
    np.random.seed(0)  # of the flips
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
        model.init_weights()
        optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        loader = Runner.build_dataloader(config.train_dataloader, seed=0)
        batch = next(iter(loader))
        log = model.train().train_step(batch, optim_wrapper)
        assert set(log) == expected_losses(config.model)
        assert all(value.isfinite() for value in log.values())
        head = config.model.get('bbox_head', {})
        for name, parameter in model.named_parameters():
            if 'head' in name:
                frozen = head.get('freeze_regression') and 'cls' not in name
                moved = not torch.equal(parameter, before[name])
                assert moved != bool(frozen), name
        # Weights without a gradient stop DDP, unless it is told of them.
        unused = [
            name
            for name, parameter in model.named_parameters()
            if parameter.requires_grad
            and parameter.dim() > 1
            and torch.equal(parameter, before[name])
        ]
        fb = config.model.type == 'FrozenFeaturesFCOS'
        assert bool(unused) == ('find_unused_parameters' in config and not fb)

        loader = Runner.build_dataloader(config.test_dataloader)
        metric = METRICS.build(config.test_evaluator[0])
        metric.dataset_meta = loader.dataset.metainfo
        for batch in loader:
            with torch.no_grad():
                samples = model.eval().test_step(batch)
            # mmdet's own heads make none: the metric takes detections.
            for sample in samples:
                ours = 'class_agnostic' not in path
                assert ('proposals' in sample) == ours
                assert len(sample.get('proposals', sample.pred_instances)) > 0
            metric.process(batch, [s.to_dict() for s in samples])
        results = metric.evaluate(len(loader.dataset))
    if '_lvis' in path:
        count = 'lvis-count' in path
        prefix, nums = 'lvis-count_' if count else 'lvis-id_', (300,)
    else:
        prefix, nums = '', (10, 100)
    splits, protocols = ('novel', 'base'), ('drop-base', 'exclude-base', 'oln')
    if '-to-uvo' in path:  # another data set, without base classes
        splits, protocols = splits[:1], protocols[:1]
    for split in splits:
        for protocol in protocols:
            for k in nums:
                name = f'{prefix}{split}_{protocol}/AR@{k}'
                assert 0 <= results[name] <= 1


def test_paper_recipe(data_roots, monkeypatch):
    """What READINGS fixes and mmdet's defaults set otherwise."""
    path = 'configs/owp/fcos_iou_cs_is_coco.py'
    config = load(path, data_roots, monkeypatch)
    assert config.train_cfg.max_iters == 90000
    assert config.param_scheduler[1].milestones == [60000, 80000]
    assert config.param_scheduler[0].end == 1000
    assert config.auto_scale_lr.base_batch_size == 16
    rates = dict(lr=0.01, momentum=0.9, weight_decay=0.0001)
    assert config.optim_wrapper.optimizer == dict(type='SGD', **rates)
    assert config.optim_wrapper.paramwise_cfg == dict(norm_decay_mult=0)
    assert config.train_dataloader.sampler.type == 'InfiniteSampler'


def test_oln_recipe():
    """READINGS, Sec. 8, where mmdet's defaults differ."""
    config = Config.fromfile(REPO / 'configs/oln/oln_box_coco.py')
    assert config.train_cfg.max_epochs == 8
    warmup, steps = config.param_scheduler
    assert (warmup.end, steps.milestones) == (500, [6, 7]) and steps.by_epoch
    assert config.optim_wrapper.optimizer.lr == 0.02
    assert config.auto_scale_lr.base_batch_size == 16
    assert config.train_dataloader.sampler.type == 'DefaultSampler'
    weights = config.model.backbone.init_cfg.checkpoint
    assert weights == 'torchvision://resnet50'
    alone = Config.fromfile(REPO / 'configs/oln/oln_rpn_coco.py').model
    assert alone.rpn_head == config.model.rpn_head
    assert alone.train_cfg == config.model.train_cfg
    test = config.model.test_cfg
    assert test.rpn.nms is None and alone.test_cfg.rpn.nms.iou_threshold == 0.7
    kept = (test.rcnn.proposals.max_per_img, alone.test_cfg.rpn.max_per_img)
    assert kept == (1500, 1500)


def test_oln_solver_on_shapes():
    """The rate drops after the same shares of the training as on COCO."""
    for name, shares in (
        ('oln_box_shapes', (6 / 8, 7 / 8)),
        ('fcos_iou_cs_is_sgd_shapes', (60 / 90, 80 / 90)),
    ):
        config = Config.fromfile(REPO / f'configs/shapes/{name}.py')
        steps = config.param_scheduler[1]
        assert steps.milestones == [round(s * steps.end) for s in shares]
        assert not steps.by_epoch
    adamw = Config.fromfile(REPO / 'configs/shapes/oln_box_adamw_shapes.py')
    ours = Config.fromfile(REPO / 'configs/shapes/fcos_iou_cs_is_shapes.py')
    assert adamw.optim_wrapper == ours.optim_wrapper
    assert adamw.param_scheduler == ours.param_scheduler


LVIS = (
    'fcos/fcos',
    'owp/fcos_iou_cs_is',
    'owp_cls/fcos_iou_cs_is_joint',
    'owp_cls/fcos_iou_cs_is_joint_unknown',
    'owp_cls/fcos_iou_cs_is_joint_unknown_area',
)


@pytest.mark.parametrize('data', ['lvis', 'lvis-count'])
@pytest.mark.parametrize('name', LVIS)
def test_lvis_is_the_coco_recipe(name, data):
    """LVIS differs from COCO in classes, thresholds and lengths of lists."""
    coco = Config.fromfile(REPO / f'configs/{name}_coco.py')
    lvis = Config.fromfile(REPO / f'configs/{name}_{data}.py')
    partition = 'lvis-count' if data == 'lvis-count' else 'lvis-id'
    same = (
        'train_cfg optim_wrapper param_scheduler auto_scale_lr log_processor '
        'load_from'
    )
    for key in same.split():
        assert lvis[key] == coco[key], key
    expected = coco.model
    expected.bbox_head.num_classes = 1103
    expected.test_cfg.update(score_thr=0.0001, max_per_img=300)
    assert lvis.model == expected
    assert lvis.model.test_cfg.proposals.max_per_img == 1500
    loaders = ('train', 'val', 'test')
    for loader in (lvis[f'{name}_dataloader'] for name in loaders):
        assert loader.dataset.type == 'LVISSplitDataset'
        assert loader.dataset.partition == partition
        assert loader.dataset.split == 'base'
    for kind in ('train', 'val'):
        ours, theirs = (c[f'{kind}_dataloader'] for c in (lvis, coco))
        assert ours.dataset.pipeline == theirs.dataset.pipeline
        assert ours.batch_size == theirs.batch_size
    recall, *class_wise = lvis.test_evaluator
    assert lvis.val_evaluator == lvis.test_evaluator
    assert recall.proposal_nums[-1] == 300
    assert recall.protocol == ('drop-base', 'exclude-base', 'oln')
    assert bool(class_wise) == (lvis.model.bbox_head.loss_cls is not None)
    # They take it from the data set.
    assert not any('partition' in metric for metric in lvis.test_evaluator)
    for metric in class_wise:
        assert (metric.type, metric.style) == ('ClassWiseMetric', 'lvis')


@pytest.mark.slow
@pytest.mark.parametrize(
    'name, trained_on', [('coco-to-uvo', 20), ('coco80-to-uvo', 80)]
)
def test_trained_here_tested_there(name, trained_on, data_roots, monkeypatch):
    """Training and validation are COCO's, the test is on all of UVO."""
    config = load(
        f'configs/owp/fcos_iou_cs_is_{name}.py', data_roots, monkeypatch
    )
    with DefaultScope.overwrite_default_scope('mmdet'):
        train, val = (
            DATASETS.build(config[f'{part}_dataloader'].dataset)
            for part in ('train', 'val')
        )
    test, metric = build_test(config)
    assert len(train.metainfo['classes']) == trained_on
    assert config.model.bbox_head.num_classes == trained_on
    for key in ('classes', 'partition'):
        assert val.metainfo[key] == train.metainfo[key]
    assert val.ann_file.endswith('coco/annotations/instances_val2017.json')
    assert test.metainfo['classes'] == ('object',) and len(test) == 2
    assert len(metric.ground_truth.boxes) == 160
    # Only what is tested on differs from the config on COCO.
    coco = Config.fromfile(REPO / 'configs/owp/fcos_iou_cs_is_coco.py')
    coco.model.bbox_head.num_classes = trained_on
    coco.model.backbone.init_cfg = None
    for key in ('model', 'train_cfg', 'optim_wrapper', 'param_scheduler'):
        assert config[key] == coco[key], key


def config_of(page, key, folder):
    """Write the one config of a page that has ``key``, return its path."""
    text = (REPO / 'docs' / page).read_text()
    blocks = re.findall(r'```python\n(.*?)```', text, re.S)
    (code,) = (block for block in blocks if key in block)
    for name in ('owp', 'owp_cls'):
        code = code.replace(f"'../{name}/", f"'{REPO}/configs/{name}/")
    path = folder / 'config.py'
    path.write_text(code.replace("'./", f"'{REPO}/configs/owp_cls/"))
    return path


def test_docs_objects365(data_roots, tmp_path, monkeypatch):
    """The config of docs/custom_data.md for a set with classes of both."""
    classes = Objects365V2Dataset.METAINFO['classes']
    images = [
        dict(id=i, file_name=f'images/v1/patch8/{i}.png', width=96, height=72)
        for i in range(1, 6)
    ]
    root = tmp_path / 'objects365'
    write_json(
        root / 'annotations/zhiyuan_objv2_val.json',
        coco_content(dict(enumerate(classes, 1)), images),
    )
    path = config_of('custom_data.md', 'objv2', tmp_path)
    path.write_text(path.read_text().replace('data/objects365', str(root)))
    for name, value in data_roots.items():
        monkeypatch.setenv(name, value)
    config = Config.fromfile(path)
    test, metric = build_test(config)
    seen = config.test_dataloader.dataset.partition
    assert len(seen) == 20 and set(seen) <= set(classes)
    assert len(test.metainfo['classes']) == 345
    first = str(root / 'images/v1/patch8/1.png')
    assert test.get_data_info(0)['img_path'] == first
    base = tuple(c for c in classes if c in seen)
    assert metric.partition.names('base') == base
    assert len(metric.partition.novel) == 345
    assert config.train_dataloader.dataset.partition == 'voc'
    assert config.val_dataloader.dataset.partition == 'voc'


def test_docs_repeat_rare_classes(data_roots, tmp_path, monkeypatch):
    """The config of docs/lvis.md: repeat-factor sampling."""
    monkeypatch.setenv('LVIS_ROOT', data_roots['LVIS_ROOT'])
    config = Config.fromfile(config_of('lvis.md', 'oversample', tmp_path))
    config.train_dataloader.dataset.oversample_thr = 100.0
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = DATASETS.build(config.train_dataloader.dataset)
    assert isinstance(dataset.dataset, LVISSplitDataset)
    assert len(dataset) >= 10 * len(dataset.dataset) > 0
    assert dataset[0]['data_samples'].gt_instances.labels.max() < 1103


RECIPES = """
    joint joint_fb finetune finetune_fb frozen frozen_fb joint_unknown
    finetune_unknown joint_unknown_area joint_unknown_area_nms
""".split()
SETS = {
    'coco': ('owp_cls', 'iter_90000.pth'),
    'mobilenetv2_coco-mini': ('coco_mini', 'epoch_6.pth'),
    'shapes': ('shapes', 'epoch_3.pth'),
}


@pytest.mark.parametrize('data', SETS)
@pytest.mark.parametrize('recipe', RECIPES)
def test_recipe(recipe, data):
    """The table of READINGS, Sec. 4, in the groups of the optimizer."""
    folder, checkpoint = SETS[data]
    proposer = f'fcos_iou_cs_is_{data}'
    config = Config.fromfile(
        REPO / f'configs/{folder}/fcos_iou_cs_is_{recipe}_{data}.py'
    )
    name, *options = recipe.split('_')
    config.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config.model)
        optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
        stock = MODELS.build(dict(config.model, type='FCOS'))
    rate = config.optim_wrapper.optimizer.lr
    rates = {
        id(parameter): group['lr'] / rate
        for group in optimizer.param_groups
        for parameter in group['params']
        if parameter.requires_grad
    }
    decays = {
        id(parameter): group['weight_decay']
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    if data == 'coco':
        assert len(optimizer.param_groups) <= 4
    # As stock detectors freeze them.
    usual = {k for k, p in stock.named_parameters() if not p.requires_grad}
    regression = {'joint': 1, 'finetune': 0.1, 'frozen': None}[name]
    for key, parameter in model.named_parameters():
        expected = 1.0
        if not key.startswith('bbox_head'):
            expected = None if 'fb' in options or key in usual else 1.0
        elif 'cls' not in key:
            expected = regression
        assert rates.get(id(parameter)) == pytest.approx(expected), key
        if expected is not None:  # FCOS has no weight decay on norms
            is_norm = '.gn.' in key or '.bn' in key or 'downsample.1' in key
            decay = config.optim_wrapper.optimizer.weight_decay
            decay *= not (is_norm and data == 'coco')
            assert decays[id(parameter)] == decay, key

    start = None if name == 'joint' else f'work_dirs/{proposer}/{checkpoint}'
    assert config.load_from == start
    assert ('custom_hooks' in config) == (name != 'joint')
    # Where load_from points is where that config's training ends.
    parent = Config.fromfile(next((REPO / 'configs').glob(f'*/{proposer}.py')))
    loop = parent.train_cfg
    last = loop.get('max_iters') or loop.max_epochs
    assert checkpoint.split('_')[1] == f'{last}.pth'

    loss = config.model.bbox_head.loss_cls
    assert (loss.type == 'UnknownMaskFocalLoss') == ('unknown' in options)
    if 'unknown' in options:
        masking = dict(joint=(0.95, 5000), finetune=(0.925, 30000))
        threshold, start = masking[name]
        assert loss.threshold == threshold
        assert loss.start_iter * 90000 == pytest.approx(start, abs=1e-6)
        assert loss.get('mode') == ('area' if 'area' in options else None)
        assert (loss.get('nms') is not None) == ('nms' in options)
        logged = {c.data_src for c in config.log_processor.custom_cfg}
        assert logged == {'masked_background', 'background_objectness_max'}


@pytest.mark.parametrize('recipe', ['finetune', 'finetune_90k', 'frozen'])
def test_recipe_of_all_parts(recipe):
    """Whatever predicts boxes and cues learns slowly, or is frozen."""
    methods = Config.fromfile(REPO / 'configs/_base_/methods.py')
    head = dict(
        type='OWPFCOSHead',
        num_classes=8,
        in_channels=8,
        feat_channels=8,
        norm_cfg=dict(type='GN', num_groups=2),
        objectness=('centerness', 'iou', 'presence'),
        refine='border',
        presence_convs=4,
        freeze_regression=recipe == 'frozen',
    )
    settings = dict(optimizer=dict(type='SGD', lr=1.0, weight_decay=1.0))
    if recipe != 'frozen':
        settings.update(methods[recipe][1])
        settings['paramwise_cfg'].norm_decay_mult = 0.0
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = nn.ModuleDict(dict(bbox_head=MODELS.build(head)))
        optimizer = build_optim_wrapper(model, settings).optimizer
    names = {id(p): name for name, p in model.named_parameters()}
    slow = None if recipe == 'frozen' else 0.1
    for group in optimizer.param_groups:
        for parameter in group['params']:
            name = names.pop(id(parameter))
            rate = group['lr'] if parameter.requires_grad else None
            expected = (
                1 if '.cls_convs' in name or '.conv_cls' in name else slow
            )
            assert rate == pytest.approx(expected), name
            if recipe == 'finetune_90k':
                assert group['weight_decay'] == ('.gn.' not in name), name
    assert not names
