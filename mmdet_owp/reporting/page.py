"""The report: a folder with a page of what proposals find and miss."""

from __future__ import annotations

import os.path as osp
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from mmdet_owp.cores import num_cores
from mmdet_owp.datasets.coco_records import image_name
from mmdet_owp.errors import UserError, writing
from mmdet_owp.evaluation.file_evaluation import AnnotationFile, compare
from mmdet_owp.recall import IOU_THRS, PROTOCOLS, Evaluation, RecallEvaluator
from mmdet_owp.recall.bootstrap import bootstrap_difference
from mmdet_owp.recall.evaluation import Found
from mmdet_owp.recall.explanation import REASONS, explain
from mmdet_owp.reporting.chunks import (
    LISTS,
    Listing,
    script_json,
    write_objects,
    write_proposals,
)
from mmdet_owp.reporting.plots import Plot, recall_plots
from mmdet_owp.reporting.thumbnails import Thumbnail, make_thumbnails

# The sliders end at this k.
MAX_K = 1000
SIZES = ('small', 'medium', 'large')
_ASSETS = Path(__file__).parent / 'assets'


class ReportFile(NamedTuple):
    """A list of proposals to report on.

    Attributes:
        label (str): its name on the page.
        evaluator (RecallEvaluator): of the proposals.
        candidate_iou (np.ndarray, optional): see :func:`explain`.
    """

    label: str
    evaluator: RecallEvaluator
    candidate_iou: np.ndarray | None = None


class Settings(NamedTuple):
    """What a report shows.

    Attributes:
        out (Path): folder to write.
        images (str): folder of the image files.
        split (str): classes whose recall is measured.
        ks (Sequence[int]): the k of the headline numbers, ascending; the
            last one is that of plots and classes.
        side (int): longest side of a thumbnail, in pixels.
        resamples (int): of the bootstrap.
        seed (int): of the bootstrap.
    """

    out: Path
    images: str
    split: str
    ks: Sequence[int] = (10, 100)
    side: int = 512
    resamples: int = 1000
    seed: int = 0


def check_output(out: Path) -> None:
    """Refuse a folder that holds something else than a report.

    Raises:
        UserError: if there are other files.
    """
    is_report = (out / 'data').is_dir() and (out / 'index.html').is_file()
    if out.is_dir() and any(out.iterdir()) and not is_report:
        raise UserError(
            f'{out}: this folder has other files than a report; name a new '
            'folder'
        )


def write_report(
    data: AnnotationFile, files: Sequence[ReportFile], settings: Settings
) -> Path:
    """Write a report; an older one in the same folder is replaced.

    Args:
        data (AnnotationFile): the objects.
        files (Sequence[ReportFile]): lists of proposals for them, with
            different labels.
        settings (Settings): what to show.

    Returns:
        Path: the page to open.

    Raises:
        UserError: if it cannot be written, or there is no object to find.
    """
    check_output(settings.out)
    classes = data.partition.categories(settings.split)
    evaluations: dict[str, dict[str, Evaluation]] = {p: {} for p in PROTOCOLS}
    listings = []
    for file in files:
        kept, why = [], []
        for protocol, of_protocol in evaluations.items():
            found = file.evaluator.evaluate(classes, protocol, settings.ks)
            of_protocol[file.label] = found
            kept.append(found.kept)
            why.append(
                explain(file.evaluator, classes, protocol, file.candidate_iou)
            )
        listings.append(Listing(file.evaluator.proposals, kept, why))
    if not len(listings[0].why[0].objects):
        raise UserError(
            f'{data.path}: no object of split {settings.split} to find; check '
            'the partition'
        )
    with writing(settings.out):
        for name in ('data', 'thumbs', 'assets'):
            shutil.rmtree(settings.out / name, ignore_errors=True)
            (settings.out / name).mkdir(parents=True)
        names, thumbnails = _thumbnails(data, settings)
        longest = max(
            np.bincount(listing.proposals.image).max(initial=1)
            for listing in listings
        )
        max_k = int(min(MAX_K, longest))
        num_scripts = _write_data(
            *(data, settings, listings, names, thumbnails, max_k)
        )
        page = _render(
            *(data, settings, evaluations, names, thumbnails, max_k),
            num_scripts,
            any(file.candidate_iou is not None for file in files),
        )
        path = settings.out / 'index.html'
        path.write_text(page, encoding='utf-8')
        for asset in _ASSETS.iterdir():
            shutil.copyfile(asset, settings.out / 'assets' / asset.name)
    return path


def _thumbnails(
    data: AnnotationFile, settings: Settings
) -> tuple[list[str], list[Thumbnail]]:
    """Make thumbnails, in the order of the ids; return names and sizes."""
    infos = {info['id']: info for info in data.content['images']}
    ordered = [infos[i] for i in data.ground_truth.image_ids.tolist()]
    names = [image_name(info) or '' for info in ordered]
    thumbnails = make_thumbnails(
        [osp.join(settings.images, name) for name in names],
        *(settings.out / 'thumbs', settings.side, num_cores()),
    )
    for n, info in enumerate(ordered):
        if thumbnails[n].fault:  # the file may know the size
            thumbnails[n] = thumbnails[n]._replace(
                width=info.get('width') or 0, height=info.get('height') or 0
            )
    return names, thumbnails


