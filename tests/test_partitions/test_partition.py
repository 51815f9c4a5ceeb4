"""Partitions: the lists themselves, and the errors for a wrong file."""

import json

import pytest

from mmdet_owp import partitions
from mmdet_owp.errors import UserError
from mmdet_owp.partitions import parse_partition, resolve_partition

# The names of COCO that differ from those of the PASCAL VOC challenge.
RENAMED = {
    'aeroplane': 'airplane', 'diningtable': 'dining table', 'sofa': 'couch',
    'motorbike': 'motorcycle', 'pottedplant': 'potted plant',
    'tvmonitor': 'tv',
}  # fmt: skip


def coco_categories():
    both = {**partitions.COCO_VOC, **partitions.COCO_NON_VOC}
    return [dict(id=i, name=name) for i, name in sorted(both.items())]


def test_voc_is_pascal_voc_and_the_rest_of_coco():
    from mmdet.datasets import CocoDataset, VOCDataset

    classes = CocoDataset.METAINFO['classes']
    voc = {RENAMED.get(n, n) for n in VOCDataset.METAINFO['classes']}
    assert len(voc) == 20
    partition = resolve_partition('voc', coco_categories(), 'coco.json')
    assert set(partition.names('base')) == voc
    assert set(partition.names('novel')) == set(classes) - voc
    assert partition.names('all') == classes  # in COCO's order of ids


def test_voc_has_the_ids_of_coco(shared_dir):
    file = shared_dir / 'data/coco_mini/annotations/instances_val.json'
    categories = json.loads(file.read_text())['categories']
    partition = resolve_partition('voc', categories, str(file))
    in_file = {c['id']: c['name'] for c in categories}
    assert {**partition.base, **partition.novel} == in_file


def test_own_partition_by_name_id_and_both_sides():
    names = {7: 'cat', 2: 'dog', 5: 'kite'}
    categories = [dict(id=i, name=name) for i, name in names.items()]
    by_name = resolve_partition(['kite', 'cat'], categories, 'x.json')
    assert by_name.categories('base') == {5: 'kite', 7: 'cat'}
    assert list(by_name.categories('base')) == [5, 7]
    assert by_name.novel == {2: 'dog'}
    assert resolve_partition([5, 7], categories, 'x.json') == by_name
    mine = dict(name='mine', base=['cat'], novel=['dog'])
    some = resolve_partition(mine, categories, 'x.json')
    assert some.name == 'mine' and some.names('all') == ('dog', 'cat')


def test_all_novel():
    """Of another data set than the one trained on."""
    categories = [dict(id=5, name='kite'), dict(id=2, name='dog')]
    found = resolve_partition('all-novel', categories, 'x.json')
    assert (found.base, found.novel) == ({}, {2: 'dog', 5: 'kite'})
    assert parse_partition('all-novel', categories, 'x.json') == found
    assert found.prefix('novel') == 'novel'


def test_supercategory_on_the_command_line():
    categories = [
        dict(id=1, name='cat', supercategory='animal'),
        dict(id=2, name='dog', supercategory='animal'),
        dict(id=3, name='kite', supercategory='toy'),
        dict(id=4, name='supercategory:toy'),
    ]
    for text, base in (
        ('supercategory:animal', {1, 2}),
        ('kite,supercategory:animal', {1, 2, 3}),
        ('1,supercategory:toy', {1, 4}),
    ):
        assert set(parse_partition(text, categories, 'x').base) == base
    with pytest.raises(UserError, match='it has: animal, toy$'):
        parse_partition('supercategory:cow', categories, 'x.json')
    with pytest.raises(UserError, match='it has: none$'):
        parse_partition('supercategory:cow', categories[3:], 'x.json')


@pytest.mark.parametrize('partition, message', [
    ('coco', "unknown partition 'coco'"),
    (['unicorn'],
     r'pets.json: no class named unicorn in this file; it has: cat, dog'),
    (dict(base=['cat'], novel=['cat']), 'base and novel: cat'),
    (dict(base=[]), 'a partition is a name'),
    (dict(base=['cat'], nvoel=['dog']), 'a partition is a name'),
])  # fmt: skip
def test_bad_partition_gets_one_line(partition, message):
    categories = [dict(id=1, name='cat'), dict(id=2, name='dog')]
    with pytest.raises(UserError, match=message) as error:
        resolve_partition(partition, categories, 'pets.json')
    assert '\n' not in str(error.value)


