"""PASCAL VOC's own files: trained on and tested on COCO, or merged with it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from voc_tree import VOC_NAMES, write_voc

import mmdet_owp.register  # noqa: F401
from mmdet_owp.datasets.coco_split import CocoSplitDataset
from mmdet_owp.partitions import COCO_NON_VOC, COCO_VOC

NEGATIVE = """<annotation>
<size><width>64</width><height>48</height></size>
<object><name>cat</name><bndbox>
<xmin>9</xmin><ymin>1</ymin><xmax>8</xmax><ymax>9</ymax>
</bndbox></object></annotation>"""
CONFIG = Path(__file__).parents[2] / 'configs/fcos/fcos_voc-to-coco.py'


def draw(folder: Path) -> dict:
    """Draw an image for each class of COCO's file, with two objects."""
    (folder / 'images').mkdir()
    classes = {**COCO_VOC, **COCO_NON_VOC}
    images, annotations = [], []
    for n, category in enumerate(sorted(COCO_VOC), 1):
        size = dict(width=64, height=48)
        images.append(dict(id=n, file_name=f'{n}.png', **size))
        pixels = np.full((48, 64, 3), 10 * n, np.uint8)
        cv2.imwrite(str(folder / f'images/{n}.png'), pixels)
        for crowd, bbox in ((0, [n, 3, 20, 30]), (1, [30, 5, 12, n + 1])):
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=n,
                    category_id=category,
                    bbox=bbox,
                    iscrowd=crowd,
                )
            )
    categories = [dict(id=i, name=n) for i, n in sorted(classes.items())]
    return dict(images=images, annotations=annotations, categories=categories)


def choose(source: Path) -> dict:
    """Choose an image of each base class; those of many show more classes."""
    content = json.loads(
        (source / 'annotations/instances_train.json').read_text()
    )
    by_image: dict[int, list] = {}
    for a in content['annotations']:
        by_image.setdefault(a['image_id'], []).append(a)
    chosen: dict[int, list] = {}
    for category in sorted(COCO_VOC):
        image_id = next(
            i
            for i, objects in by_image.items()
            if i not in chosen
            and category in {a['category_id'] for a in objects}
        )
        chosen[image_id] = by_image[image_id]
    return dict(
        content,
        images=[i for i in content['images'] if i['id'] in chosen],
        annotations=[a for objects in chosen.values() for a in objects],
    )


@pytest.fixture(scope='module', params=['drawn', 'voc_mini'])
def photos(request, tmp_path_factory):
    """Twenty images: the folder of VOC's tree, and COCO's file."""
    root = tmp_path_factory.mktemp('photos')
    if request.param == 'drawn':
        source, content = root, draw(root)
    else:
        source = request.getfixturevalue('shared_dir') / 'data/voc_mini'
        content = choose(source)
    write_voc(content, source / 'images', root / 'VOCdevkit')
    path = root / 'instances.json'
    path.write_text(json.dumps(content))
    return root / 'VOCdevkit', path


@pytest.fixture
def config(photos, monkeypatch):
    monkeypatch.setenv('VOC_ROOT', str(photos[0]))
    config = Config.fromfile(CONFIG)
    config.model.backbone.init_cfg = None
    for part in config.train_dataloader.dataset.datasets:
        part.pipeline[2].scale = (128, 128)
    return config


def objects(dataset) -> dict[str, Counter]:
    """Return the (label, ignored) of the objects by stem of the image."""
    infos = map(dataset.get_data_info, range(len(dataset)))
    return {
        Path(info['img_path']).stem: Counter(
            (i['bbox_label'], i['ignore_flag']) for i in info['instances']
        )
        for info in infos
    }


def test_labels_are_those_of_the_test(config, photos, mmdet_scope):
    voc = DATASETS.build(config.train_dataloader.dataset)
    coco = CocoSplitDataset(
        ann_file=str(photos[1]),
        partition='voc',
        split='base',
        data_prefix=dict(img=''),
        pipeline=[],
    )
    found = objects(voc)
    assert len(found) == 20 and found == objects(coco)
    seen = Counter()
    for counts in found.values():
        seen.update(counts)
    assert {label for label, _ in seen} == set(range(20))
    assert sum(n for (_, ignored), n in seen.items() if ignored) > 0
    classes = config.train_dataloader.dataset.datasets[0].metainfo.classes
    assert sorted(classes) == sorted(
        DATASETS.get('VOCDataset').METAINFO['classes']
    )


def test_boxes_lie_where_they_were(config, photos, mmdet_scope):
    """mmdet's are a pixel smaller: it forgets that xmax is inside."""
    voc = DATASETS.build(config.train_dataloader.dataset)
    content = json.loads(photos[1].read_text())
    stems = {i['id']: Path(i['file_name']).stem for i in content['images']}
    expected: dict[str, list] = {}
    for a in content['annotations']:
        expected.setdefault(stems[a['image_id']], []).append(a['bbox'])
    for info in map(voc.get_data_info, range(len(voc))):
        boxes = np.array(expected[Path(info['img_path']).stem])
        boxes[:, 2:] += boxes[:, :2]
        found = np.array([i['bbox'] for i in info['instances']])
        assert np.abs(found - boxes).max() <= 2


