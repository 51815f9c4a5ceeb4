"""FCOS with a frozen backbone and neck."""

from __future__ import annotations

from mmdet.models.detectors import FCOS
from mmdet.registry import MODELS


@MODELS.register_module()
class FrozenFeaturesFCOS(FCOS):
    """FCOS with frozen backbone and neck (``fb`` in Table 3 of the paper).

    Their parameters get no gradient and they stay in eval mode: norms use
    their running statistics without updating them. Arguments are those of
    mmdet's ``FCOS``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # Not in a hook: DDP inspects ``requires_grad`` before hooks run.
        for module in self._features():
            module.requires_grad_(False)

    def _features(self) -> list:
        return (
            [self.backbone, self.neck] if self.with_neck else [self.backbone]
        )

    def train(self, mode: bool = True) -> FrozenFeaturesFCOS:
        """Set the head to training mode, or all modules to eval mode."""
        super().train(mode)
        for module in self._features():
            module.eval()
        return self
