"""Focal loss with unknown-object masking."""

from __future__ import annotations

from mmdet.models.losses import FocalLoss
from mmdet.registry import MODELS

from mmdet_owp.errors import UserError
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
        use_sigmoid (bool): as the next three, of mmdet's ``FocalLoss``; must
            be true.
        gamma (float): exponent of the modulating factor.
        alpha (float): weight of the positive class.
        loss_weight (float): weight of the loss.
        **masking: arguments of :class:`UnknownMasking`.
    """

    def __init__(
        self,
        use_sigmoid: bool = True,
        gamma: float = 2.0,
        alpha: float = 0.25,
        loss_weight: float = 1.0,
        **masking,
    ) -> None:
        if not use_sigmoid:
            raise UserError('UnknownMaskFocalLoss needs use_sigmoid=True')
        super().__init__(use_sigmoid, gamma, alpha, loss_weight=loss_weight)
        self.masking = UnknownMasking(**masking)
