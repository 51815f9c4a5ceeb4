"""A folder of results that a killed run goes on with; no torch, no mmdet."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# How results.jsonl starts.
_HEAD = b'{"made_by":'


class ImageResult(NamedTuple):
    """What is kept of an image.

    Attributes:
        image (dict): its entry in ``images`` of a COCO file: ``id``,
            ``file_name``, ``width`` and ``height``.
        proposals (list): one (x, y, width, height, score) each.
        detections (list): one (x, y, width, height, score, category id) each;
            empty if they are not asked for.
    """

    image: dict
    proposals: list[Sequence[float]]
    detections: list[Sequence[float]]


class ResultsFolder:
    """Writes results image by image, and COCO files of them at the end.

    ``results.jsonl`` grows by a line an image, so that memory does not, and
    a killed run leaves whole lines and at most one that is cut, which is
    dropped. Its first line tells what made it: a run with anything else must
    not go on with it.

    Args:
        path (str): the folder; made if it isn't there.
        made_by (dict): all that results depend on, by the name it
            has in a message.
        afresh (bool): start anew; what is there is deleted.

    Attributes:
        done (dict[str, int]): id of each image there is a result of, by
            ``file_name``.
        drawn (Path): the folder for pictures.

    Raises:
        ValueError: in one line, if the folder holds results that something
            else made, or that are no such results.
    """

    def __init__(
        self, path: str, made_by: Mapping[str, Any], afresh: bool = False
    ) -> None:
        self.path = Path(path)
        self.drawn = self.path / 'drawn'
        self._file = self.path / 'results.jsonl'
        self.path.mkdir(parents=True, exist_ok=True)
        before = self._open()
        if afresh:
            shutil.rmtree(self.drawn, ignore_errors=True)
            for name in ('proposals.json', 'detections.json', 'images.json'):
                (self.path / name).unlink(missing_ok=True)
            self._writer.truncate(0)
            before = None
        if before is None:
            self._write(dict(made_by=made_by))
        else:
            self._check(before, made_by)
        self.done = {
            r.image['file_name']: r.image['id'] for r in self.results()
        }
        self._last_id = max(self.done.values(), default=0)

    def _open(self) -> dict | None:
        """Open the file, drop a line cut off, read what made the others."""
        self._writer = open(self._file, 'a+')
        with open(self._file, 'rb') as file:
            first = file.readline()
            if not (first.startswith(_HEAD) or _HEAD.startswith(first)):
                raise ValueError(
                    f'{self._file}: not written by tools/propose.py; give '
                    'another folder by --out'
                )
            file.seek(0)
            whole = sum(len(line) for line in file if line.endswith(b'\n'))
        self._writer.truncate(whole)
        return json.loads(first)['made_by'] if whole else None

    def _check(self, before: Mapping, made_by: Mapping) -> None:
        other = [key for key in made_by if before.get(key) != made_by[key]]
        if other:
            raise ValueError(
                f'{self.path}: holds results of another {", ".join(other)}; '
                'give another folder by --out, or start anew by --force'
            )

    def results(self) -> Iterator[ImageResult]:
        """Read back the results so far, in the order they were written.

        Raises:
            ValueError: in one line, if the file is damaged.
        """
        with open(self._file) as file:
            next(file)
            for number, line in enumerate(file, 2):
                try:
                    yield ImageResult(**json.loads(line))
                except (ValueError, TypeError) as error:
                    raise ValueError(
                        f'{self._file}: line {number} is damaged; remove it, '
                        'or start anew by --force'
                    ) from error

    def append(
        self,
        file_name: str,
        size: tuple[int, int],
        proposals: list[Sequence[float]],
        detections: list[Sequence[float]] = (),
        image_id: int | None = None,
        **image: int,
    ) -> None:
        """Write the result of an image to the disk.

        Args:
            file_name (str): name of the image, unlike any other's.
            size (tuple[int, int]): its height and width in pixels.
            proposals (list): as in :class:`ImageResult`.
            detections (list): likewise.
            image_id (int, optional): None counts on from the highest.
            **image (int): more of its entry in ``images``.
        """
        if image_id is None:
            image_id = self._last_id + 1
        self._last_id = max(self._last_id, image_id)
        height, width = size
        entry = dict(
            id=image_id, file_name=file_name, width=width, height=height
        )
        self._write(
            ImageResult(
                {**entry, **image}, proposals, list(detections)
            )._asdict()
        )
        self.done[file_name] = image_id

    def _write(self, content: Mapping) -> None:
        self._writer.write(json.dumps(content, separators=(',', ':')) + '\n')
        # Into the hands of the system, which a killed process leaves it in.
        self._writer.flush()

    def finish(self, categories: Mapping[int, str], detections: bool) -> None:
        """Write ``proposals.json``, ``images.json``, ``detections.json``.

        The first and the last hold COCO results, ``images.json`` the images
        and categories that their ids stand for. Read and written a line at a
        time.

        Args:
            categories (dict[int, str]): names of the categories by id.
            detections (bool): whether detections were asked for.
        """
        self._writer.close()
        _write_list(
            self.path / 'proposals.json',
            (
                dict(
                    image_id=r.image['id'],
                    category_id=0,
                    bbox=box,
                    score=score,
                )
                for r in self.results()
                for *box, score in r.proposals
            ),
        )
        if detections:
            _write_list(
                self.path / 'detections.json',
                (
                    dict(
                        image_id=r.image['id'],
                        category_id=category,
                        bbox=box,
                        score=score,
                    )
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


def _write_list(
    path: Path, rows: Iterable[Mapping], before: str = '', after: str = '\n'
) -> None:
    """Write a JSON list a row at a time; the file is there whole or not."""
    unfinished = path.with_suffix('.unfinished')
    with open(unfinished, 'w') as file:
        file.write(f'{before}[')
        separator = '\n'
        for row in rows:
            file.write(separator + json.dumps(row))
            separator = ',\n'
        file.write(f'\n]{after}')
    os.replace(unfinished, path)
