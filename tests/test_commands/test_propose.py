"""The propose command, as users call it."""

from __future__ import annotations

import json
import re
import runpy
import time

import cv2
import numpy as np
import pytest
import torch

from mmdet_owp.apis import default_model
from mmdet_owp.apis.inputs import Video
from mmdet_owp.apis.proposal_inferencer import ProposalInferencer, Unreadable


@pytest.fixture(scope='module')
def config(tiny_config):
    return tiny_config()


@pytest.fixture(scope='module')
def checkpoint(config, untrained):
    return untrained(config)


@pytest.fixture
def tool(repo, monkeypatch, shapes_dir, capsys):
    """Call a tool, return its exit status or message and its output."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))

    def call(name, *arguments):
        path = str(repo / 'tools' / f'{name}.py')
        monkeypatch.setattr('sys.argv', [path, *map(str, arguments)])
        try:
            runpy.run_path(path, run_name='__main__')
            status = 0
        except SystemExit as error:
            status = error.code
        return status, capsys.readouterr().out

    return call


@pytest.fixture
def folder(shapes_dir, tmp_path):
    """Images, one in a subfolder with the name of another."""
    folder = tmp_path / 'photos'
    (folder / 'sub').mkdir(parents=True)
    paths = sorted((shapes_dir / 'val').iterdir())
    for name, path in zip(('a.png', 'b.PNG', 'sub/a.png'), paths):
        (folder / name).write_bytes(path.read_bytes())
    return folder


def read(path):
    return json.loads(path.read_text())


@pytest.mark.slow
def test_same_recall_as_in_a_test(
    tool, config, checkpoint, shapes_dir, tmp_path
):
    annotations = shapes_dir / 'annotations/instances_val.json'
    out = tmp_path / 'out'
    model = config, checkpoint
    options = f'--ann-file={annotations}', '--top-k=1500', '--no-draw'
    status, printed = tool(
        'propose', shapes_dir / 'val', *model, *options, '--out', out
    )
    assert status == 0
    assert 'has 4 of the 4 images, and 0 others' in printed
    assert {i['id'] for i in read(out / 'images.json')['images']} == {
        i['id'] for i in read(annotations)['images']
    }
    files = annotations, out / 'proposals.json', '--out', tmp_path / 'eval'
    options = '--partition', 'shapes', '--split', 'novel', 'base'
    tool('analysis_tools/eval_proposals', *files, *options)
    (numbers,) = read(tmp_path / 'eval/recall.json').values()
    status, _ = tool('test', *model, '--work-dir', tmp_path / 'test')
    assert status == 0
    expected = read(next((tmp_path / 'test').glob('*/*.json')))
    for split in ('novel', 'base'):
        for protocol in ('drop-base', 'exclude-base', 'oln'):
            name = f'{split}_{protocol}'
            for key in ('AR@10', 'AR@100', 'AP', 'proposals'):
                assert numbers[name][key] == pytest.approx(
                    expected[f'{name}/{key}'], abs=1e-9
                )
    assert expected['base_drop-base/AR@100'] > 0
    assert not (out / 'drawn').exists()


def test_folder_with_broken_files(tool, config, checkpoint, folder, tmp_path):
    (folder / 'broken.jpg').write_bytes(b'no image')
    (folder / 'empty.jpg').write_bytes(b'')
    out = folder / 'out'
    status, printed = tool('propose', folder, config, checkpoint, '--out', out)
    assert status == 1
    lines = printed.splitlines()
    at = lines.index('2 could not be read:')
    assert lines[at + 1].startswith(f'  {folder}/broken.jpg: failed to load')
    assert lines[at + 2] == f'  {folder}/empty.jpg: an empty file'
    images = read(out / 'images.json')['images']
    assert [i['file_name'] for i in images] == ['a.png', 'b.PNG', 'sub/a.png']
    rows = read(out / 'proposals.json')
    assert {r['image_id'] for r in rows} == {1, 2, 3}
    for i in (1, 2, 3):
        scores = [r['score'] for r in rows if r['image_id'] == i]
        assert len(scores) == 100 and scores == sorted(scores, reverse=True)
    for image in images:
        picture = cv2.imread(str(out / 'drawn' / image['file_name']))
        assert picture.shape == (512, 512, 3)
    # Once repaired, only it is read; the pictures drawn are no inputs.
    (folder / 'broken.jpg').write_bytes((folder / 'a.png').read_bytes())
    (folder / 'empty.jpg').unlink()
    status, printed = tool('propose', folder, config, checkpoint, '--out', out)
    assert status == 0
    assert '3 are done already' in printed and '1 images in' in printed
    assert read(out / 'images.json')['images'][3] == dict(
        id=4, file_name='broken.jpg', width=64, height=64
    )


def test_killed_and_started_again(tool, start, config, checkpoint, tmp_path):
    """No image twice, and the results of an unbroken run."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(120):
        size = (*rng.integers(20, 60, 2), 3)
        cv2.imwrite(
            str(folder / f'{i:03}.png'), rng.integers(0, 255, size, 'u1')
        )
    common = folder, config, checkpoint, '--batch-size', 3, '--no-draw'
    broken, whole = tmp_path / 'broken', tmp_path / 'whole'
    running = start('python', 'tools/propose.py', *common, '--out', broken)
    lines = broken / 'results.jsonl'
    deadline = time.monotonic() + 120
    while not lines.exists() or lines.read_bytes().count(b'\n') < 20:
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    running.kill()
    running.communicate()
    before = lines.read_bytes()
    num = before.count(b'\n') - 1
    assert 0 < num < 120
    status, printed = tool('propose', *common, '--out', broken)
    assert status == 0 and f'{num} are done already' in printed
    assert lines.read_bytes().startswith(before[: before.rindex(b'\n')])
    status, _ = tool('propose', *common, '--out', whole)
    assert status == 0
    a, b = read(broken / 'images.json'), read(whole / 'images.json')
    assert a == b and len(a['images']) == 120
    a, b = (read(out / 'proposals.json') for out in (broken, whole))
    assert [r['image_id'] for r in a] == [r['image_id'] for r in b]
    # Threads of another process may sum in another order.
    np.testing.assert_allclose(
        [r['score'] for r in a], [r['score'] for r in b], atol=1e-6
    )
    np.testing.assert_allclose(
        [r['bbox'] for r in a], [r['bbox'] for r in b], atol=1e-3
    )


