"""Writing the built-in data in the format of COCO."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_owp.errors import UserError
from mmdet_owp.partitions import SHAPES_NOVEL
from mmdet_owp.shapes.dataset import make_shapes
from mmdet_owp.shapes.objects import FAMILIES
from mmdet_owp.shapes.scenes import draw_image

TOOL = Path(__file__).parents[2] / 'tools/dataset_tools/make_shapes.py'
# Of the data set that ``made`` writes.
ARGUMENTS = dict(seed=3, num_train=12, num_val=5, size=64)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp('shapes')
    assert make_shapes(out, **ARGUMENTS)
    return out


def files(out):
    return {
        str(p.relative_to(out)): p.read_bytes()
        for p in sorted(Path(out).rglob('*'))
        if p.is_file()
    }


def test_coco_file_and_images(made):
    pycocotools = pytest.importorskip('pycocotools.coco')
    for split_index, (split, number) in enumerate((('train', 12), ('val', 5))):
        path = made / f'annotations/instances_{split}.json'
        content = json.loads(path.read_text())
        coco = pycocotools.COCO(str(path))
        assert len(coco.imgs) == number
        assert {c['id']: c['name'] for c in content['categories']} == FAMILIES
        ids = [a['id'] for a in content['annotations']]
        assert ids == list(range(1, len(ids) + 1))
        novel = sum(
            a['category_id'] in SHAPES_NOVEL for a in content['annotations']
        )
        assert 0 < novel < len(ids)
        for index, info in enumerate(content['images']):
            image = cv2.imread(str(made / split / info['file_name']))
            rng = np.random.default_rng([3, split_index, index])
            expected, objects = draw_image(rng, 64)
            assert np.array_equal(image, expected)
            assert (info['height'], info['width']) == image.shape[:2]
            written = [
                (a['category_id'], tuple(a['bbox']), a['area'])
                for a in coco.imgToAnns[info['id']]
            ]
            drawn = [(o.category_id, o.bbox, o.mask.sum()) for o in objects]
            assert written == drawn


def test_images_do_not_depend_on_their_number(made, tmp_path):
    make_shapes(tmp_path, seed=3, num_train=4, num_val=2, size=64)
    few, many = files(tmp_path), files(made)
    pictures = [name for name in few if name.endswith('.png')]
    assert len(pictures) == 6
    assert all(few[name] == many[name] for name in pictures)


def test_finished_set_is_kept_and_another_refused(made):
    before = files(made)
    times = {p: os.stat(made / p).st_mtime_ns for p in before}
    assert not make_shapes(made, **ARGUMENTS)
    assert times == {p: os.stat(made / p).st_mtime_ns for p in before}
    with pytest.raises(UserError, match='--overwrite') as error:
        make_shapes(made, **dict(ARGUMENTS, seed=4))
    assert '\n' not in str(error.value)
    assert files(made) == before


def test_overwrite_replaces_the_whole_set(tmp_path):
    other = dict(seed=1, num_train=2, num_val=2, size=48)
    make_shapes(tmp_path / 'a', seed=0, num_train=6, num_val=3, size=48)
    make_shapes(tmp_path / 'a', **other, overwrite=True)
    make_shapes(tmp_path / 'b', **other)
    assert files(tmp_path / 'a') == files(tmp_path / 'b')


def test_interrupted_call_is_redone(made, tmp_path):
    calls = []

    def interrupt_in_val(numbers):
        calls.append(1)
        for n in numbers:
            if len(calls) == 2 and n == 3:
                raise KeyboardInterrupt
            yield n

    with pytest.raises(KeyboardInterrupt):
        make_shapes(tmp_path, **ARGUMENTS, progress=interrupt_in_val)
    assert not list(tmp_path.rglob('*.json'))
    assert make_shapes(tmp_path, **ARGUMENTS)
    assert files(tmp_path) == files(made)


def test_missing_image_is_noticed(made, tmp_path):
    make_shapes(tmp_path, **ARGUMENTS)
    (tmp_path / 'val' / '000002.png').unlink()
    assert make_shapes(tmp_path, **ARGUMENTS)
    assert files(tmp_path) == files(made)


@pytest.mark.parametrize('text', ['{"images": []}', '[]', 'not json'])
def test_foreign_data_are_never_touched(tmp_path, text):
    path = tmp_path / 'annotations' / 'instances_train.json'
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(UserError, match='not made by this generator'):
        make_shapes(tmp_path, num_train=1, num_val=1, overwrite=True)
    assert path.read_text() == text


@pytest.mark.parametrize(
    'name, value',
    [('seed', -1), ('num_train', 0), ('size', 20), ('style', 'voc')],
)
def test_arguments_out_of_range(tmp_path, name, value):
    with pytest.raises(UserError, match='must be'):
        make_shapes(tmp_path / 'out', **{name: value})
    assert not (tmp_path / 'out').exists()


def test_command(tmp_path, call_tool, capsys):
    sizes = '--train', 3, '--val', 2, '--size', 64

    def call(*words):
        status = call_tool(TOOL, '--out', tmp_path, *sizes, *words)
        return status, capsys.readouterr().out

    made = f'made: 3 training and 2 validation images in {tmp_path}\n'
    assert call() == (None, made)
    assert len(list(tmp_path.glob('*/*.png'))) == 5
    assert call()[1].startswith('already there')
    status, _ = call('--seed', 1)
    assert status.startswith('error: ') and '--overwrite' in status
    assert '\n' not in status
    assert call('--seed', 1, '--overwrite')[0] is None
    assert call('--seed', -1)[0].startswith('error: seed must be at least 0')
    status, _ = call('--out', tmp_path / 'train/000000.png')
    assert status.startswith(f'error: cannot write {tmp_path}/train/000000')
