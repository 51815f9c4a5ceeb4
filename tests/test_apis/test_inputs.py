from __future__ import annotations

import cv2
import numpy as np
import pytest

from mmdet_owp.apis.inputs import (
    ImageFiles,
    Video,
    find_images,
    is_video,
    match_annotations,
)
from mmdet_owp.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Images in subfolders, with a loop of links and other files."""
    root = tmp_path / 'photos'
    for name in (
        'b.jpg',
        'a.PNG',
        'sub/b.jpg',
        'sub/deep/c.TIFF',
        'notes.txt',
        '[1].jpg',
        # What macOS adds to archives.
        '._b.jpg',
        'sub/._b.jpg',
        '__MACOSX/b.jpg',
        '__MACOSX/sub/b.jpg',
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    (root / 'sub/loop').symlink_to(root)
    (root / 'link.jpg').symlink_to(root / 'b.jpg')
    (root / 'broken.jpg').symlink_to('nowhere.jpg')
    return root


ALL = [
    '[1].jpg',
    'a.PNG',
    'b.jpg',
    'broken.jpg',
    'link.jpg',
    'sub/b.jpg',
    'sub/deep/c.TIFF',
]


def test_folder_with_subfolders_links_and_any_case(folder):
    found = find_images([str(folder)])
    assert found.folder == str(folder)
    assert found.names == ALL


def test_results_inside_the_folder_are_left_out(folder):
    assert find_images([str(folder)], str(folder / 'sub/deep')).names == [
        name for name in ALL if 'deep' not in name
    ]


@pytest.mark.parametrize(
    'pattern, names',
    [
        ('*.jpg', ['[1].jpg', 'b.jpg', 'broken.jpg', 'link.jpg']),
        ('sub/[ab].jpg', ['b.jpg']),
        ('**/b.*', ['b.jpg', 'sub/b.jpg']),
        ('[1].jpg', ['[1].jpg']),
    ],
)
def test_pattern(folder, pattern, names):
    found = find_images([str(folder / pattern)])
    assert found.names == names
    assert found.folder == str((folder / pattern).parent).rstrip('*/')


def test_several_inputs_have_names_from_their_common_folder(folder):
    found = find_images(
        [
            str(folder / 'sub'),
            str(folder / 'b.jpg'),
            str(folder / 'sub/b.jpg'),  # named twice
        ]
    )
    assert found.folder == str(folder)
    assert {'b.jpg', 'sub/b.jpg', 'sub/deep/c.TIFF'} <= set(found.names)
    assert len(found.names) == len(ALL)


def test_a_file_is_taken_whatever_its_suffix(folder):
    assert find_images([str(folder / 'notes.txt')]).names == ['notes.txt']


def test_nothing_there(folder, tmp_path):
    with pytest.raises(UserError, match='none.jpg: no such image'):
        find_images([str(folder), str(tmp_path / 'none.jpg')])
    (tmp_path / 'empty').mkdir()
    for source in ('empty', 'photos/*.bmp'):
        with pytest.raises(UserError, match='no image here; looked for'):
            find_images([str(tmp_path / source)])


def test_ids_of_an_annotation_file():
    images = [
        dict(id=7, file_name='a.jpg'),
        dict(id=8, file_name='x/b.jpg'),
        dict(id=9, file_name='y/b.jpg'),
        dict(id=3, coco_url='http://images/val2017/c.jpg'),
    ]
    found = match_annotations(
        ImageFiles('/photos/val2017', ['sub/a.jpg', 'c.jpg', 'd.jpg']),
        images,
        'ann.json',
    )
    assert found == {'sub/a.jpg': 7, 'c.jpg': 3}
    found = match_annotations(
        ImageFiles('/photos/x', ['b.jpg']), images, 'ann.json'
    )
    assert found == {'b.jpg': 8}
    # A file of the same name, in another folder, is another image.
    with pytest.raises(
        UserError, match='ann.json: contains none of the images'
    ):
        match_annotations(
            ImageFiles('/photos/z', ['b.jpg']), images, 'ann.json'
        )
    with pytest.raises(UserError, match='1/a.jpg and .*2/a.jpg both match'):
        match_annotations(
            ImageFiles('/photos', ['1/a.jpg', '2/a.jpg']), images, 'ann.json'
        )


def test_frames_of_a_video(tmp_path):
    path = str(tmp_path / 'clip.AVI')
    writer = cv2.VideoWriter(
        path, cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48)
    )
    for i in range(6):
        writer.write(np.full((48, 64, 3), 40 * i, np.uint8))
    writer.release()
    assert is_video(path) and not is_video(str(tmp_path))
    video = Video(path)
    assert (video.num_frames, video.fps) == (6, 10)
    frames = list(video.frames())
    assert [round(f.mean() / 40) for f in frames] == list(range(6))
    np.testing.assert_array_equal(list(video.frames(4)), frames[4:])


def test_a_video_that_is_none(tmp_path):
    path = tmp_path / 'clip.mp4'
    with pytest.raises(UserError, match='clip.mp4: no such video'):
        Video(str(path))
    path.write_bytes(b'not a video')
    with pytest.raises(UserError, match='clip.mp4: not a video'):
        Video(str(path))
