"""Images of an annotation file by the names of their files."""

import pytest

from mmdet_owp.datasets.image_names import match_names
from mmdet_owp.errors import UserError


def images(*names):
    return [dict(id=n, file_name=name) for n, name in enumerate(names)]


@pytest.mark.parametrize('names, in_file, ids', [
    # The folders that both have must agree.
    (['/x/cam1/0.png'], ['cam0/0.png', 'cam1/0.png'], [1]),
    (['/x/cam1/0.png'], ['cam0/0.png'], []),
    (['0.png'], ['cam0/0.png'], [0]),
    (['cam1/0.png'], ['a/cam0/0.png', 'a/cam1/0.png'], [1]),
    (['images/0.png'], ['0.png', '1.png'], [0]),
    # The longest name, or the whole one, wins.
    (['/x/cam1/0.png'], ['0.png', 'cam1/0.png'], [1]),
    (['0.png'], ['0.png', 'cam1/0.png'], [0]),
    # Other ways to write a path.
    (['/x/cam1/0.png'], ['.\\cam1\\0.png'], [0]),
    (['cam1/10.png'], ['0.png'], []),
])  # fmt: skip
def test_matches(names, in_file, ids):
    found = match_names(names, images(*in_file), 'ann.json')
    assert [*found.values()] == ids


def test_url_of_lvis():
    image = dict(id=5, coco_url='http://images.org/val2017/0.jpg')
    assert match_names(['/x/val2017/0.jpg'], [image], 'a') == {
        '/x/val2017/0.jpg': 5
    }
    assert not match_names(['/x/train2017/0.jpg'], [image], 'a')


@pytest.mark.parametrize('names, in_file, message', [
    (['cam0/0.png'], ['a/cam0/0.png', 'b/cam0/0.png'], 'ann.json: cam0/0.png '
     'may be any of 2 images, of the ids 0, 1; use names that'),
    (['0.png'], ['0.png', '0.png'], 'may be any of 2 images'),
    (['a/0.png', 'b/0.png'], ['0.png'], 'a/0.png and b/0.png both match'),
    (['a'], [''], r'images\[0\] \(id 0\) .* no file_name'),
])  # fmt: skip
def test_ambiguous_names_are_refused(names, in_file, message):
    with pytest.raises(UserError, match=message):
        match_names(names, images(*in_file), 'ann.json')