def test_video(tool, config, checkpoint, tmp_path):
    path = tmp_path / 'clip.avi'
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (96, 64)
    )
    rng = np.random.default_rng(0)
    for _ in range(7):
        writer.write(rng.integers(0, 255, (64, 96, 3), 'u1'))
    writer.release()
    out = tmp_path / 'out'
    options = f'--out={out}', '--top-k=10'
    command = 'propose', path, config, checkpoint, *options
    assert tool(*command)[0] == 0
    assert read(out / 'images.json')['images'][4] == dict(
        id=5, file_name='clip.avi/000004.jpg', width=96, height=64, frame_id=4
    )
    expected = (out / 'proposals.json').read_text()
    assert len(json.loads(expected)) == 70
    drawn = Video(str(out / 'drawn/clip.mp4'))
    assert len(list(drawn.frames())) == 7 and drawn.fps == 10
    # Cut in the fourth frame, it continues from there.
    lines = (out / 'results.jsonl').read_bytes().splitlines(True)
    (out / 'results.jsonl').write_bytes(b''.join(lines[:4]) + lines[4][:50])
    (out / 'proposals.json').unlink()
    status, printed = tool(*command)
    assert status == 0
    assert '3 are done already' in printed and '4 images in' in printed
    assert (out / 'proposals.json').read_text() == expected


@pytest.mark.parametrize('batch_size', [1, 4])
def test_video_with_a_frame_that_fails(
    tool, config, checkpoint, tmp_path, monkeypatch, batch_size
):
    """Those before it are kept, and the next run continues with it."""
    path, out = tmp_path / 'clip.avi', tmp_path / 'out'
    codec = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), codec, 10, (64, 64))
    for level in range(6):
        writer.write(np.full((64, 64, 3), 40 * level, np.uint8))
    writer.release()
    read_frame = ProposalInferencer._read

    def fail(self, index, frame):
        if index == 2:
            return Unreadable(index, 'array 2', 'too large')
        return read_frame(self, index, frame)

    command = (
        *('propose', path, config, checkpoint, '--no-draw', '--out', out),
        *('--batch-size', batch_size),
    )
    with monkeypatch.context() as patch:
        patch.setattr(ProposalInferencer, '_read', fail)
        status, printed = tool(*command)
    assert status == 1 and 'array 2: too large' in printed
    done = [image['id'] for image in read(out / 'images.json')['images']]
    assert done == [1, 2]
    assert tool(*command)[0] == 0
    done = [image['id'] for image in read(out / 'images.json')['images']]
    assert done == [1, 2, 3, 4, 5, 6]


