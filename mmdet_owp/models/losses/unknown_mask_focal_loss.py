"""Focal loss with unknown-object masking."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.models.losses import FocalLoss
from mmdet.registry import MODELS
from mmdet.utils import OptConfigType

from mmdet_owp.models.task_modules.unknown_masking import UnknownMasking


@MODELS.register_module()
class UnknownMaskFocalLoss(FocalLoss):
    """Focal loss that tells ``OWPFCOSHead`` to mask unknown objects.

    The loss itself is mmdet's ``FocalLoss``. The head sets the weight of the
    locations that ``masking`` chooses to 0, which does not change the divisor
    of the loss, and logs ``masked_background``, the share of the background
    locations that is masked, and ``background_objectness_max``, the highest
    objectness of background outside the ground truth, before the start too.

    Args:
        threshold (float): see :class:`UnknownMasking`, as for the next four.
        start_iter (int | float): when masking starts.
        mode (str): ``'pixel'`` or ``'area'``.
        nms (dict, optional): NMS of the areas.
        cues (Sequence[str], optional): cues to look at.
        **kwargs: those of mmdet's ``FocalLoss``.
    """

    def __init__(
        self,
        threshold: float = 0.95,
        start_iter: int | float = 0,
        mode: str = 'pixel',
        nms: OptConfigType = None,
        cues: Sequence[str] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.masking = UnknownMasking(threshold, start_iter, mode, nms, cues)
