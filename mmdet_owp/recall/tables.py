"""Objects and proposals of all images as columns."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from mmdet_owp.errors import UserError
from mmdet_owp.recall.boxes import all_valid, are_valid
from mmdet_owp.recall.threads import in_threads

# Proposals that a thread sorts at a time.
_BLOCK = 1 << 16

# Whole floats of at least this size may have lost digits.
_EXACT_FLOATS = 2**53

Table = TypeVar('Table', bound=tuple)


def as_id(value: Any) -> int:
    """Return an id as an integer; whole floats, such as 7.0, are ids.

    Raises:
        UserError: if it is anything else.
    """
    if type(value) is int:
        return value
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            is_float = isinstance(value, (float, np.floating))
            if is_float and abs(value) < _EXACT_FLOATS and value % 1 == 0:
                return int(value)
    raise UserError(f'{value!r} is not an integer')


def id_array(ids: Iterable) -> np.ndarray:
    """Return ids as an array, of Python integers if they exceed 64 bits.

    Raises:
        UserError: if one is not an integer.
    """
    if isinstance(ids, np.ndarray):
        if ids.dtype == np.int64:
            return ids
        ids = ids.tolist()
    ids = [as_id(i) for i in ids]
    try:
        return np.array(ids, np.int64)
    except OverflowError:
        return np.array(ids, object)


class GroundTruth(NamedTuple):
    """Objects of a data set, sorted by image, category id and file order.

    At equal IoU a proposal matches the last one in this order.

    Attributes:
        image_ids (np.ndarray): (num_images,) ids of all images, ascending.
        image (np.ndarray): (num_objects,) index of each object's image in
            ``image_ids``.
        boxes (np.ndarray): (num_objects, 4) x, y, width, height in pixels of
            the image file, float64.
        areas (np.ndarray): (num_objects,) in pixels; of the object's mask
            where the file gives it.
        crowd (np.ndarray): (num_objects,) bool, crowd regions: any number of
            proposals may match them.
        category (np.ndarray): (num_objects,) category ids.
        ignored (np.ndarray): (num_objects,) bool, ``ignore`` of the file,
            which only LVIS's class-wise evaluation heeds.
    """

    image_ids: np.ndarray
    image: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    category: np.ndarray
    ignored: np.ndarray

    @classmethod
    def from_coco(
        cls, annotations: Mapping, category_ids: Collection[int] | None = None
    ) -> GroundTruth:
        """Take the objects from the content of a COCO annotation file.

        Args:
            annotations (dict): with ``images`` and ``annotations``. Objects
                without ``area`` get that of their box.
            category_ids (Collection[int], optional): categories of both
                sides of a partition. Default: all.

        Raises:
            UserError: if an object has no valid box.
        """
        image_ids = np.unique(id_array(i['id'] for i in annotations['images']))
        known = set(image_ids.tolist())
        wanted = None if category_ids is None else set(category_ids)
        objects = [
            a
            for a in annotations['annotations']
            if a['image_id'] in known
            and (wanted is None or a['category_id'] in wanted)
        ]
        for a in objects:
            if len(a.get('bbox', ())) != 4:
                raise UserError(
                    f'annotation {a.get("id")} of image {a["image_id"]} has '
                    'no bbox of x, y, width, height'
                )
        boxes = np.array([a['bbox'] for a in objects], float).reshape(-1, 4)
        if not all_valid(boxes):
            a = objects[np.flatnonzero(~are_valid(boxes))[0]]
            raise UserError(
                f'annotation {a.get("id")} of image {a["image_id"]} has the '
                f'box {a["bbox"]}: x, y, width, height must be finite, the '
                'latter two not negative'
            )
        areas = np.array([a.get('area', np.nan) for a in objects], float)
        areas = np.where(np.isnan(areas), boxes[:, 2] * boxes[:, 3], areas)
        image = np.searchsorted(
            image_ids, id_array(a['image_id'] for a in objects)
        )
        crowd = np.array([a.get('iscrowd', 0) for a in objects], bool)
        category = np.array([a['category_id'] for a in objects], int)
        ignored = np.array([a.get('ignore') or 0 for a in objects], bool)
        order = np.lexsort((category, image))  # stable: keeps the file order
        columns = image, boxes, areas, crowd, category, ignored
        return cls(image_ids, *(column[order] for column in columns))

    def select(self, category_ids: Collection[int]) -> GroundTruth:
        """Keep the objects of some categories, and all images."""
        chosen = np.isin(self.category, list(category_ids))
        return GroundTruth(self.image_ids, *(c[chosen] for c in self[1:]))


class Proposals(NamedTuple):
    """Proposals, sorted by image, then by descending score.

    Those of equal score keep the order in which they were given.

    Attributes:
        image (np.ndarray): (num_proposals,) index of each proposal's image
            in ``GroundTruth.image_ids``.
        boxes (np.ndarray): (num_proposals, 4) x, y, width, height in pixels
            of the image file, float64.
        scores (np.ndarray): (num_proposals,) float64.
        num_images (int): number of images with a list of proposals, empty
            lists included.
    """

    image: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    num_images: int

    @classmethod
    def from_rows(
        cls,
        known_ids: np.ndarray,
        image_ids: Sequence[int] | np.ndarray,
        boxes: np.ndarray,
        scores: np.ndarray,
    ) -> Proposals:
        """Check and sort proposals given one by one.

        Args:
            known_ids (np.ndarray): ``GroundTruth.image_ids``.
            image_ids (Sequence[int]): image of each proposal, in any order.
            boxes (np.ndarray): (num_proposals, 4) x, y, width, height.
            scores (np.ndarray): (num_proposals,).

        Raises:
            UserError: if an image is unknown, or a box or score is invalid;
                the message names image and row.
        """
        image = image_positions(known_ids, image_ids)
        num_images = np.count_nonzero(
            np.bincount(image, minlength=len(known_ids))
        )
        rows = check_rows(known_ids, image, boxes, scores)
        return cls.in_order(image, *rows, num_images)

    @classmethod
    def from_images(
        cls,
        known_ids: np.ndarray,
        image_ids: Sequence[int] | np.ndarray,
        boxes: Sequence[np.ndarray],
        scores: Sequence[np.ndarray],
    ) -> Proposals:
        """Check and sort proposals given as one list per image.

        Args:
            known_ids (np.ndarray): ``GroundTruth.image_ids``.
            image_ids (Sequence[int]): images, each once, in any order.
            boxes (Sequence[np.ndarray]): each (n, 4) x, y, width, height.
            scores (Sequence[np.ndarray]): each (n,).

        Raises:
            UserError: as :meth:`from_rows`, or if an image has two lists or
                lists differ in length.
        """
        if not len(image_ids) == len(boxes) == len(scores):
            raise UserError(
                f'{len(image_ids)} images, but boxes of '
                f'{len(boxes)} and scores of {len(scores)}'
            )
        counts = np.array([len(b) for b in boxes], int)
        for image_id, count, score in zip(image_ids, counts, scores):
            if count != len(score):
                raise UserError(
                    f'image {image_id}: {count} boxes, but {len(score)} scores'
                )
        image = image_positions(known_ids, image_ids)
        times = np.bincount(image, minlength=len(known_ids))
        if len(times) and times.max() > 1:
            raise UserError(
                f'image {known_ids[times.argmax()]} has more '
                'than one set of proposals'
            )
        boxes = [np.reshape(b, (-1, 4)) for b in boxes]
        image = image.repeat(counts)
        rows = check_rows(
            known_ids,
            image,
            np.concatenate([np.empty((0, 4)), *boxes], dtype=float),
            np.concatenate([np.empty(0), *scores], dtype=float),
        )
        return cls.in_order(image, *rows, len(image_ids))

    @classmethod
    def in_order(
        cls,
        image: np.ndarray,
        boxes: np.ndarray,
        scores: np.ndarray,
        num_images: int,
    ) -> Proposals:
        """Sort valid proposals; the arguments are the columns."""
        # 16-bit integers sort fastest. All sorts are stable, as those of
        # pycocotools.
        image = image.astype(np.min_scalar_type(image.max(initial=0)))
        if (image[1:] < image[:-1]).any():
            order = np.argsort(image, kind='stable')
            image, scores = image[order], scores[order]
            boxes = boxes.take(order, axis=0)
        new_image = image[1:] != image[:-1]
        if not (new_image | (scores[1:] <= scores[:-1])).all():
            order = np.concatenate(
                in_threads(
                    lambda s: s.start + by_score(image[s], scores[s]),
                    _slices(np.flatnonzero(new_image) + 1, len(image)),
                )
            )
            boxes, scores = boxes.take(order, axis=0), scores[order]
        return cls(image, boxes, scores, num_images)


def image_positions(
    known_ids: np.ndarray, image_ids: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Look up images among the known ones.

    Args:
        known_ids (np.ndarray): (num_images,) ids, ascending.
        image_ids (np.ndarray): (n,).

    Returns:
        np.ndarray: (n,) indices into ``known_ids``.

    Raises:
        UserError: if an image is unknown.
    """
    if not len(image_ids):
        return np.empty(0, int)
    image_ids = id_array(image_ids)
    position = np.searchsorted(known_ids, image_ids)
    position[position == len(known_ids)] = 0
    if len(known_ids):
        wrong = known_ids[position] != image_ids
    else:
        wrong = np.ones(len(image_ids), bool)
    if wrong.any():
        unknown = np.unique(image_ids[wrong])
        raise UserError(
            f'{len(unknown)} images are not in the annotation file, the first '
            f'of id {unknown[0]}: predictions and annotations are of '
            'different data sets or splits'
        )
    return position


