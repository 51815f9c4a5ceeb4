"""Checks of a COCO data set, compared with what mmdet does."""

import copy
import json
import re

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset
from PIL import Image

from mmdet_owp.datasets import checker
from mmdet_owp.datasets.training_view import training_view
from mmdet_owp.partitions import resolve_partition

NAMES = ('cat', 'dog', 'kite')


def good(num_images=20):
    """A data set without faults."""
    rng = np.random.default_rng(0)
    return dict(
        images=[
            dict(id=i, file_name=f'{i}.png', width=100, height=80)
            for i in range(1, num_images + 1)
        ],
        categories=[dict(id=i, name=n) for i, n in enumerate(NAMES)],
        annotations=[
            dict(
                id=n + 1,
                image_id=n // 3 + 1,
                category_id=n % 3,
                bbox=[*rng.uniform(0, 40, 2), *rng.uniform(10, 40, 2)],
                area=100.0,
                iscrowd=0,
            )
            for n in range(3 * num_images)
        ],
    )


def check(content, base=('cat', 'dog'), training=True):
    """All findings that need no images, as text."""
    found = checker.check_records(content, 'ann.json')
    if not any(f.level == 'problem' for f in found):
        partition = resolve_partition(base, content['categories'], 'ann.json')
        found += checker.check_boxes(content)
        counts = checker.count_splits(content, partition)
        found += checker.check_counts(counts, training)
        if training:
            view = training_view(content, partition.base)
            found += checker.check_training(view, len(content['images']))
        found += checker.find_unlabeled(content, partition)[1]
    return [f'{f.level}: {f.text}' for f in found]


def test_good_file():
    assert check(good()) == [
        'note: 100% of the 20 training images contain novel objects (20 '
        'boxes), which training hides: a classifier learns them as background'
    ]
    assert check(good(), base=NAMES) == []


def edit(kind, n=0, **values):
    """Change an entry of the file; None removes a key."""

    def change(content):
        entry = content[kind][n]
        entry.update(values)
        for key in [k for k, v in values.items() if v is None]:
            del entry[key]

    return change


