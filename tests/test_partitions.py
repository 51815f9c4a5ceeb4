"""Partitions: the lists themselves, and what a wrong file is told."""
import subprocess
import sys

import pytest

from mmdet_owp import partitions
from mmdet_owp.partitions import resolve_partition

# The 20 classes of the PASCAL VOC challenge under VOC's own names.
VOC = ('aeroplane bicycle bird boat bottle bus car cat chair cow diningtable '
       'dog horse motorbike person pottedplant sheep sofa train tvmonitor')
RENAMED = dict(
    aeroplane='airplane',
    diningtable='dining table',
    motorbike='motorcycle',
    pottedplant='potted plant',
    sofa='couch',
    tvmonitor='tv')


def coco_categories():
    both = {**partitions.COCO_VOC, **partitions.COCO_NON_VOC}
    return [dict(id=i, name=name) for i, name in sorted(both.items())]


def test_voc_is_pascal_voc_and_the_rest_of_coco():
    from mmdet.datasets import CocoDataset
    classes = CocoDataset.METAINFO['classes']
    voc = {RENAMED.get(name, name) for name in VOC.split()}
    partition = resolve_partition('voc', coco_categories(), 'coco.json')
    assert set(partition.names('base')) == voc
    assert set(partition.names('novel')) == set(classes) - voc
    assert partition.names('all') == classes  # in COCO's order of ids


def test_voc_has_the_ids_of_coco(shared_dir):
    import json
    file = shared_dir / 'data/coco_mini/annotations/instances_val.json'
    categories = json.loads(file.read_text())['categories']
    partition = resolve_partition('voc', categories, str(file))
    in_file = {c['id']: c['name'] for c in categories}
    assert {**partition.base, **partition.novel} == in_file


def test_own_partition_by_name_id_and_both_sides():
    categories = [dict(id=7, name='cat'), dict(id=2, name='dog'),
                  dict(id=5, name='kite')]
    by_name = resolve_partition(['kite', 'cat'], categories, 'x.json')
    assert by_name.categories('base') == {5: 'kite', 7: 'cat'}
    assert list(by_name.categories('base')) == [5, 7]
    assert by_name.novel == {2: 'dog'}
    assert resolve_partition([5, 7], categories, 'x.json') == by_name
    some = resolve_partition(
        dict(name='mine', base=['cat'], novel=['dog']), categories, 'x.json')
    assert some.name == 'mine' and some.names('all') == ('dog', 'cat')


@pytest.mark.parametrize('partition, message', [
    ('coco', "unknown partition 'coco'"),
    (['unicorn'], r'pets.json: no class named unicorn in this file; it has: '
     'cat, dog'),
    (dict(base=['cat'], novel=['cat']), 'both|base and novel: cat'),
    (dict(base=[]), 'a partition is a name'),
    (dict(base=['cat'], nvoel=['dog']), 'a partition is a name'),
])
def test_bad_partition_gets_one_line(partition, message):
    categories = [dict(id=1, name='cat'), dict(id=2, name='dog')]
    with pytest.raises(ValueError, match=message) as error:
        resolve_partition(partition, categories, 'pets.json')
    assert '\n' not in str(error.value)


def test_file_of_another_data_set_names_what_is_missing():
    categories = [c for c in coco_categories() if c['name'] != 'kite']
    with pytest.raises(ValueError, match=r'x.json: .* 1 classes .*kite \(id'):
        resolve_partition('voc', categories, 'x.json')


def test_import_is_light():
    """The offline tools start at once: no torch, no mmdet."""
    code = ('import sys, mmdet_owp.partitions, mmdet_owp.recall; '
            'heavy = {"torch", "mmdet", "mmengine"} & set(sys.modules); '
            'sys.exit(bool(heavy))')
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0
