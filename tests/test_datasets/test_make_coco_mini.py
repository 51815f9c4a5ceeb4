"""Cutting a subset from a set laid out as COCO 2017."""

import json
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / 'tools/dataset_tools/make_coco_mini.py'


@pytest.fixture
def coco(tmp_path):
    """Six images; a bright square is the object of each but the first."""
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
        content = dict(
            images=images,
            annotations=annotations,
            categories=[dict(id=1, name='person')],
        )
        (root / 'annotations' / f'instances_{part}2017.json').write_text(
            json.dumps(content)
        )
    return root


@pytest.fixture
def cut(coco, tmp_path, monkeypatch):

    def call(*arguments):
        monkeypatch.setattr(
            'sys.argv',
            [
                'make_coco_mini.py',
                '--coco',
                str(coco),
                '--out',
                str(tmp_path / 'mini'),
                '--train',
                '5',
                '--val',
                '2',
                '--longest',
                '300',
                *arguments,
            ],
        )
        runpy.run_path(str(TOOL), run_name='__main__')
        return tmp_path / 'mini'

    return call


def test_boxes_follow_the_pixels(cut):
    out = cut()
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
        path = cut(*arguments) / 'annotations' / 'instances_val.json'
        return [i['id'] for i in json.loads(path.read_text())['images']]

    first = chosen()
    assert len(first) == 2
    assert chosen() == first
    assert any(chosen('--seed', str(s)) != first for s in range(1, 6))


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            ('--train', '6'),
            'instances_train2017.json: 6 images wanted, but only',
        ),
        (('--coco', 'gone'), 'no annotation file gone'),
    ],
)
def test_what_cannot_be_cut(cut, arguments, message):
    with pytest.raises(SystemExit, match=message):
        cut(*arguments)


def test_missing_and_wrong_images(cut, coco):
    path = coco / 'train2017' / '000000000002.jpg'
    cv2.imwrite(str(path), np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(SystemExit, match='2.jpg is 5 x 5, in the annotation'):
        cut()
    path.unlink()
    with pytest.raises(SystemExit, match='2.jpg is missing or no image'):
        cut()