@pytest.fixture
def merge(call_tool, repo, tmp_path):
    """Merge VOC's tree alone; return the status and the folder written."""

    def call(root):
        tool = repo / 'tools/dataset_tools/merge_coco.py'
        status = call_tool(tool, f'voc={root}', '--out', tmp_path / 'merged')
        return status, tmp_path / 'merged'

    return call


def boxes(dataset) -> dict[str, Counter]:
    """Return the (class, ignored, box) of the objects by stem of the image."""
    names = dataset.metainfo['classes']
    infos = map(dataset.get_data_info, range(len(dataset)))
    return {
        Path(info['img_path']).stem: Counter(
            (names[i['bbox_label']], i['ignore_flag'], *i['bbox'])
            for i in info['instances']
        )
        for info in infos
    }


def test_merged_tree_is_what_the_config_loads(
    config, photos, merge, mmdet_scope
):
    status, folder = merge(photos[0])
    assert status is None
    path = folder / 'annotations/instances_train.json'
    content, drawn = (json.loads(p.read_text()) for p in (path, photos[1]))
    classes = {c['id']: c['name'] for c in content['categories']}
    assert classes == COCO_VOC

    def read(content):
        stems = {i['id']: Path(i['file_name']).stem for i in content['images']}
        return Counter(
            (stems[a['image_id']], a['category_id'], a['iscrowd'], *a['bbox'])
            for a in content['annotations']
            if a['category_id'] in COCO_VOC
        )

    # mmdet takes the last pixel of a box for its end.
    for a in drawn['annotations']:
        x, y, width, height = map(round, a['bbox'])
        a['bbox'] = [x, y, width - 1, height - 1]
    assert read(content) == read(drawn)

    merged = CocoSplitDataset(
        ann_file=str(path),
        data_prefix=dict(img=str(folder / 'train')),
        partition=[*COCO_VOC],
        split='base',
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=config.train_dataloader.dataset.datasets[0].pipeline,
    )
    to_voc = {name: VOC_NAMES.get(name, name) for name in COCO_VOC.values()}
    found = {
        stem: Counter(
            {(to_voc[name], *o): n for (name, *o), n in objects.items()}
        )
        for stem, objects in boxes(merged).items()
    }
    voc = DATASETS.build(config.train_dataloader.dataset)
    expected: dict[str, Counter] = {}
    for part in voc.datasets:
        expected.update(boxes(part))
    assert len(found) == 20 and found == expected
    # The pictures are found through the link, too.
    assert merged[0]['inputs'].shape == voc[0]['inputs'].shape


@pytest.mark.parametrize('photos', ['drawn'], indirect=True)
@pytest.mark.parametrize('name, damage', [
    ('VOC2012/Annotations/15.xml', None),
    ('VOC2012/Annotations/15.xml', '<annotation>'),
    ('VOC2012/Annotations/15.xml', '<annotation><size/></annotation>'),
    ('VOC2012/Annotations/15.xml', NEGATIVE),
    ('VOC2007/JPEGImages/3.jpg', None),
    ('VOC2007/JPEGImages/3.jpg', 'text'),
    ('VOC2007/ImageSets/Main/trainval.txt', None),
])  # fmt: skip
def test_broken_tree(photos, merge, tmp_path, name, damage):
    root = tmp_path / 'VOCdevkit'
    shutil.copytree(photos[0], root)
    path = root / name
    path.unlink()
    if damage is not None:
        path.write_text(damage)
    status, _ = merge(root)
    remedy = 'unpack PASCAL VOC again'
    listed = root / name.split('/')[0] / 'ImageSets/Main/trainval.txt'
    fix = f'{remedy}, or remove the line {path.stem} from {listed}'
    message = {
        '.xml': f'{path}: missing or not an annotation of PASCAL VOC; {fix}',
        '.jpg': f'{path}: missing or cannot be decoded; {fix}',
        '.txt': f'no list of images {path}: {remedy}',
    }
    assert status == f'error: {message[path.suffix]}'


def test_no_tree(merge, tmp_path):
    status, _ = merge(tmp_path)
    assert status.startswith(f'error: {tmp_path}: no folder VOC2007/ or ')


@pytest.mark.slow
@pytest.mark.parametrize('photos', ['voc_mini'], indirect=True)
def test_a_step_trains(config, mmdet_scope):
    dataset = DATASETS.build(config.train_dataloader.dataset)
    model = MODELS.build(config.model)
    model.init_weights()
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)
    batch = pseudo_collate([dataset[i] for i in (0, 19)])
    log = model.train().train_step(batch, optim_wrapper)
    assert set(log) == {'loss', 'loss_cls', 'loss_bbox', 'loss_centerness'}
    assert all(value.isfinite() for value in log.values())
