"""Data of the page, as scripts: a page opened from disk cannot fetch.

All matching is done here. Per file, protocol and IoU threshold an object has
one number, its entry of ``Explanation.outcome``; whether k proposals find it
is one comparison.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mmdet_owp.recall import AREA_RANGES, GroundTruth, Proposals
from mmdet_owp.recall.explanation import Explanation

# Images per script.
IMAGES, LISTS = 250, 20


class Listing(NamedTuple):
    """The proposals of a file.

    Attributes:
        proposals (Proposals): all of them.
        kept (list[np.ndarray]): per protocol, (num_proposals,) bool, which
            count.
        why (list[Explanation]): per protocol.
    """

    proposals: Proposals
    kept: list[np.ndarray]
    why: list[Explanation]


def script_json(content: Any) -> str:
    r"""Return JSON that is safe inside a script, also in HTML.

    Example:
        >>> script_json('</script>')
        '"\\u003c/script>"'
    """
    text = json.dumps(content, separators=(',', ':'), allow_nan=False)
    return text.replace('<', '\\u003c')  # dumps escapes all but ASCII


def size_classes(areas: np.ndarray) -> np.ndarray:
    """Return 0 for small, 1 for medium, 2 for large objects, (n,)."""
    return np.searchsorted([AREA_RANGES[s][1] for s in 'sm'], areas)


def write_objects(
    folder: Path,
    truth: GroundTruth,
    listings: Sequence[Listing],
    images: Sequence[tuple],
    class_positions: dict[int, int],
) -> int:
    """Write images and their objects; return the number of scripts.

    An image is ``[name, width, height, has_thumbnail, objects, others]``, an
    object ``[class, size, x, y, width, height, outcomes]`` with outcomes per
    file, protocol and threshold, one of the others ``[class, x, y, width,
    height]``.

    Args:
        folder (Path): an existing folder.
        truth (GroundTruth): all objects.
        listings (Sequence[Listing]): per file.
        images (Sequence[tuple]): name, width, height and whether there is a
            thumbnail, in the order of ``truth.image_ids``.
        class_positions (dict[int, int]): position of the class's name on the
            page, by category id.
    """
    targets = listings[0].why[0].objects
    outcomes = np.concatenate(
        [why.outcome for listing in listings for why in listing.why]
    ).T.tolist()
    boxes = truth.boxes.round(1).tolist()
    sizes = size_classes(truth.areas).tolist()
    labels = [class_positions[c] for c in truth.category.tolist()]
    content = [[*image, [], []] for image in images]
    is_target = np.zeros(len(boxes), bool)
    is_target[targets] = True
    for n, outcome in zip(targets.tolist(), outcomes):
        row = [labels[n], sizes[n], *boxes[n], outcome]
        content[truth.image[n]][4].append(row)
    for n in np.flatnonzero(~is_target).tolist():
        content[truth.image[n]][5].append([labels[n], *boxes[n]])
    starts = range(0, len(content), IMAGES)
    for number, start in enumerate(starts):
        rows = script_json(content[start : start + IMAGES])
        path = folder / f'objects-{number}.js'
        path.write_text(f'addImages({start},{rows})\n', encoding='ascii')
    return len(starts)


def write_proposals(
    folder: Path, number: int, listing: Listing, num_images: int, max_k: int
) -> None:
    """Write the best proposals of a file.

    A proposal is five numbers of a flat list: x, y, width, height and a sum
    of 2^i over the protocols i under which it counts; scores are a list.

    Args:
        folder (Path): an existing folder.
        number (int): of the file.
        listing (Listing): the file.
        num_images (int): number of images.
        max_k (int): proposals per image that the page shows at most, under
            each protocol.
    """
    image, boxes, scores, _ = listing.proposals
    masks = 2 ** np.arange(len(listing.kept)) @ np.stack(listing.kept)
    bounds = np.searchsorted(image, np.arange(num_images + 1))
    needed = np.zeros(len(image), bool)
    for kept in listing.kept:
        rank = kept.cumsum()
        before = np.append(0, rank)[bounds[:-1]].repeat(np.diff(bounds))
        needed |= kept & (rank - before <= max_k)
    for start in range(0, num_images, LISTS):
        lists = []
        for i in range(start, min(start + LISTS, num_images)):
            rows = slice(*bounds[i : i + 2])
            chosen = needed[rows]
            flat = np.column_stack([boxes[rows].round(), masks[rows]])[chosen]
            shown = [float(f'{s:.3g}') for s in scores[rows][chosen].tolist()]
            lists.append([flat.astype(int).ravel().tolist(), shown])
        path = folder / f'proposals-{number}-{start // LISTS}.js'
        path.write_text(
            f'addProposals({number},{start},{script_json(lists)})\n',
            encoding='ascii',
        )
