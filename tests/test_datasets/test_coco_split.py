"""CocoSplitDataset on a hand-made file."""

import json
import shutil

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmdet_owp.datasets.coco_file import read_boxes
from mmdet_owp.datasets.coco_split import CocoSplitDataset
from mmdet_owp.errors import UserError
from mmdet_owp.evaluation import class_agnostic_recall_metric  # noqa: F401

CATEGORIES = [
    dict(id=3, name='cat'),
    dict(id=5, name='dog'),
    dict(id=9, name='kite'),
]


def annotation(i, image, category, box, crowd=0):
    return dict(
        id=i,
        image_id=image,
        category_id=category,
        bbox=box,
        area=box[2] * box[3],
        iscrowd=crowd,
        segmentation=[],
    )


ANNOTATIONS = [
    annotation(1, 1, 5, [10, 10, 20, 20]),
    annotation(2, 1, 9, [40, 10, 20, 20]),
    annotation(3, 1, 3, [60, 60, 30, 30], crowd=1),
    annotation(4, 2, 9, [5, 5, 20, 20]),  # novel only
    annotation(5, 3, 3, [5, 5, 50, 50], crowd=1),  # crowd only
    annotation(6, 4, 3, [5, 5, 0, 20]),  # no width
    annotation(7, 5, 3, [200, 200, 20, 20]),  # outside of the image
    annotation(8, 6, 3, [90, 90, 50, 50]),  # partly outside
]


pytestmark = pytest.mark.usefixtures('mmdet_scope')


@pytest.fixture
def make(tmp_path):

    def make(
        categories=CATEGORIES,
        partition=('cat', 'dog'),
        split='base',
        annotations=ANNOTATIONS,
        **kwargs,
    ):
        for i in range(1, 8):
            mmcv.imwrite(
                np.full((100, 100, 3), i, np.uint8), str(tmp_path / f'{i}.png')
            )
        images = [
            dict(id=i, file_name=f'{i}.png', width=100, height=100)
            for i in range(1, 8)
        ]
        file = tmp_path / 'ann.json'
        file.write_text(
            json.dumps(
                dict(
                    images=images,
                    annotations=annotations,
                    categories=categories,
                )
            )
        )
        arguments = dict(
            ann_file=str(file),
            data_prefix=dict(img=str(tmp_path)),
            filter_cfg=dict(filter_empty_gt=True),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True),
                dict(type='PackDetInputs'),
            ],
        )
        arguments.update(kwargs)
        return CocoSplitDataset(partition=partition, split=split, **arguments)

    return make


def test_training_sees_base_boxes_only(make):
    """Novel boxes vanish; crowds are ignored instances; labels by id."""
    dataset = make()
    assert dataset.metainfo['classes'] == ('cat', 'dog')
    found = [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))]
    # Left out: novel only, crowd only, no width, outside, nothing at all.
    assert found == [1, 6]
    sample = dataset[0]['data_samples']
    assert sample.gt_instances.bboxes.tensor.tolist() == [[10, 10, 30, 30]]
    assert sample.gt_instances.labels.tolist() == [1]
    assert sample.ignored_instances.bboxes.tensor.tolist() == [
        [60, 60, 90, 90]
    ]


def test_novel_and_all_splits(make):
    novel, everything = make(split='novel'), make(split='all')
    assert novel.metainfo['classes'] == ('kite',)
    assert [novel.get_data_info(i)['img_id'] for i in range(2)] == [1, 2]
    assert everything.metainfo['classes'] == ('cat', 'dog', 'kite')
    assert everything.cat2label == {3: 0, 5: 1, 9: 2}


def test_class_agnostic_keeps_boxes_and_forgets_classes(make):
    data, plain = make(class_agnostic=True), make()
    assert data.metainfo['classes'] == ('object',)
    assert data.partition_classes == plain.partition_classes
    assert len(data) == len(plain) > 1
    labels = set()
    for one, other in zip(data, plain):
        ours, theirs = (d['data_samples'] for d in (one, other))
        assert not ours.gt_instances.labels.any()
        assert not ours.ignored_instances.labels.any()
        labels |= set(theirs.gt_instances.labels.tolist())
        for kind in ('gt_instances', 'ignored_instances'):
            assert torch.equal(
                getattr(ours, kind).bboxes.tensor,
                getattr(theirs, kind).bboxes.tensor,
            )
    assert labels == {0, 1}
    with pytest.raises(UserError, match='fish'):
        make(partition=('cat', 'fish'), class_agnostic=True)


def test_area_may_be_missing(make):
    annotations = [dict(a) for a in ANNOTATIONS]
    for a in annotations:
        del a['area']
    assert len(make(annotations=annotations)) == len(make()) == 2


def test_side_without_classes_is_refused(make):
    """To mmdet no class would mean all of them."""
    assert make(partition='all-novel', split='novel').metainfo['classes'] == (
        'cat',
        'dog',
        'kite',
    )
    with pytest.raises(UserError, match='has no base classes: use split'):
        make(partition='all-novel', split='base')


def test_test_mode_keeps_every_image(make):
    assert len(make(test_mode=True)) == 7