@pytest.mark.parametrize('change, line', [
    (edit('images', width=None), r'problem: ann.json: images\[0\] \(id 1\): '
     'width is missing; it must be a number of pixels above 0$'),
    (edit('images', height=0), r'problem: .*images\[0\] .*: height is 0;'),
    (edit('images', file_name=''), r'problem: .*images\[0\].*file_name is'),
    (edit('images', id=2), r'problem: .*images\[0\] and images\[1\] have the '
     r'same id 2; .*1 of 20 images'),
    (edit('annotations', id=2), r'problem: .*annotations\[0\] and annotations'
     r'\[1\] have the same id 2; .*1 of 60'),
    (edit('annotations', image_id=None), r'problem: .*annotations\[0\] \(id '
     r'1\): image_id is missing; it must be an integer$'),
    (edit('annotations', bbox=None), r'problem: .*\(id 1\): bbox is missing'),
    (edit('annotations', bbox=[1, 2, 3]), r'problem: .*bbox is \[1, 2, 3\];'),
    (edit('annotations', bbox=[1, 2, float('nan'), 3]),
     r'problem: .*bbox is \[1, 2, NaN, 3\]; .*four finite numbers'),
    (edit('annotations', bbox=[9, 9, -5, 5]), 'problem: .*bbox is .*, -5, 5'),
    (edit('annotations', image_id=99), 'warning: 1 of 60 objects are of '
     'images that are not in'),
    (edit('annotations', category_id=9), 'warning: 1 of 60 objects are of '
     'categories that are not'),
    (edit('annotations', area='9'), "problem: .*id 1.*: area is '9'; "),
    (edit('annotations', area=-1), 'problem: .*area is -1; .* from 0'),
    (edit('annotations', iscrowd='0'), "problem: .*iscrowd is '0'; .* 0 or 1"),
    (edit('annotations', area=5000), 'warning: .*area that no mask.*: 1'),
    (edit('annotations', area=0.05), 'warning: .*area that no mask.*: 1'),
    (edit('annotations', ignore=1), 'warning: 1 of 40 base boxes are left out '
     'of training: 1 marked "ignore"'),
    (edit('images', 3, height=31), 'warning: 1 of 20 images are left out of '
     'training: 1 smaller than 32 pixels'),
    (lambda c: [a.update(area=0) for a in c['annotations']],
     'problem: nothing to train on: 20 all of whose base boxes are left out'),
    (lambda c: [i.update(width=31) for i in c['images']],
     'problem: nothing to train on: 20 smaller than 32 pixels'),
    (lambda c: [a.update(iscrowd=1) for a in c['annotations']],
     'problem: nothing to train on: 20 with only crowd regions'),
    (edit('annotations', id=0), 'warning: .*with the id 0: 1'),
    (edit('annotations', bbox=[9, 9, 0, 5]), 'warning: annot.*narrower'),
    (edit('annotations', bbox=[9, 90, 20, 20]), 'warning: annot.*outside'),
    (edit('annotations', bbox=[90, 9, 20, 20]), 'warning: .*exceed their'),
    (edit('annotations', bbox=[9, 9, 5, 5]), 'warning: .*below 8 pixels: 1'),
    (edit('annotations', area=0), 'warning: .*area of 0'),
    (edit('annotations', ignore=1), 'warning: annotations marked "ign'),
    (edit('annotations', iscrowd=None), 'note: 1 annotations have no iscrowd'),
    (edit('images', 1, file_name='1.png'), 'warning: 2 of 20 images share '),
    (lambda c: c['annotations'].insert(1, 3), r'problem: ann.json: '
     r'annotations\[1\] is 3, not an object'),
    (lambda c: c.update(images=None), 'problem: ann.json: "images" is not a'),
    (edit('categories', id='0'), r"problem: .*categories\[0\]: id is '0'; "),
    (edit('categories', id=7), 'problem: ann.json: categories must be in asc'),
    (edit('categories', name='dog'), "problem: .*have the same name 'dog'"),
    (edit('categories', name=2), r'problem: .*categories\[0\] \(id 0\): name '
     'is 2; it must be a text'),
    (edit('categories', name=None), r'problem: .*\(id 0\): name is missing'),
    (lambda c: c.update(categories=[]), 'problem: ann.json: "categories" is'),
    (edit('images', neg_category_ids=[1]), 'note: the file is federated'),
    (lambda c: c['annotations'].append(dict(c['annotations'][4], id=99)),
     r'warning: images with the same box of the same class twice: 1 \(2\)'),
    (lambda c: c['images'].append(dict(c['images'][0], id=99, file_name='x')),
     r'note: images without any box: 1 \(99\)'),
    (lambda c: [a.update(category_id=2) for a in c['annotations']],
     'problem: nothing to train on: 20 without a base box'),
    (lambda c: [a.update(category_id=0) for a in c['annotations'][1::3]],
     r'warning: base classes with fewer than 10 boxes: 1 \(dog: 0\)'),
])  # fmt: skip
def test_each_fault_is_one_finding(change, line):
    content = good()
    change(content)
    lines = check(content)
    pattern = re.compile(line)
    assert sum(bool(pattern.match(text)) for text in lines) == 1, lines
    assert not any('\n' in text for text in lines)


def test_novel_classes_of_an_evaluation_file():
    assert 'problem' not in str(check(good(), training=False))
    assert (
        'warning: no box of a novel class: metrics of novel classes will be '
        'nan' in check(good(), base=NAMES, training=False)
    )
    assert any(
        'novel classes with fewer than 10 boxes: 1 (kite: 4)' in line
        for line in check(good(4), training=False)
    )


def test_unlabeled_objects_by_hand():
    """Two images with base objects; one of them hides two novel ones."""
    content = good(3)
    for a, (image, category, crowd) in zip(
        content['annotations'],
        [(1, 0, 0), (1, 2, 0), (1, 2, 0), (2, 1, 0), (2, 2, 1), (3, 2, 0)],
    ):
        a.update(image_id=image, category_id=category, iscrowd=crowd)
    del content['annotations'][6:]
    partition = resolve_partition(['cat', 'dog'], content['categories'], 'x')
    stats, _ = checker.find_unlabeled(content, partition)
    assert (
        stats['training_images'],
        stats['with_novel'],
        stats['hidden_boxes'],
    ) == (2, 1, 2)
    assert stats['pairs'] == [['cat', 'kite', 1]]
    counts = checker.count_splits(content, partition)
    assert counts['novel'] == dict(
        images=2, boxes=3, crowd=1, classes=dict(kite=3)
    )
    assert counts['base'] == dict(
        images=2, boxes=2, crowd=0, classes=dict(cat=1, dog=1)
    )


