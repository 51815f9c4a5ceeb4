"""Find images of an annotation file by the names of their files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mmdet_owp.datasets.coco_records import image_name
from mmdet_owp.errors import UserError


def match_names(
    names: Iterable[str], images: Sequence[Mapping], source: str
) -> dict[str, int]:
    """Find the ids of images by name, with as many folders as both sides have.

    ``cam1/0.png`` and ``photos/cam1/0.png`` are the same image, of different
    detail. ``cam0/0.png`` and ``cam1/0.png`` are not.

    Args:
        names (Iterable[str]): of image files, such as absolute paths or the
            last folder and the file.
        images (Sequence[dict]): ``images`` of the annotation file. LVIS has a
            ``coco_url`` instead of a ``file_name``.
        source (str): the annotation file, for messages.

    Returns:
        dict[str, int]: ids by name, of the names that the file has.

    Raises:
        UserError: if a name fits several images, two names fit one, or an
            image has no name.
    """
    exact: dict[tuple[str, ...], list[int]] = defaultdict(list)
    endings: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for n, image in enumerate(images):
        parts = _parts(image_name(image))
        if not parts:
            raise UserError(
                f'images[{n}] (id {image["id"]}) of the annotation file has '
                'no file_name'
            )
        exact[parts].append(image['id'])
        for start in range(1, len(parts)):
            endings[parts[start:]].append(image['id'])
    ids: dict[str, int] = {}
    owners: dict[int, str] = {}
    for name in names:
        found = _candidates(_parts(name), exact, endings)
        if len(found) > 1:
            raise UserError(
                f'{source}: {name} may be any of {len(found)} images, of the '
                f'ids {", ".join(map(str, found[:3]))}; use names that '
                'include their folders'
            )
        for image_id in found:
            if image_id in owners:
                raise UserError(
                    f'{source}: {owners[image_id]} and {name} both match '
                    f'image {image_id}; give only the folder of its images'
                )
            ids[name], owners[image_id] = image_id, name
    return ids


def _candidates(
    parts: tuple[str, ...],
    exact: Mapping[tuple[str, ...], list[int]],
    endings: Mapping[tuple[str, ...], list[int]],
) -> list[int]:
    """Return the images that share the most trailing parts with a name."""
    if parts in exact:
        return exact[parts]
    if parts in endings:
        return endings[parts]
    shorter = (parts[start:] for start in range(1, len(parts)))
    return next((exact[p] for p in shorter if p in exact), [])


def _parts(name: str) -> tuple[str, ...]:
    parts = name.replace('\\', '/').split('/')
    return tuple(part for part in parts if part not in ('', '.'))