@pytest.mark.parametrize(
    'partition', ['all-novel', ['cat', 5], dict(base=[3])]
)
def test_metainfo_is_plain_data(make, tmp_path, partition):
    """Checkpoints and metrics get it, also from a config."""
    given = ConfigDict(partition=partition).partition
    train = make(partition=given, split='novel')
    assert type(train.metainfo['partition']) is type(partition)
    assert train.metainfo['partition'] == partition
    assert 'ann_file' not in train.metainfo
    tested = make(
        partition=given,
        split='novel',
        data_root=str(tmp_path),
        ann_file='ann.json',
        test_mode=True,
    )
    assert tested.metainfo['partition'] == partition
    assert tested.metainfo['ann_file'] == str(tmp_path / 'ann.json')


class Toy(BaseModel):
    """One weight; counts its training steps."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.steps = 0

    def forward(self, inputs, data_samples, mode):
        assert mode == 'loss'
        self.steps += 1
        return dict(loss=self.weight * inputs[0].float().mean())


def train(folder, dataset, **kwargs):
    runner = Runner(
        Toy(),
        str(folder),
        train_dataloader=dict(
            dataset=dataset,
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        experiment_name=folder.name,
        **kwargs,
    )
    return runner.train()


@pytest.mark.parametrize('scope', ['mmdet', 'mmengine'])
def test_two_files_train_together(make, tmp_path, scope):
    first = make()
    shutil.copy(tmp_path / 'ann.json', tmp_path / 'other.json')
    second = make(ann_file=str(tmp_path / 'other.json'))
    concat = dict(type=f'{scope}.ConcatDataset', datasets=[first, second])
    model = train(tmp_path / scope, concat)
    assert model.steps == 2  # of two images each
    saved = torch.load(tmp_path / scope / 'epoch_1.pth', weights_only=False)
    assert saved['meta']['dataset_meta']['partition'] == ['cat', 'dog']


@pytest.mark.parametrize(
    'settings', [dict(ann_file='gone.json'), dict(partition=['fish'])]
)
def test_wrong_metric_is_refused_before_the_first_step(
    make, tmp_path, monkeypatch, settings
):
    steps = []
    monkeypatch.setattr(Toy, 'forward', lambda *args, **_: steps.append(1))
    with pytest.raises(UserError, match='gone.json|no class named fish'):
        train(
            tmp_path / 'refused',
            make(),
            val_dataloader=dict(
                dataset=make(test_mode=True),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            val_cfg=dict(),
            val_evaluator=dict(
                type='mmdet.ClassAgnosticRecallMetric', **settings
            ),
        )
    assert not steps


def test_boxes_of_both_sides(make):
    """Those that the data set does not show, too; none is an empty array."""
    novel, base, base_crowd = read_boxes(make())
    assert novel[1].tolist() == [[40, 10, 60, 30]]
    assert base[1].tolist() == [[10, 10, 30, 30]]
    assert base_crowd[1].tolist() == [[60, 60, 90, 90]]
    assert {len(boxes) for boxes in (novel, base, base_crowd)} == {7}
    assert base[7].shape == (0, 4)
    with pytest.raises(UserError, match='object does not tell base and'):
        read_boxes(object())


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(partition='voc'), r'ann.json: .*person \(id 1\)'),
        (dict(partition=['cow']), 'ann.json: no class named cow'),
        (dict(split='novle'), 'split must be one of'),
        (dict(ann_file='nowhere.json'), 'no annotation file nowhere.json'),
        (dict(categories=CATEGORIES[::-1]), 'ascending id'),
        (
            dict(categories=[*CATEGORIES, dict(id=10, name='cat')]),
            "have the same name 'cat'",
        ),
        (
            dict(categories=[dict(id='3', name='cat')]),
            r"ann.json: categories\[0\]: id is '3'; it must be an integer",
        ),
    ],
)
def test_wrong_input_gets_one_clear_line(make, kwargs, message):
    with pytest.raises(UserError, match=message) as raised:
        make(**kwargs)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('text', ['{', '[]', '{"images": []}'])
def test_file_that_is_not_coco(tmp_path, text):
    file = tmp_path / 'broken.json'
    file.write_text(text)
    with pytest.raises(UserError, match='broken.json is not a COCO'):
        CocoSplitDataset(
            ann_file=str(file), partition=['cat'], split='base', pipeline=[]
        )


@pytest.mark.parametrize(
    'name, hint',
    [
        ('sub/a b.png', ''),
        ('sub\\a b.png', r' \(1 exist there with "/" for'),
        ('sub/a%20b.png', r' \(1 exist there without the percent-encoding'),
    ],
)
def test_image_that_cannot_be_read(make, tmp_path, name, hint):
    """Truncated, or of a name that another system wrote."""
    dataset = make()
    path = tmp_path / 'sub/a b.png'
    path.parent.mkdir()
    path.write_bytes((tmp_path / '1.png').read_bytes()[:-20])
    info = dataset.get_data_info(0)
    info['img_path'] = str(tmp_path / name)
    dataset.get_data_info = lambda _: info
    with pytest.raises(
        UserError, match=f'missing or cannot be decoded{hint}.*; replace it'
    ):
        dataset.prepare_data(0)


def test_empty_data_set_is_one_message(make):
    """Not a traceback of numpy; a test set needs no objects."""
    filter_cfg = dict(filter_empty_gt=True, min_size=10**4)
    with pytest.raises(
        UserError, match='none of its . images is left: .* small or have no'
    ):
        make(filter_cfg=filter_cfg)
    assert len(make(filter_cfg=filter_cfg, test_mode=True)) > 0
