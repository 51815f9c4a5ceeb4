"""The model in the package."""

from __future__ import annotations

from pathlib import Path

from mmdet_owp.errors import UserError

_STEM = (
    Path(__file__).resolve().parents[1]
    / 'weights'
    / 'fcos_iou_presence_border_p2_mobilenetv2'
)


def default_model() -> tuple[str, str]:
    """Return the paths of config and checkpoint of the model in the package.

    Raises:
        UserError: if the installation lacks one of them.
    """
    config, checkpoint = (f'{_STEM}{suffix}' for suffix in ('.py', '.pth'))
    for path in (config, checkpoint):
        if not Path(path).is_file():
            raise UserError(
                f'{path}: not in this installation; name a config and its '
                'checkpoint'
            )
    return config, checkpoint