def test_class_detections(
    tool, tiny_config, untrained, folder, config, checkpoint, tmp_path
):
    joint = tiny_config('fcos_iou_cs_is_joint_shapes')
    joint.write_text(
        joint.read_text() + 'model.update(test_cfg=dict(score_thr=0.))'
    )
    trained = untrained(joint)
    command = 'propose', folder, joint, trained, '--no-draw', '--detections'
    status, _ = tool(*command, '--out', tmp_path / 'ids')
    assert status == 0
    rows = read(tmp_path / 'ids/detections.json')
    assert {r['image_id'] for r in rows} == {1, 2, 3}
    assert {r['category_id'] for r in rows} <= set(range(1, 9))
    names = {
        c['id']: c['name']
        for c in read(tmp_path / 'ids/images.json')['categories']
    }
    assert names == {0: 'object', **dict(enumerate('abcdefgh', 1))}
    # Ids of an annotation file that has two of the three images.
    annotations = dict(
        images=[
            dict(id=i, file_name=name, width=64, height=64)
            for i, name in ((5, 'a.png'), (3, 'b.PNG'))
        ],
        annotations=[],
        categories=[
            dict(id=70 + i, name=name) for i, name in enumerate('hgfedcba')
        ],
    )
    ann_file = tmp_path / 'ann.json'
    ann_file.write_text(json.dumps(annotations))
    # `a.png` and `sub/a.png` match the same entry.
    options = '--out', tmp_path / 'out', '--ann-file', ann_file
    status, _ = tool(*command, *options)
    assert re.match('error: .*ann.json: .*/a.png and .*sub/a.png both', status)
    (folder / 'sub/a.png').rename(folder / 'c.png')
    status, printed = tool(*command, *options)
    assert status == 0 and 'has 2 of the 3 images' in printed
    by_file = read(tmp_path / 'out/detections.json')
    assert {r['image_id'] for r in by_file} == {3, 5}
    assert [r['category_id'] for r in by_file if r['image_id'] == 5] == [
        78 - r['category_id'] for r in rows if r['image_id'] == 1
    ]
    options = '--detections', '--out', tmp_path / 'none'
    status, _ = tool('propose', folder, config, checkpoint, *options)
    assert re.match('error: .*has no classifier; leave out', status)


def test_bad_input(tool, config, checkpoint, folder, tmp_path):
    out = tmp_path / 'out'
    common = config, checkpoint, '--out', out, '--no-draw'
    assert tool('propose', folder / 'a.png', *common)[0] == 0
    other = tmp_path / 'other.pth'
    content = torch.load(checkpoint)
    torch.save(dict(content, more=1), other)
    size = 'test_dataloader.dataset.pipeline.2.scale=(96,96)'
    for words, message in (
        ((folder / 'none.png', *common), 'none.png: no such image, folder'),
        ((tmp_path / 'none.mp4', *common), 'none.mp4: no such video'),
        ((folder, 'none.py', checkpoint), 'none.py: no such config'),
        ((folder, config, 'none.pth'), 'none.pth: no such checkpoint'),
        ((folder, *common, '--device', 'gpu'), "no device 'gpu'"),
        ((folder, *common, '--top-k', 3), 'results of another --top-k;'),
        ((folder, *common, '--nms', 0.3), 'results of another --nms;'),
        ((folder / 'sub', *common), 'results of another input folder;'),
        ((folder, config, other, *common[2:]), 'of another checkpoint;'),
        ((folder, *common, '--cfg-options', size), 'of another config;'),
        ((folder, *common, f'--ann-file={folder}/a.png'), 'not a COCO ann'),
        ((folder, config, checkpoint, '--out', config), 'cannot write'),
    ):
        status, _ = tool('propose', *words)
        assert re.match(f'error: .*{message}', status), (words, status)
        assert '\n' not in status
    assert tool('propose', folder, *common, '--top-k', 0)[0] == 2
    # Images of the same folder are added to the results.
    status, printed = tool('propose', folder / '*.PNG', *common)
    assert status == 0 and '1 are done already' in printed
    assert len(read(out / 'images.json')['images']) == 2
    status, printed = tool('propose', folder / '*.PNG', *common, '--force')
    assert status == 0 and 'done already' not in printed
    assert len(read(out / 'images.json')['images']) == 1


