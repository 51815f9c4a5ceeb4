"""The built-in data in the format of LVIS v1."""

import json

import pytest

from mmdet_owp.errors import UserError
from mmdet_owp.partitions import SHAPES_BASE, resolve_partition
from mmdet_owp.shapes.dataset import make_shapes
from mmdet_owp.shapes.lvis import LVIS_IDS
from mmdet_owp.shapes.objects import FAMILIES

ARGUMENTS = dict(num_train=6, num_val=20, size=64)
FILES = [f'annotations/lvis_v1_{part}.json' for part in ('train', 'val')]


@pytest.fixture(scope='module')
def both(tmp_path_factory):
    """The same draw in both formats."""
    out = tmp_path_factory.mktemp('both')
    for style in ('coco', 'lvis'):
        assert make_shapes(out / style, **ARGUMENTS, style=style)
    return out


@pytest.fixture(scope='module')
def contents(both):
    return [json.loads((both / 'lvis' / f).read_text()) for f in FILES]


@pytest.mark.parametrize('name', ['lvis-id', 'lvis-count'])
def test_families_are_on_their_side_of_both_partitions(contents, name):
    partition = resolve_partition(name, contents[0]['categories'], 'x.json')
    assert sorted(LVIS_IDS) == sorted(FAMILIES.values())
    assert len(set(LVIS_IDS.values())) == len(LVIS_IDS)
    for family, category in LVIS_IDS.items():
        base = family in SHAPES_BASE.values()
        assert (category in partition.base) == base
        assert (category in partition.novel) == (not base)
    frequencies = {c['id']: c['frequency'] for c in contents[0]['categories']}
    assert {frequencies[i] for i in LVIS_IDS.values()} == set('rcf')


def test_images_are_those_of_the_coco_format(both, contents):
    for part, content in zip(('train', 'val'), contents):
        names = [i['coco_url'].split('/')[-2:] for i in content['images']]
        assert {folder for folder, _ in names} == {f'{part}2017'}
        for folder, name in names:
            ours, coco = both / 'lvis' / folder / name, both / 'coco' / part
            assert ours.read_bytes() == (coco / name).read_bytes()


def test_only_objects_of_partially_annotated_classes_are_dropped(
    both, contents
):
    dropped, negatives = 0, 0
    for part, content in zip(('train', 'val'), contents):
        path = both / 'coco' / 'annotations' / f'instances_{part}.json'
        coco = json.loads(path.read_text())
        for a in coco['annotations']:
            a['category_id'] = LVIS_IDS[FAMILIES[a['category_id']]]
        original, kept = (
            [
                (a['image_id'], a['category_id'], *a['bbox'], a['area'])
                for a in file['annotations']
            ]
            for file in (coco, content)
        )
        kept = set(kept)
        partial, absent = (
            {(i['id'], c) for i in content['images'] for c in i[key]}
            for key in ('not_exhaustive_category_ids', 'neg_category_ids')
        )
        assert kept <= set(original)
        lost = [a for a in original if a not in kept]
        assert {a[:2] for a in lost} <= partial
        dropped += len(lost)
        present = {a[:2] for a in original}
        assert partial <= {a[:2] for a in kept} <= present
        assert not absent & present
        assert {c for _, c in absent} <= set(LVIS_IDS.values())
        negatives += len(absent)
        ids = [a['id'] for a in content['annotations']]
        assert ids == list(range(1, len(ids) + 1))
    assert dropped and negatives > 50


def test_lvis_reads_it(both, contents):
    lvis = pytest.importorskip('lvis')
    read = lvis.LVIS(str(both / 'lvis' / FILES[1]))
    assert len(read.get_cat_ids()) == 1203
    assert len(read.get_ann_ids()) == len(contents[1]['annotations'])


def test_made_once_and_not_over_the_other_format(both):
    arguments = dict(ARGUMENTS, style='lvis')
    assert not make_shapes(both / 'lvis', **arguments)
    (both / 'lvis/val2017/000003.png').unlink()
    assert make_shapes(both / 'lvis', **arguments)
    with pytest.raises(UserError, match='choose another output folder'):
        make_shapes(both / 'lvis', **arguments, seed=1)
