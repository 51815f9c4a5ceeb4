from __future__ import annotations

import json
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from mmdet_owp.apis.results_folder import ResultsFolder
from mmdet_owp.errors import UserError

MADE_BY = dict(config='abc', checkpoint='def')


def fill(folder, names):
    """Append a different result for each image that has none."""
    for name in names:
        if name not in folder.done:
            n = int(name.split('.')[0])
            folder.append(
                name,
                (10 + n, 20),
                [[n, 0, 5, 6, 0.5], [n, 1, 5, 6, 0.25]][:n],
                [[n, 2, 3, 4, 0.125, 9]],
                frame_id=n,
            )


def finish(folder):
    folder.finish({0: 'object', 9: 'dog'}, detections=True)
    return {
        name: (folder.path / f'{name}.json').read_bytes()
        for name in ('proposals', 'detections', 'images')
    }


NAMES = [f'{n}.jpg' for n in range(5)]


def test_files_are_coco_results(tmp_path):
    folder = ResultsFolder(str(tmp_path / 'out'), MADE_BY)
    fill(folder, NAMES)
    finish(folder)
    out = tmp_path / 'out'
    coco = COCO(str(out / 'images.json'))
    assert coco.imgs[3] == dict(
        id=3, file_name='2.jpg', width=20, height=12, frame_id=2
    )
    assert coco.cats[9] == dict(id=9, name='dog')
    proposals = coco.loadRes(str(out / 'proposals.json'))
    assert len(proposals.anns) == 0 + 1 + 2 * 3
    of_third = proposals.imgToAnns[3]
    assert [a['bbox'] for a in of_third] == [[2, 0, 5, 6], [2, 1, 5, 6]]
    assert [a['score'] for a in of_third] == [0.5, 0.25]
    assert {a['category_id'] for a in of_third} == {0}
    detections = coco.loadRes(str(out / 'detections.json'))
    assert [a['category_id'] for a in detections.anns.values()] == [9] * 5
    assert sorted(p.name for p in out.iterdir()) == [
        'detections.json',
        'images.json',
        'proposals.json',
        'results.jsonl',
    ]


def test_nothing_found(tmp_path):
    folder = ResultsFolder(str(tmp_path), MADE_BY)
    folder.finish({0: 'object'}, detections=False)
    for name in ('proposals', 'images'):
        json.loads((tmp_path / f'{name}.json').read_text())
    assert not (tmp_path / 'detections.json').exists()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_goes_on_wherever_it_was_cut(data):
    """Equals an unbroken run, wherever a kill cut the file."""
    with tempfile.TemporaryDirectory() as tmp:
        whole = ResultsFolder(f'{tmp}/whole', MADE_BY)
        fill(whole, NAMES)
        expected = finish(whole)
        content = (whole.path / 'results.jsonl').read_bytes()
        broken = ResultsFolder(f'{tmp}/broken', MADE_BY)
        end = data.draw(st.integers(0, len(content)))
        (broken.path / 'results.jsonl').write_bytes(content[:end])
        again = ResultsFolder(f'{tmp}/broken', MADE_BY)
        # Of the whole lines, the first is the heading.
        num = max(0, content[:end].count(b'\n') - 1)
        assert list(again.done) == NAMES[:num]
        fill(again, NAMES)
        assert finish(again) == expected
        assert (again.path / 'results.jsonl').read_bytes() == content


def test_ids_count_on_from_the_highest(tmp_path):
    folder = ResultsFolder(str(tmp_path), MADE_BY)
    folder.append('a.jpg', (1, 1), [], image_id=40)
    folder = ResultsFolder(str(tmp_path), MADE_BY)
    folder.append('b.jpg', (1, 1), [])
    assert folder.done == {'a.jpg': 40, 'b.jpg': 41}


def test_results_of_something_else_are_refused(tmp_path):
    fill(ResultsFolder(str(tmp_path), MADE_BY), NAMES)
    before = (tmp_path / 'results.jsonl').read_bytes()
    with pytest.raises(UserError, match='of another checkpoint; .*--force'):
        ResultsFolder(str(tmp_path), dict(MADE_BY, checkpoint='other'))
    assert (tmp_path / 'results.jsonl').read_bytes() == before


@pytest.mark.parametrize('content', ['{"a": 1}', '{"a": 1}\n', 'text'])
@pytest.mark.parametrize('restart', [False, True])
def test_a_file_of_another_program_is_left_alone(tmp_path, content, restart):
    path = tmp_path / 'results.jsonl'
    path.write_text(content)
    with pytest.raises(UserError, match='not written by tools/propose.py'):
        ResultsFolder(str(tmp_path), MADE_BY, restart)
    assert path.read_text() == content


def test_a_damaged_line_is_named(tmp_path):
    fill(ResultsFolder(str(tmp_path), MADE_BY), NAMES)
    path = tmp_path / 'results.jsonl'
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(''.join([*lines[:2], 'x' + lines[2], *lines[3:]]))
    with pytest.raises(UserError, match='jsonl: line 3 is damaged'):
        ResultsFolder(str(tmp_path), MADE_BY)


def test_restart(tmp_path):
    folder = ResultsFolder(str(tmp_path), MADE_BY)
    fill(folder, NAMES)
    finish(folder)
    folder.drawn.mkdir()
    (folder.drawn / 'a.jpg').touch()
    (tmp_path / 'mine.txt').touch()
    again = ResultsFolder(str(tmp_path), dict(config='new'), restart=True)
    assert again.done == {}
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'mine.txt',
        'results.jsonl',
    ]


def test_a_run_without_results_blocks_no_other(tmp_path):
    """An error before the first image, and then the remedy."""
    ResultsFolder(str(tmp_path), dict(config='wrong'))
    folder = ResultsFolder(str(tmp_path), MADE_BY)
    assert folder.done == {}
    assert json.loads((tmp_path / 'results.jsonl').read_text()) == dict(
        made_by=MADE_BY
    )
