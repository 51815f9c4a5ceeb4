"""The report page: its files, and what a browser shows of them."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('jinja2', reason='the extra `report` is not installed')

from mmdet_owp.commands import report  # noqa: E402
from mmdet_owp.evaluation.file_evaluation import AnnotationFile  # noqa: E402
from mmdet_owp.evaluation.proposal_files import read_proposals  # noqa: E402
from mmdet_owp.recall import PROTOCOLS  # noqa: E402
from mmdet_owp.recall.explanation import SUPPRESSED  # noqa: E402

EVIL = '</script><script>window.evil=1</script>'
NAMES = {1: 'base', 2: EVIL, 3: '<img src=x onerror="window.evil=1">'}
BROWSERS = 'chromium chromium-browser google-chrome chromium-headless-shell'


def scene(folder):
    """Twenty images, one broken and one missing; two lists of proposals."""
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir()
    images, objects, lists = [], [], [[], []]
    for n in range(20):
        name = f'{n}_<b>&"\u2028.png'
        images.append(dict(id=n + 7, file_name=name, width=200, height=160))
        if n == 3:
            (folder / 'images' / name).write_bytes(b'\x89PNG, but no more')
        elif n != 4:
            pixels = rng.integers(0, 255, (160, 200, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / 'images' / name)
        boxes = rng.uniform((0, 0, 10, 10), (90, 70, 100, 90), (6, 4))
        for i, box in enumerate(boxes.round(1).tolist()):
            objects.append(
                dict(
                    id=len(objects) + 1,
                    image_id=n + 7,
                    category_id=1 + i % 3,
                    bbox=box,
                    iscrowd=int(i == 5 and n % 5 == 0),
                )
            )
        for spread, rows in zip((0.1, 0.25), lists):
            near = np.repeat(boxes, 5, axis=0)
            near += rng.normal(0, spread, near.shape) * near[:, 2:].mean()
            near[:, 2:] = near[:, 2:].clip(2)
            rows += [
                dict(image_id=n + 7, bbox=box, score=float(score))
                for box, score in zip(near.tolist(), rng.random(len(near)))
            ]
    categories = [dict(id=i, name=name) for i, name in NAMES.items()]
    content = dict(images=images, annotations=objects, categories=categories)
    (folder / 'ann.json').write_text(json.dumps(content))
    for n, rows in enumerate(lists):
        (folder / f'{n}.json').write_text(json.dumps(rows))
    return [str(folder / name) for name in ('ann.json', '0.json', '1.json')]


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return scene(tmp_path_factory.mktemp('data'))


@pytest.fixture(scope='module')
def folder(files, tmp_path_factory):
    out = tmp_path_factory.mktemp('out') / 'report'
    images = files[0].replace('ann.json', 'images')
    words = f'--images {images} --partition base --resamples 50 --k 3 10'
    labels = ['--labels', 'first', '<script>window.evil=1</script>']
    report.main([*files, *words.split(), '--out', str(out), *labels])
    return out


@pytest.fixture(scope='module')
def evaluations(files):
    """Evaluations of both files by protocol, as eval_proposals makes them."""
    data = AnnotationFile.read(files[0], 'base')
    evaluators = [
        data.evaluator(read_proposals(path, data.content['images']), path)
        for path in files[1:]
    ]
    return {
        protocol: [
            e.evaluate(data.partition.novel, protocol) for e in evaluators
        ]
        for protocol in PROTOCOLS
    }


@pytest.fixture(scope='module')
def browser():
    playwright = pytest.importorskip(
        'playwright.sync_api', reason='playwright is not installed'
    )
    path = next(filter(None, map(shutil.which, BROWSERS.split())), None)
    if path is None:
        pytest.skip(f'no browser: none of {BROWSERS}')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, folder):
    """The page in a browser; any error or request elsewhere fails."""
    page = browser.new_page()
    wrong, requested = [], []
    page.on('pageerror', lambda error: wrong.append(str(error)))
    page.on('request', lambda request: requested.append(request.url))
    page.goto((folder / 'index.html').as_uri())
    page.wait_for_selector('body[data-ready]')
    yield page
    assert page.evaluate('window.evil') is None
    assert not wrong
    inside = folder.as_uri() + '/'
    assert [url for url in requested if not url.startswith(inside)] == []
    page.close()


def test_headline_numbers(folder, evaluations):
    html = (folder / 'index.html').read_text(encoding='utf-8')
    for protocol, found in evaluations.items():
        cells = re.search(
            f'<th scope="row">{protocol}</th><td>first</td><td>([^ ]+) ', html
        )
        assert cells[1] == f'{100 * found[0].average_recall(3):.2f}'
    assert EVIL not in html and '<img src=x' not in html


def test_faulty_images_are_listed(folder):
    html = (folder / 'index.html').read_text(encoding='utf-8')
    rows = html[html.index('id="faults"') :]
    assert '2 of 20' in rows
    assert rows.index('cannot be read') < rows.index('no such file')
    assert len(list((folder / 'thumbs').iterdir())) == 18


def test_scripts_are_plain_ascii_without_tags(folder):
    for path in (folder / 'data').iterdir():
        assert b'<' not in path.read_bytes()
        path.read_text(encoding='ascii')


def test_other_folders_are_not_overwritten(files, tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('keep')
    words = [*files[:2], '--images', str(tmp_path), '--out', str(tmp_path)]
    with pytest.raises(SystemExit, match='other files than a report'):
        report.main(words)
    with pytest.raises(SystemExit):
        report.main([*files, *words[2:], '--labels', 'one'])
    assert '1 --labels for 2' in capsys.readouterr().err


def slide(page, name, position):
    page.evaluate(
        """([name, position]) => {
            const slider = document.getElementById(name);
            slider.value = position;
            slider.dispatchEvent(new Event('input'));
        }""",
        [name, position],
    )


@pytest.mark.slow
def test_numbers_in_a_browser(page, evaluations):
    """Those of eval_proposals, at three positions of both sliders."""
    for protocol, found in enumerate(evaluations.values()):
        page.select_option('#protocol', str(protocol))
        for level, position in ((0, 0), (4, 6), (9, 12)):
            slide(page, 'iou', level)
            slide(page, 'k', position)
            k = int(page.input_value('#k-number'))
            for file, evaluation in enumerate(found):
                span = page.locator(f'#live [data-file="{file}"]')
                recall = evaluation.recall(k)[level]
                mean = evaluation.average_recall(k)
                assert (
                    span.get_attribute('data-recall') == f'{100 * recall:.2f}'
                )
                assert span.get_attribute('data-ar') == f'{100 * mean:.2f}'


@pytest.mark.slow
def test_filters_in_a_browser(page, evaluations, files):
    content = json.loads(open(files[0]).read())
    page.fill('#k-number', '5')
    page.select_option('#class', '2')
    wanted = [a for a in content['annotations'] if a['category_id'] == 3]
    wanted = {a['image_id'] for a in wanted if not a['iscrowd']}
    assert page.get_attribute('#count', 'data-images') == str(len(wanted))
    found = evaluations['drop-base']
    truth = found[0].ground_truth

    def met(evaluation):
        hits = evaluation.found['all']
        met = hits.object[(hits.threshold == 0) & (hits.rank < 5)]
        return set(met.tolist())

    objects = set(np.flatnonzero(found[0].wanted['all']).tolist())
    objects = {n for n in objects if truth.category[n] == 3}
    for status, chosen in (
        ('missed', objects - met(found[0])),
        ('left', objects & met(found[0]) - met(found[1])),
        ('right', objects & met(found[1]) - met(found[0])),
    ):
        page.select_option('#status', status)
        images = {truth.image[n] for n in chosen}
        assert page.get_attribute('#count', 'data-images') == str(len(images))
    # The bar of a class opens the images where it is missed.
    page.select_option('#status', 'found')
    page.locator('[data-class="1"]:visible').first.click()
    assert page.input_value('#class') == '1'
    assert page.input_value('#status') == 'missed'


@pytest.mark.slow
def test_keyboard_in_a_browser(page):
    before = int(page.input_value('#k-number'))
    page.keyboard.press('.')
    assert int(page.input_value('#k-number')) > before
    page.keyboard.press(',')
    assert int(page.input_value('#k-number')) == before
    page.keyboard.press(']')
    assert page.inner_text('#iou-text') == '0.55'
    page.keyboard.press('n')
    assert 'page 2 of 2' in page.inner_text('#count')
    page.keyboard.press('p')
    page.keyboard.press('m')
    assert page.input_value('#status') == 'missed'
    page.fill('#k-number', '4')
    page.locator('#k').focus()
    page.keyboard.press('b')
    page.wait_for_selector('.frame .proposal')
    shown = page.locator('article').first.locator('.frame').first
    assert shown.locator('.proposal').count() == 4
    page.keyboard.press('?')
    assert page.is_visible('#help')


@pytest.mark.slow
def test_phone_and_names_in_a_browser(page):
    page.set_viewport_size(dict(width=380, height=700))
    width = page.evaluate('document.documentElement.scrollWidth')
    assert width <= 380
    texts = page.locator('#class option').all_text_contents()
    assert texts == ['all', *NAMES.values()]
    assert page.locator('.item .name').first.inner_text()


@pytest.mark.slow
def test_report_of_a_test(
    repo, call_tool, shapes_dir, tiny_config, untrained, tmp_path, monkeypatch
):
    """It knows which boxes the limit of five proposals removed."""
    monkeypatch.setenv('SHAPES', str(shapes_dir))
    config, out = tiny_config(), tmp_path / 'report'
    work, limit = tmp_path / 'work', 'model.test_cfg.proposals.max_per_img=5'
    words = [config, untrained(config), '--report', out, '--work-dir', work]
    tool = repo / 'tools/test.py'
    assert call_tool(tool, *words, '--cfg-options', limit) is None
    script = (out / 'data/objects-0.js').read_text()
    images = json.loads(script[script.index(',') + 1 : script.rindex(')')])
    outcomes = np.array([o[6] for image in images for o in image[4]])
    outcomes = outcomes.reshape(-1, len(PROTOCOLS), 10)
    assert len(images) == 4 and all(image[3] for image in images)
    assert (outcomes == SUPPRESSED).any() and outcomes.max() < 5
    (path,) = work.glob('*/*.json')
    metrics = json.loads(path.read_text())
    met = (outcomes[:, 0] >= 0).mean()
    assert metrics['novel_drop-base/AR@100'] == pytest.approx(met, abs=1e-4)


def test_missing_packages(monkeypatch):
    """Those of the extra have a remedy, a fault keeps its traceback."""
    words = 'ann.json found.json --images . --out page'.split()
    for name in ('mmdet_owp.reporting.thumbnails', 'jinja2'):
        with monkeypatch.context() as patch:
            importlib.import_module('mmdet_owp.reporting.page')
            patch.delitem(sys.modules, 'mmdet_owp.reporting.page')
            patch.delattr('mmdet_owp.reporting.page')
            patch.setitem(sys.modules, name, None)
            with pytest.raises((SystemExit, ModuleNotFoundError)) as raised:
                report.main(words)
        if name == 'jinja2':
            assert raised.value.code.startswith('error: the report needs jin')
        else:
            assert raised.type is ModuleNotFoundError