def test_file_of_another_data_set_names_what_is_missing():
    categories = [c for c in coco_categories() if c['name'] != 'kite']
    with pytest.raises(UserError, match=r'x.json: .* 1 classes .*kite \(id'):
        resolve_partition('voc', categories, 'x.json')


def lvis_categories():
    return [
        dict(id=i, name=name, frequency=frequency)
        for i, (name, frequency) in sorted(partitions.LVIS.items())
    ]


LVIS_NAMES = ('lvis-id', 'lvis-count')


@pytest.mark.parametrize('name', LVIS_NAMES)
def test_lvis_counts_and_coverage(name):
    from mmdet.datasets import LVISV1Dataset

    partition = resolve_partition(name, lvis_categories(), 'lvis.json')
    frequency = {c['id']: c['frequency'] for c in lvis_categories()}
    base = [frequency[i] for i in partition.base]
    assert [base.count(f) for f in 'rcf'] == [337, 461, 305]
    assert [frequency[i] for i in partition.novel] == ['f'] * 100
    assert not set(partition.base) & set(partition.novel)
    assert list(partition.categories('all')) == list(range(1, 1204))
    # One that LVIS misspells and mmdet does not.
    names = zip(partition.names('all'), LVISV1Dataset.METAINFO['classes'])
    (differing,) = (pair for pair in names if len(set(pair)) > 1)
    assert differing == (
        'speaker_(stero_equipment)',
        'speaker_(stereo_equipment)',
    )


def test_lvis_is_the_published_list(shared_dir):
    """Both orders, computed class by class."""
    file = shared_dir / 'data/lvis_v1_categories.json'
    published = {c['id']: c for c in json.loads(file.read_text())}
    assert partitions.LVIS == {
        i: (c['name'], c['frequency']) for i, c in published.items()
    }
    frequent = {i for i, c in published.items() if c['frequency'] == 'f'}

    def images_then_id(i):
        return -published[i]['image_count'], i

    novel = {
        name: set(resolve_partition(name, lvis_categories(), 'x').novel)
        for name in LVIS_NAMES
    }
    for i in frequent:
        ids = sum(j < i for j in frequent)
        images = sum(images_then_id(j) < images_then_id(i) for j in frequent)
        assert (i in novel['lvis-id']) == (ids >= 305)
        assert (i in novel['lvis-count']) == (images >= 305)


def test_the_two_of_lvis_share_22_novel_classes():
    by_id, by_count = (
        resolve_partition(name, lvis_categories(), 'lvis.json')
        for name in LVIS_NAMES
    )
    assert len(set(by_id.novel) & set(by_count.novel)) == 22
    # Their names keep their numbers apart; COCO's are as they were.
    assert by_id.prefix('novel') == 'lvis-id_novel'
    assert by_count.prefix('base') == 'lvis-count_base'
    voc = resolve_partition('voc', coco_categories(), 'coco.json')
    assert voc.prefix('novel') == 'novel'


@pytest.mark.parametrize('change, what', [
    (lambda c: coco_categories(), r'has COCO classes \(80 categories\)'),
    (lambda c: c[:1000], 'has only 1000 of the 1203 LVIS v1 categories'),
    (lambda c: [], 'has only 0 of the 1203 LVIS v1'),
    (lambda c: [{**x, 'frequency': None} for x in c],
     'has no frequency in its 1203 categories'),
    (lambda c: [{**x, 'frequency': 'f'} for x in c],
     '798 of them with another id, name or frequency than in LVIS v1 '
     r'\(id 1: aerosol'),
    (lambda c: [{**x, 'id': x['id'] - 1} for x in c],
     r'1203 of them with another id, .* \(id 0: aerosol_can c\)'),
    (lambda c: [*c, dict(id=1204, name='unicorn', frequency='r')],
     r'1 of them with another id, .* \(id 1204: unicorn r\)'),
])  # fmt: skip
@pytest.mark.parametrize('name', LVIS_NAMES)
def test_file_that_is_not_lvis_v1(name, change, what):
    with pytest.raises(UserError, match=what) as error:
        resolve_partition(name, change(lvis_categories()), 'x.json')
    message = str(error.value)
    assert message.startswith('x.json ') and '\n' not in message
    assert f'{name!r} needs an annotation file of LVIS v1' in message


def test_file_of_lvis_v05(shared_dir):
    file = shared_dir / 'data/evaluator/lvis_val_100.json'
    categories = json.loads(file.read_text())['categories']
    message = r'100.json is LVIS v0.5 \(1230 categories\)'
    with pytest.raises(UserError, match=message):
        resolve_partition('lvis-id', categories, str(file))
