"""Find the checkpoint that a stopped training continues from."""

from __future__ import annotations

import os
import os.path as osp
import re
import zipfile

from mmdet_owp.errors import UserError

# Checkpoints of the training itself, not those of the best metric.
_NAME = re.compile(r'(?:epoch|iter)_(\d+)\.pth')


def latest_checkpoint(work_dir: str) -> str | None:
    """Return the checkpoint of a work folder to resume from.

    It is the one that ``last_checkpoint`` names, looked up in the folder
    itself, which may have been renamed or copied; else the newest complete
    one there; else the path in ``last_checkpoint``, for checkpoints that are
    written elsewhere. A choice that ``last_checkpoint`` does not name is
    printed.

    Args:
        work_dir (str): the folder; it may not exist.

    Returns:
        str | None: None if no checkpoint has been written yet.

    Raises:
        UserError: if ``last_checkpoint`` names one, but none is left.
    """
    record = osp.join(work_dir, 'last_checkpoint')
    named = ''
    if osp.isfile(record):
        with open(record, encoding='utf-8', errors='replace') as file:
            named = file.read().strip()
    inside = osp.join(work_dir, osp.basename(named.replace('\\', '/')))
    if zipfile.is_zipfile(inside):
        return inside
    newest = _newest(work_dir) or (named if osp.isfile(named) else None)
    if newest is None and named:
        raise UserError(
            f'{record}: names {named}, but there is no complete checkpoint, '
            f'nor another one in {work_dir}; put it there, or remove '
            'last_checkpoint to start anew'
        )
    is_first = int(os.environ.get('LOCAL_RANK', 0)) == 0
    if is_first and newest not in (None, named):
        says = f'names {named}, which is not complete' if named else 'is empty'
        if not osp.exists(record):
            says = 'is missing'
        print(f'{record} {says}: resuming from {newest}', flush=True)
    return newest


def _newest(folder: str) -> str | None:
    """Return the complete checkpoint of most epochs or iterations."""
    names = os.listdir(folder) if osp.isdir(folder) else []
    paths = {
        int(match.group(1)): osp.join(folder, match.group())
        for match in map(_NAME.fullmatch, names)
        if match and zipfile.is_zipfile(osp.join(folder, match.group()))
    }
    return paths[max(paths)] if paths else None
