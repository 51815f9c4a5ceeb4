"""Notice what is unlikely in a file of proposals or detections."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from mmdet_owp.evaluation.proposal_files import ProposalRows

# Share of the boxes that have to look wrong for a hint.
MOST = 0.5


def box_hints(rows: ProposalRows, images: Sequence[dict]) -> list[str]:
    """Return hints if most boxes look relative, or given by their corners.

    Args:
        rows (ProposalRows): of any file.
        images (Sequence[dict]): ``images`` of the annotation file, with or
            without width and height.
    """
    boxes = rows.boxes
    if not len(boxes):
        return []
    share = (boxes <= 1).all(1).mean()
    if share > MOST:
        return [
            f'{share:.0%} of the boxes lie within one pixel: are they '
            'relative to the image size? x, y, width, height in pixels are '
            'needed'
        ]
    sizes = {
        i['id']: (i['width'], i['height'])
        for i in images
        if i.get('width') and i.get('height')
    }
    nan = (np.nan, np.nan)
    size = np.array([sizes.get(i, nan) for i in rows.image_ids.tolist()])
    low, sides = boxes[:, :2], boxes[:, 2:]
    outside = (low + sides > size + 1).any(1)
    like_corners = (sides >= low).all(1) & (sides <= size + 1).all(1)
    share = (outside & like_corners).mean()
    if share > MOST:
        return [
            f'{share:.0%} of the boxes exceed their image, but would not as '
            'corners x1, y1, x2, y2: x, y, width, height are needed'
        ]
    return []


def category_hints(
    rows: ProposalRows, category_ids: Collection[int]
) -> list[str]:
    """Return a hint if detections are of no category of the file.

    Args:
        rows (ProposalRows): class detections.
        category_ids (Collection[int]): of the annotation file.
    """
    if rows.label_is_position:
        return []
    unknown = rows.labels[~np.isin(rows.labels, list(category_ids))]
    if not len(unknown):
        return []
    return [
        f'{len(unknown)} of {len(rows.labels)} detections are of categories '
        f'that are not in the annotation file, such as {unknown[0]}; they '
        'are ignored: do ids start at 0 or 1 in one of the files?'
    ]