def check_rows(
    known_ids: np.ndarray,
    image: np.ndarray,
    boxes: np.ndarray,
    scores: np.ndarray,
    kind: str = 'proposal',
) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes (n, 4) and scores (n,) in double precision.

    ``kind`` is what messages call a row.

    Raises:
        UserError: if a box or score is invalid; the message names image and
            row.
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    scores = np.asarray(scores, float)
    if not (all_valid(boxes) and np.isfinite(scores).all()):
        row = np.flatnonzero(~are_valid(boxes) | ~np.isfinite(scores))[0]
        raise UserError(
            f'image {known_ids[image[row]]}: {kind} '
            f'{np.count_nonzero(image[:row] == image[row])} (row {row}) '
            f'has the box {boxes[row].tolist()} and the score '
            f'{scores[row]}: x, y, width, height must be finite, the '
            'latter two not negative, and the score a finite number'
        )
    return boxes, scores


def ranks_within(
    group: np.ndarray, kept: np.ndarray | None = None
) -> np.ndarray:
    """Rank the rows that are kept within their groups, from 0.

    Args:
        group (np.ndarray): (n,) ascending.
        kept (np.ndarray, optional): (n,) bool. Default: all.
    """
    is_first = np.ones(len(group), bool)
    is_first[1:] = group[1:] != group[:-1]
    first = np.flatnonzero(is_first)
    length = np.diff(np.append(first, len(group)))
    if kept is None:
        return np.arange(len(group)) - first.repeat(length)
    rank = kept.cumsum() - 1
    return rank - (rank[first] + ~kept[first]).repeat(length)


def by_score(image: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Sort by image, then by descending score."""
    order = np.argsort(-scores, kind='stable')
    return order[np.argsort(image[order], kind='stable')]


def _slices(bounds: np.ndarray, length: int) -> list[slice]:
    """Divide a length at some of the bounds, into slices of about a block."""
    cuts = bounds[np.flatnonzero(np.diff(bounds // _BLOCK)) + 1]
    return [*map(slice, [0, *cuts], [*cuts, length])]


def keep(table: Table, rows: np.ndarray) -> Table:
    """Select or reorder the rows of a tuple of columns."""
    return type(table)(*(column[rows] for column in table))


def concatenate(tables: Sequence[Table], empty: Table | None = None) -> Table:
    """Stack tables of the same columns; ``empty`` if there are none."""
    if not tables:
        return empty
    return type(tables[0])(*map(np.concatenate, zip(*tables)))