def _write_data(
    data: AnnotationFile,
    settings: Settings,
    listings: Sequence[Listing],
    names: Sequence[str],
    thumbnails: Sequence[Thumbnail],
    max_k: int,
) -> int:
    """Write the scripts with objects and proposals."""
    truth, folder = data.ground_truth, settings.out / 'data'
    everything = data.partition.categories('all')
    images = [
        (name, round(t.width), round(t.height), int(not t.fault))
        for name, t in zip(names, thumbnails)
    ]
    positions = {c: n for n, c in enumerate(everything)}
    num_scripts = write_objects(folder, truth, listings, images, positions)
    for number, listing in enumerate(listings):
        write_proposals(folder, number, listing, len(images), max_k)
    return num_scripts


def _render(
    data: AnnotationFile,
    settings: Settings,
    evaluations: dict[str, dict[str, Evaluation]],
    names: Sequence[str],
    thumbnails: Sequence[Thumbnail],
    max_k: int,
    num_scripts: int,
    suppressed: bool,
) -> str:
    """Return the page as HTML."""
    classes = data.partition.categories('all')
    labels = list(evaluations['drop-base'])
    stops = np.geomspace(1, max_k, 60).round().astype(int).tolist()
    ks = [k for k in settings.ks if k <= max_k]
    content = dict(
        labels=labels,
        protocols=list(evaluations),
        ious=[round(float(thr), 2) for thr in IOU_THRS],
        stops=sorted({*stops, *ks}),
        k=ks[-1] if ks else max_k,
        classes=list(classes.values()),
        sizes=SIZES,
        reasons=REASONS,
        num_images=len(names),
        num_scripts=num_scripts,
        lists=LISTS,
        suppressed=suppressed,
    )
    environment = Environment(
        loader=PackageLoader('mmdet_owp.reporting'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    k = settings.ks[-1]
    return environment.get_template('index.html').render(
        annotations=osp.basename(data.path),
        split=data.partition.prefix(settings.split),
        partition=data.partition.name,
        labels=labels,
        num_images=len(names),
        k=k,
        settings=settings,
        headline=_headline(evaluations, settings),
        differences=_differences(evaluations, settings),
        plots={p: recall_plots(e, k, max_k) for p, e in evaluations.items()},
        bars=_bars(evaluations, classes, k),
        faults=[
            (name, t.fault) for name, t in zip(names, thumbnails) if t.fault
        ],
        content=script_json(content),
        suppressed=suppressed,
    )


def _headline(
    evaluations: dict[str, dict[str, Evaluation]], settings: Settings
) -> Plot:
    """Return the metrics per protocol and file, with intervals of AR@k."""
    rows, heading = [], ['protocol', 'proposals of']
    for protocol, of_protocol in evaluations.items():
        for label, evaluation in of_protocol.items():
            metrics = evaluation.metrics()
            del metrics['proposals']
            cells = {key: _percent(value) for key, value in metrics.items()}
            for k in settings.ks:
                # Against a list that finds nothing.
                empty = Found(*[np.empty(0, int)] * 3)
                nothing = evaluation._replace(found={'all': empty})
                _, low, high = bootstrap_difference(
                    *(nothing, evaluation, k),
                    *(settings.resamples, settings.seed),
                )
                interval = f' [{_percent(low)}, {_percent(high)}]'
                cells[f'AR@{k}'] += interval
            rows.append([protocol, label, *cells.values()])
            heading[2:] = cells
    return Plot('Headline numbers', '', heading, rows)


def _differences(
    evaluations: dict[str, dict[str, Evaluation]], settings: Settings
) -> list[list[str]]:
    """Return AR@k of the second file minus that of the first."""
    pairs = [list(e.values())[:2] for e in evaluations.values()]
    if len(pairs[0]) < 2:
        return []
    first, second = (dict(zip(evaluations, column)) for column in zip(*pairs))
    rows = compare(
        *(first, second, settings.ks, settings.resamples, settings.seed)
    )
    return [
        [name, *(_percent(row[key]) for key in ('difference', 'low', 'high'))]
        for name, row in rows.items()
    ]


def _bars(
    evaluations: dict[str, dict[str, Evaluation]],
    classes: dict[int, str],
    k: int,
) -> dict[str, list[tuple]]:
    """Return per protocol the classes by recall of the first file.

    A class has its position on the page, name, number of objects and AR@k
    per file, in percent.
    """
    positions = {c: n for n, c in enumerate(classes)}
    bars = {}
    for protocol, of_protocol in evaluations.items():
        first, *_ = of_protocol.values()
        recalls = [e.average_recall_by_class(k) for e in of_protocol.values()]
        wanted = first.ground_truth.category[first.wanted['all']]
        numbers = dict(
            zip(*(c.tolist() for c in np.unique(wanted, return_counts=True)))
        )
        bars[protocol] = [
            (
                positions[c],
                classes[c],
                numbers[c],
                [100 * r[c] for r in recalls],
            )
            for c in sorted(recalls[0], key=recalls[0].get)
        ]
    return bars


def _percent(value: float) -> str:
    return f'{100 * value:.2f}' if value == value else '–'
