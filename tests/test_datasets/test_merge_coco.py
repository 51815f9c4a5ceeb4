"""Merged sets: ids, classes by name, links to the images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools/dataset_tools/merge_coco.py'


def write_set(folder: Path, categories: dict, objects: list) -> str:
    """Write two images of ids 7 and 8; objects are (image, category, x)."""
    images = [
        dict(id=i, file_name=f'{i}.jpg', width=64, height=48, license=3)
        for i in (7, 8)
    ]
    annotations = [
        dict(id=n, image_id=i, category_id=c, bbox=[x, 0, 9, 9], iscrowd=x % 2)
        for n, (i, c, x) in enumerate(objects, 1)
    ]
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=i, name=name) for i, name in categories.items()],
    )
    (folder / 'photos').mkdir(parents=True)
    for image in images:
        (folder / 'photos' / image['file_name']).write_text(folder.name)
    (folder / 'a.json').write_text(json.dumps(content))
    return f'{folder.name}={folder}/a.json,{folder}/photos'


@pytest.fixture
def merge(tmp_path, call_tool):
    """Merge two sets whose ids collide; return the file, or what is said."""
    first = write_set(
        tmp_path / 'one', {1: 'cat', 3: 'kite'}, [(7, 3, 0), (8, 1, 1)]
    )
    # An object of an image that is not in the file is left out.
    second = write_set(
        tmp_path / 'two',
        {1: 'kite', 2: 'cat', 3: 'dog'},
        [(7, 1, 2), (8, 3, 3), (9, 1, 4), (8, 2, 5)],
    )

    def call(*words):
        out = tmp_path / 'merged'
        words = words or (first, second)
        status = call_tool(TOOL, *words, '--out', out, '--part', 'mine')
        path = out / 'annotations/instances_mine.json'
        return status or json.loads(path.read_text())

    return call


def test_ids_are_new_and_classes_go_by_name(merge, tmp_path):
    content = merge()
    images = {i['id']: i['file_name'] for i in content['images']}
    assert images == {
        1: 'one/7.jpg',
        2: 'one/8.jpg',
        3: 'two/7.jpg',
        4: 'two/8.jpg',
    }
    names = {c['id']: c['name'] for c in content['categories']}
    assert names == {1: 'cat', 3: 'kite', 4: 'dog'}
    found = [
        (
            images[a['image_id']],
            names[a['category_id']],
            a['bbox'][0],
            a['iscrowd'],
        )
        for a in content['annotations']
    ]
    assert found == [
        ('one/7.jpg', 'kite', 0, 0),
        ('one/8.jpg', 'cat', 1, 1),
        ('two/7.jpg', 'kite', 2, 0),
        ('two/8.jpg', 'dog', 3, 1),
        ('two/8.jpg', 'cat', 5, 1),
    ]
    assert [a['id'] for a in content['annotations']] == [1, 2, 3, 4, 5]
    folder = tmp_path / 'merged/mine'
    for name in images.values():
        assert (folder / name).read_text() == name.split('/')[0]
    assert merge() == content  # the links of the first call are replaced


def test_what_cannot_be_merged(merge, tmp_path):
    ann, photos = tmp_path / 'one/a.json', tmp_path / 'one/photos'
    pair = f'one={ann},{photos}'
    assert 'the same name' in merge(pair, pair)
    assert 'no folder of images' in merge(f'one={ann},{photos}/none')
    assert 'no annotation file' in merge(f'one={photos}/none.json,{photos}')
    (tmp_path / 'merged/mine/taken').mkdir()
    assert 'exists and is no link' in merge(f'taken={ann},{photos}')