def test_sparse_images_and_classes_absent_from_a_folder():
    content = good(40)
    for image in content['images']:
        image['file_name'] = f'{image["id"] % 2}/{image["file_name"]}'
    assert not [line for line in check(content) if 'folder' in line]
    content['annotations'] = [
        a
        for a in content['annotations']
        if not (a['category_id'] == 2 and a['image_id'] % 2)
    ]
    (line,) = (line for line in check(content) if 'folder' in line)
    assert '(kite in 1/)' in line
    # Thirty boxes per image, one in the last.
    content = good(20)
    content['annotations'] = [
        dict(a, id=10 * a['id'] + n, bbox=[n, *a['bbox'][1:]])
        for a in content['annotations']
        for n in range(10)
        if n == 0 or a['image_id'] < 20
    ][:-2]
    (line,) = (line for line in check(content) if 'at most a fifth' in line)
    assert 'median of 30 boxes: 1 (20)' in line


boxes = st.lists(
    st.tuples(
        *[st.floats(-60, 160, width=32)] * 2,
        *[st.floats(0, 120, width=32)] * 2,
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(boxes)
def test_mmdet_leaves_out_what_is_reported(given_boxes):
    content = dict(
        images=[dict(id=1, file_name='1.png', width=100, height=80)],
        annotations=[
            dict(id=n, image_id=1, category_id=1, bbox=list(box), area=9.0)
            for n, box in enumerate(given_boxes, start=1)
        ],
    )
    dataset = CocoDataset.__new__(CocoDataset)
    dataset.data_prefix, dataset.return_classes = dict(img=''), False
    dataset.cat_ids, dataset.cat2label = [1], {1: 0}
    kept = dataset.parse_data_info(
        dict(
            raw_img_info=dict(content['images'][0], img_id=1),
            raw_ann_info=content['annotations'],
        )
    )['instances']
    left_out = sum(
        int(f.text.split(': ')[1].split()[0])
        for f in checker.check_boxes(content)
        if 'left out of training' in f.text
    )
    assert left_out == len(given_boxes) - len(kept)


@pytest.fixture
def folder(tmp_path):
    """A folder with the images of `good(4)`."""
    for i in range(1, 5):
        cv2.imwrite(
            str(tmp_path / f'{i}.png'), np.full((80, 100, 3), i, np.uint8)
        )
    return tmp_path


@pytest.mark.parametrize('decode', [False, True])
def test_images(folder, decode):
    content = good(4)
    assert checker.check_images(content, str(folder), decode) == []
    (folder / '1.png').write_bytes(b'no image')
    (folder / '2.png').unlink()
    cv2.imwrite(str(folder / '3.png'), np.zeros((90, 100, 3), np.uint8))
    content['images'][3]['file_name'] = str(folder / '4.png')
    lines = [
        f'{f.level}: {f.text}'
        for f in checker.check_images(content, str(folder), decode)
    ]
    assert lines[0].startswith(f'problem: image files not in {folder}: 1 (2.')
    assert lines[1].startswith('problem: image files that cannot be read: 1')
    assert '(3.png: 100 x 90, not 100 x 80)' in lines[2]
    assert 'file_name that is not a relative path: 1' in lines[3]
    assert len(lines) == 4


def test_damage_inside_an_image_is_found_by_decoding_only(folder):
    rng = np.random.default_rng(0)
    path = folder / '1.png'
    cv2.imwrite(str(path), rng.integers(0, 256, (80, 100, 3), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes(500) + content[700:])
    assert checker.check_images(good(4), str(folder)) == []
    (found,) = checker.check_images(good(4), str(folder), decode=True)
    assert 'cannot be read: 1 (1.png)' in found.text


@pytest.mark.parametrize('decode', [False, True])
def test_size_is_that_after_exif_rotation(folder, decode):
    """mmdet applies the EXIF orientation, which may swap the sides."""
    rotated = Image.new('RGB', (80, 100))
    exif = rotated.getexif()
    exif[274] = 6
    rotated.save(folder / '1.jpg', exif=exif)
    content = good(1)
    content['images'][0]['file_name'] = '1.jpg'
    assert checker.check_images(content, str(folder), decode) == []


def test_folder_in_front_of_the_name(folder):
    content = good(4)
    for image in content['images']:
        image['file_name'] = 'images\\' + image['file_name']
    (found,) = checker.check_images(content, str(folder))
    assert '(4 exist there without the folder in their' in found.text


def test_labels_of_two_files():
    categories = good()['categories']
    one = resolve_partition(['cat', 'dog'], categories, 'a.json')
    other = copy.deepcopy(categories)
    other[0]['name'], other[1]['name'] = 'dog', 'cat'
    assert checker.compare_classes(one, one) == []
    (found,) = checker.compare_classes(
        one, resolve_partition(['cat', 'dog'], other, 'b.json')
    )
    assert found.level == 'problem'
    assert '2 (cat and dog, dog and cat)' in found.text


def test_content_is_not_changed():
    content = good()
    before = json.dumps(content)
    check(content)
    assert json.dumps(content) == before
