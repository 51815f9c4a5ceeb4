"""Cut a subset of a data set with the layout of COCO 2017."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / 'tools/dataset_tools/make_coco_mini.py'


@pytest.fixture
def coco(tmp_path):
    """Six images; each but the first has a bright square as its object."""
    root = tmp_path / 'coco'
    (root / 'annotations').mkdir(parents=True)
    for part in ('train', 'val'):
        (root / f'{part}2017').mkdir()
        images, annotations = [], []
        for i in range(6):
            image = np.zeros((400, 600 if i < 3 else 200, 3), np.uint8)
            image[200:300, 40:140] = 255
            name = f'{i:012}.jpg'
            cv2.imwrite(str(root / f'{part}2017' / name), image)
            images.append(
                dict(
                    id=i + 1, file_name=name, width=image.shape[1], height=400
                )
            )
            if i:
                annotations.append(
                    dict(
                        id=i,
                        image_id=i + 1,
                        category_id=1,
                        bbox=[40, 200, 100, 100],
                        area=5000,
                        iscrowd=i % 2,
                        segmentation=[[1, 2, 3]],
                    )
                )
        categories = [dict(id=1, name='person')]
        path = root / 'annotations' / f'instances_{part}2017.json'
        content = dict(
            images=images, annotations=annotations, categories=categories
        )
        path.write_text(json.dumps(content))
    return root


@pytest.fixture
def cut(coco, tmp_path, call_tool):
    """Call the tool; return the folder it writes and what it exits with."""

    def call(*arguments):
        out = tmp_path / 'mini'
        options = '--train 5 --val 2 --longest 300'.split()
        options += ['--coco', coco, '--out', out, *arguments]
        return out, call_tool(TOOL, *options)

    return call


def test_boxes_follow_the_pixels(cut):
    out, status = cut()
    assert status is None
    content = json.loads(
        (out / 'annotations' / 'instances_train.json').read_text()
    )
    assert [i['id'] for i in content['images']] == [2, 3, 4, 5, 6]
    objects = {a['image_id']: a for a in content['annotations']}
    for info in content['images']:
        image = cv2.imread(str(out / 'train' / info['file_name']))
        assert image.shape[:2] == (info['height'], info['width'])
        assert max(image.shape) == 300
        rows, columns = np.nonzero(image[..., 0] > 127)
        box = [
            columns.min(),
            rows.min(),
            np.ptp(columns) + 1,
            np.ptp(rows) + 1,
        ]
        a = objects[info['id']]
        np.testing.assert_allclose(a['bbox'], box, atol=1.01)
        assert a['area'] == pytest.approx(a['bbox'][2] * a['bbox'][3] / 2)
        assert a['iscrowd'] == (info['id'] - 1) % 2
        assert 'segmentation' not in a
    assert content['categories'] == [dict(id=1, name='person')]


def test_same_seed_same_images(cut):

    def chosen(*arguments):
        path = cut(*arguments)[0] / 'annotations' / 'instances_val.json'
        return [i['id'] for i in json.loads(path.read_text())['images']]

    first = chosen()
    assert len(first) == 2
    assert chosen() == first
    assert any(chosen('--seed', str(s)) != first for s in range(1, 6))


@pytest.mark.parametrize(
    'arguments, message',
    [
        ('--train 6', 'instances_train2017.json: 6 images requested, but on'),
        ('--coco gone', 'error: no annotation file gone'),
        (f'--out {__file__}/x', 'error: cannot write '),
    ],
)
def test_wrong_arguments(cut, arguments, message):
    assert message in cut(*arguments.split())[1]


def test_missing_and_wrong_images(cut, coco):
    path = coco / 'train2017' / '000000000002.jpg'
    cv2.imwrite(str(path), np.zeros((5, 5, 3), np.uint8))
    assert '2.jpg: 5 x 5, but 600 x 400 in the annotation' in cut()[1]
    path.unlink()
    assert cut()[1] == f'error: {path}: missing or not an image'
