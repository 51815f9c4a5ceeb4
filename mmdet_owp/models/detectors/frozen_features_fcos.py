"""FCOS of which the head alone is trained."""

from __future__ import annotations

from mmdet.models.detectors import FCOS
from mmdet.registry import MODELS


@MODELS.register_module()
class FrozenFeaturesFCOS(FCOS):
    """FCOS with frozen backbone and neck (``fb`` in Table 3 of the paper).

    Their parameters get no gradient, and they stay in eval mode: norms use
    and keep their running statistics. Arguments are those of mmdet's
    ``FCOS``; backbone and neck may be any of mmdet's.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # Here and not in a hook: distributed wrappers look before these run.
        for module in self._features():
            module.requires_grad_(False)

    def _features(self) -> list:
        return (
            [self.backbone, self.neck] if self.with_neck else [self.backbone]
        )

    def train(self, mode: bool = True) -> FrozenFeaturesFCOS:
        """Set the head to training mode, or all of it to eval mode.

        Args:
            mode (bool): whether to train.
        """
        super().train(mode)
        for module in self._features():
            module.eval()
        return self
