"""A folder of results that an interrupted run continues; needs no torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmdet_owp.errors import UserError, writing
from mmdet_owp.recall import corners_to_xywh

# Start of results.jsonl.
_HEAD = b'{"made_by":'


class ImageResult(NamedTuple):
    """The result of an image.

    Attributes:
        image (dict): its entry in ``images`` of a COCO file: ``id``,
            ``file_name``, ``width`` and ``height``.
        proposals (list): one (x, y, width, height, score) each.
        detections (list): one (x, y, width, height, score, category id) each;
            empty if they are not asked for.
    """

    image: dict
    proposals: Sequence[Sequence[float]]
    detections: Sequence[Sequence[float]]


def result_rows(instances: Any, *columns: Sequence[int]) -> list[list[float]]:
    """Return boxes as (x, y, width, height), scores and further columns.

    Args:
        instances (InstanceData): on the CPU, with ``bboxes`` and ``scores``.
        *columns (Sequence[int]): further values, one per box.
    """
    boxes = corners_to_xywh(instances.bboxes).tolist()
    rows = zip(boxes, instances.scores.tolist(), *columns)
    return [[*box, *values] for box, *values in rows]


class ResultsFolder:
    """Write results image by image, and COCO files at the end.

    ``results.jsonl`` grows by one line per image, so memory does not. A
    killed run leaves complete lines and at most one truncated line, which is
    dropped. The first line records what the results depend on; a run that
    differs in it cannot continue them.

    Args:
        path (str): the folder, created if missing.
        made_by (dict): all that the results depend on, by the names that
            messages use.
        restart (bool): delete the results that exist.

    Attributes:
        done (dict[str, int]): ids of the images with a result, by
            ``file_name``.
        drawn (Path): the folder for pictures.

    Raises:
        UserError: if the folder holds other results.
    """

    def __init__(
        self, path: str, made_by: Mapping[str, Any], restart: bool = False
    ) -> None:
        self.path = Path(path)
        self.drawn = self.path / 'drawn'
        self._file = self.path / 'results.jsonl'
        with writing(path):
            self.path.mkdir(parents=True, exist_ok=True)
            previous = self._open()
        if restart:
            shutil.rmtree(self.drawn, ignore_errors=True)
            for name in ('proposals.json', 'detections.json', 'images.json'):
                (self.path / name).unlink(missing_ok=True)
            self._writer.truncate(0)
            previous = None
        if previous is None:
            self._write(dict(made_by=made_by))
        else:
            self._check(previous, made_by)
        self.done = {
            r.image['file_name']: r.image['id'] for r in self.results()
        }
        self._last_id = max(self.done.values(), default=0)

    def _open(self) -> dict | None:
        """Open the file, drop a truncated line, return the first.

        Returns:
            dict, optional: None if there is no result.
        """
        self._writer = open(self._file, 'a+', encoding='utf-8')
        with open(self._file, 'rb') as file:
            first = file.readline()
            if not (first.startswith(_HEAD) or _HEAD.startswith(first)):
                raise UserError(
                    f'{self._file}: not written by tools/propose.py; give '
                    'another folder by --out'
                )
            file.seek(0)
            size = sum(len(line) for line in file if line.endswith(b'\n'))
        # A run that ended before its first result leaves nothing to continue.
        size = size if size > len(first) else 0
        self._writer.truncate(size)
        return json.loads(first)['made_by'] if size else None

    def _check(self, previous: Mapping, made_by: Mapping) -> None:
        differing = [k for k in made_by if previous.get(k) != made_by[k]]
        if differing:
            raise UserError(
                f'{self.path}: holds results of another '
                f'{", ".join(differing)}; give another folder by --out, or '
                'start anew by --force'
            )

    def results(self) -> Iterator[ImageResult]:
        """Read the results back, in the order in which they were written.

        Raises:
            UserError: if the file is damaged.
        """
        with open(self._file, encoding='utf-8') as file:
            next(file)
            for number, line in enumerate(file, 2):
                try:
                    yield ImageResult(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise UserError(
                        f'{self._file}: line {number} is damaged; remove it, '
                        'or start anew by --force'
                    ) from error

    def append(
        self,
        file_name: str,
        size: tuple[int, int],
        proposals: Sequence[Sequence[float]],
        detections: Sequence[Sequence[float]] = (),
        image_id: int | None = None,
        **image: int,
    ) -> None:
        """Write the result of an image to the disk.

        Args:
            file_name (str): unique name of the image.
            size (tuple[int, int]): its height and width in pixels.
            proposals (list): as in :class:`ImageResult`.
            detections (list): as in :class:`ImageResult`.
            image_id (int, optional): None: the highest id so far plus 1.
            **image (int): further fields of its entry in ``images``.
        """
        if image_id is None:
            image_id = self._last_id + 1
        self._last_id = max(self._last_id, image_id)
        height, width = size
        entry = dict(
            id=image_id, file_name=file_name, width=width, height=height
        )
        result = ImageResult({**entry, **image}, proposals, list(detections))
        self._write(result._asdict())
        self.done[file_name] = image_id

    def _write(self, content: Mapping) -> None:
        self._writer.write(json.dumps(content, separators=(',', ':')) + '\n')
        # The operating system keeps what a killed process has flushed.
        self._writer.flush()

    def finish(self, categories: Mapping[int, str], detections: bool) -> None:
        """Write ``proposals.json``, ``images.json``, ``detections.json``.

        The first and the last hold COCO results, ``images.json`` the images
        and categories of their ids. They are read and written line by line.

        Args:
            categories (dict[int, str]): names of the categories by id.
            detections (bool): whether to write detections.
        """
        self._writer.close()
        _write_list(
            self.path / 'proposals.json',
            (
                _coco_result(r, 0, box, score)
                for r in self.results()
                for *box, score in r.proposals
            ),
        )
        if detections:
            _write_list(
                self.path / 'detections.json',
                (
                    _coco_result(r, category, box, score)
                    for r in self.results()
                    for *box, score, category in r.detections
                ),
            )
        rows = [dict(id=i, name=name) for i, name in categories.items()]
        _write_list(
            self.path / 'images.json',
            (r.image for r in self.results()),
            before='{"annotations": [], "categories": '
            + f'{json.dumps(rows)},\n"images": ',
            after='}\n',
        )


def _coco_result(
    result: ImageResult, category: float, box: list[float], score: float
) -> dict:
    image_id = result.image['id']
    return dict(image_id=image_id, category_id=category, bbox=box, score=score)


def _write_list(
    path: Path, rows: Iterable[Mapping], before: str = '', after: str = '\n'
) -> None:
    """Write a JSON list row by row; the file appears once it is complete."""
    unfinished = path.with_suffix('.unfinished')
    with open(unfinished, 'w', encoding='utf-8') as file:
        file.write(f'{before}[')
        separator = '\n'
        for row in rows:
            file.write(separator + json.dumps(row))
            separator = ',\n'
        file.write(f'\n]{after}')
    os.replace(unfinished, path)
