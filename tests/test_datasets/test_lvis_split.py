"""LVISSplitDataset on a hand-made file of LVIS v1."""

import json

import mmcv
import numpy as np
import pytest
from mmdet.datasets import LVISV1Dataset
from mmengine.dataset import ClassBalancedDataset

from mmdet_owp.datasets.lvis_split import LVISSplitDataset
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import COCO_VOC, LVIS

pytestmark = pytest.mark.usefixtures('mmdet_scope')

# Base in both partitions: aerosol_can, ring, zucchini (the last id). Novel in
# both: thermostat. Novel by count only: alarm_clock.
CAN, RING, THERMOSTAT, ALARM_CLOCK, ZUCCHINI = 1, 885, 1083, 4, 1203
BOXES = {
    1: [(ZUCCHINI, [10, 10, 20, 20]), (THERMOSTAT, [40, 10, 20, 20])],
    2: [(THERMOSTAT, [5, 5, 20, 20])],  # novel only
    3: [],
    4: [
        (CAN, [5, 5, 20, 20]),
        (RING, [30, 30, 20, 20]),
        (CAN, [60, 60, 20, 20]),
    ],
    5: [(ALARM_CLOCK, [5, 5, 20, 20])],
}
FOLDERS = {
    1: 'train2017',
    2: 'train2017',
    3: 'val2017',
    4: 'val2017',
    5: 'val2017',
}


def content():
    annotations = [
        dict(image_id=i, category_id=c, bbox=box, area=box[2] * box[3])
        for i, objects in BOXES.items()
        for c, box in objects
    ]
    return dict(
        images=[
            dict(
                id=i,
                width=100,
                height=100,
                coco_url=f'http://images.cocodataset.org/{folder}/{i}.png',
                neg_category_ids=[],
                not_exhaustive_category_ids=[],
            )
            for i, folder in FOLDERS.items()
        ],
        annotations=[dict(a, id=n + 1) for n, a in enumerate(annotations)],
        categories=[
            dict(id=i, name=name, frequency=frequency)
            for i, (name, frequency) in sorted(LVIS.items())
        ],
    )


@pytest.fixture
def arguments(tmp_path):
    for i, folder in FOLDERS.items():
        mmcv.imwrite(
            np.full((100, 100, 3), i, np.uint8),
            str(tmp_path / folder / f'{i}.png'),
        )
    (tmp_path / 'lvis.json').write_text(json.dumps(content()))
    return dict(
        data_root=str(tmp_path),
        ann_file='lvis.json',
        data_prefix=dict(img=''),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations', with_bbox=True),
            dict(type='PackDetInputs'),
        ],
    )


def images_of(dataset):
    return [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]


def test_training_sees_base_boxes_only(arguments):
    """Of images in both folders; labels of 1103 classes, by id."""
    dataset = LVISSplitDataset(partition='lvis-id', split='base', **arguments)
    assert len(dataset.metainfo['classes']) == 1103
    assert images_of(dataset) == [1, 4, 5]
    for n, i in enumerate((1, 4, 5)):
        assert (dataset[n]['inputs'] == i).all()  # the right file
    samples = [dataset[n]['data_samples'].gt_instances for n in range(3)]
    assert samples[0].bboxes.tensor.tolist() == [[10, 10, 30, 30]]
    names = [
        [dataset.metainfo['classes'][label] for label in s.labels]
        for s in samples
    ]
    assert names == [
        ['zucchini'],
        ['aerosol_can', 'ring', 'aerosol_can'],
        ['alarm_clock'],
    ]
    assert samples[0].labels.tolist() == [1102]


def test_partition_by_count(arguments):
    dataset = LVISSplitDataset(
        partition='lvis-count', split='base', **arguments
    )
    assert images_of(dataset) == [1, 4]  # alarm_clock is novel
    novel = LVISSplitDataset(
        partition='lvis-count', split='novel', **arguments
    )
    assert len(novel.metainfo['classes']) == 100
    assert images_of(novel) == [1, 2, 5]


def test_all_classes_are_those_of_mmdet(arguments):
    pytest.importorskip('lvis')
    ours = LVISSplitDataset(partition='lvis-id', split='all', **arguments)
    assert isinstance(ours, LVISV1Dataset)
    theirs = LVISV1Dataset(**arguments)
    assert ours.cat2label == theirs.cat2label
    assert len(ours) == len(theirs) == 4
    for i in range(4):
        got, expected = ours.get_data_info(i), theirs.get_data_info(i)
        assert got == expected


def test_repeat_factors(arguments):
    """An image as often as its rarest base class asks for."""
    dataset = LVISSplitDataset(partition='lvis-id', split='base', **arguments)
    balanced = ClassBalancedDataset(dataset, oversample_thr=3.0)
    # Each base class is in one image of three: sqrt(3 / (1 / 3)) times.
    assert [
        balanced.get_data_info(i)['img_id'] for i in range(len(balanced))
    ] == [1] * 3 + [4] * 3 + [5] * 3


def without_url(data):
    del data['images'][3]['coco_url']


def cut_short(data):
    del data['categories'][1000:]


def of_coco(data):
    data['categories'] = [dict(id=i, name=n) for i, n in COCO_VOC.items()]


@pytest.mark.parametrize(
    'change, message',
    [
        (
            without_url,
            r'images\[3\] \(id 4\): file_name is missing; .*coco_url',
        ),
        (cut_short, r'lvis.json has only 1000 of the 1203 LVIS v1 categories'),
        (of_coco, r'lvis.json has COCO classes \(20 categories\)'),
    ],
)
def test_wrong_file_gets_one_clear_line(arguments, tmp_path, change, message):
    data = content()
    change(data)
    (tmp_path / 'lvis.json').write_text(json.dumps(data))
    with pytest.raises(UserError, match=message) as error:
        LVISSplitDataset(partition='lvis-id', split='base', **arguments)
    assert '\n' not in str(error.value)


def test_download_that_was_cut(arguments, tmp_path):
    path = tmp_path / 'lvis.json'
    path.write_text(path.read_text()[:-1000])
    with pytest.raises(
        UserError,
        match=r'lvis.json is not a COCO annotation file '
        r'\(.*char \d+\)+: it needs .* download it again',
    ) as error:
        LVISSplitDataset(partition='lvis-id', split='base', **arguments)
    assert '\n' not in str(error.value)


def test_v05_is_refused(shared_dir, arguments):
    file = shared_dir / 'data/evaluator/lvis_val_100.json'
    arguments['ann_file'] = str(file)
    with pytest.raises(UserError, match=r'is LVIS v0.5 \(1230 categories\)'):
        LVISSplitDataset(partition='lvis-id', split='base', **arguments)