FORMATS = {
    'photo': '.jpg',
    'a.jfif': '.jpg',
    'a.jpe': '.jpg',
    'a.jpg': '.jpg',
    'a.pgm': '.pgm',
    'a.PPM': '.ppm',
    'a.TIFF': '.tiff',
    'a.webp': '.webp',
    'a.bmp': '.bmp',
    'a.photo': '.png',
}


def test_every_format_is_drawn(tool, config, checkpoint, tmp_path):
    """Whatever the suffix, of which OpenCV can write some only."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (60, 40, 3), 'u1')
    paths = [tmp_path / name for name in FORMATS]
    for path in paths:
        suffix = FORMATS[path.name]
        picture = pixels[..., 0] if suffix == '.pgm' else pixels
        path.write_bytes(cv2.imencode(suffix, picture)[1])
    out = tmp_path / 'out'
    status, _ = tool('propose', *paths, config, checkpoint, '--out', out)
    assert status == 0
    images = read(out / 'images.json')['images']
    assert sorted(i['file_name'] for i in images) == sorted(FORMATS)
    drawn = sorted(path.name for path in (out / 'drawn').iterdir())
    assert drawn == sorted(
        name if name == 'a.jpg' else f'{name}.drawn.png' for name in FORMATS
    )
    for name in drawn:
        picture = cv2.imread(str(out / 'drawn' / name))
        assert picture.shape == (480, 320, 3)


def test_failure_to_draw_loses_no_result(
    tool, config, checkpoint, folder, tmp_path
):
    out = tmp_path / 'out'
    (out / 'drawn').mkdir(parents=True)
    (out / 'drawn/sub').write_text('a file where a folder should be')
    status, printed = tool('propose', folder, config, checkpoint, '--out', out)
    assert status == 0
    assert re.search(r'^sub/a.png: not drawn: .*drawn/sub', printed, re.M)
    assert len(read(out / 'images.json')['images']) == 3
    assert {r['image_id'] for r in read(out / 'proposals.json')} == {1, 2, 3}
    drawn = sorted(p.name for p in (out / 'drawn').glob('*.*'))
    assert drawn == ['a.png', 'b.PNG']


def test_failure_to_draw_a_video(
    tool, config, checkpoint, tmp_path, monkeypatch
):
    path, out = tmp_path / 'clip.avi', tmp_path / 'out'
    codec = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), codec, 10, (96, 64))
    writer.write(np.zeros((64, 96, 3), 'u1'))
    writer.release()
    monkeypatch.setattr(cv2, 'VideoWriter', lambda *_: cv2.VideoCapture())
    status, printed = tool('propose', path, config, checkpoint, '--out', out)
    assert status == 0
    assert 'clip.mp4: not drawn: OpenCV cannot write this video' in printed
    assert len(read(out / 'images.json')['images']) == 1


def test_scales_flip_and_the_model_of_the_package(
    tool, config, checkpoint, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(default_model, '_STEM', tmp_path / 'box')
    out = '--no-draw', '--out', tmp_path / 'out'
    status, _ = tool('propose', folder, *out)
    assert re.match('error: .*box.py: not in this installation', status)
    (tmp_path / 'box.py').write_text(
        config.read_text() + 'proposal_scales = [64, 96]'
    )
    (tmp_path / 'box.pth').write_bytes(checkpoint.read_bytes())
    assert tool('propose', folder / 'a.png', folder / 'sub', *out)[0] == 0
    common = '--no-draw', '--out', tmp_path / 'two', '--scales', 64, 96
    assert tool('propose', folder, config, checkpoint, *common)[0] == 0
    ours = read(tmp_path / 'out/proposals.json')
    named = read(tmp_path / 'two/proposals.json')
    assert [r for r in named if r['image_id'] == 1] == [
        r for r in ours if r['image_id'] == 1
    ]
    status, _ = tool('propose', folder, config, checkpoint, *common, '--flip')
    assert 'results of another --flip;' in status
    # A config or a checkpoint alone, or before the images.
    for words in (
        (folder, config),
        (folder, checkpoint),
        (config, checkpoint),
    ):
        assert tool('propose', *words, *out)[0] == 2


def test_output_that_is_a_file(tool, config, checkpoint, folder, tmp_path):
    out = tmp_path / 'out'
    out.write_text('mine')
    status, _ = tool('propose', folder, config, checkpoint, '--out', out)
    assert re.match(f'error: .*{out}', status) and '\n' not in status
    assert out.read_text() == 'mine'
