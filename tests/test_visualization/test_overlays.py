"""What the pictures count and color."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mmdet_owp.visualization import overlays, style


def test_found_is_green_and_missed_is_orange():
    """IoU of 0.5 exactly, just below it, and none, by hand."""
    objects = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]])
    proposals = np.array([[0.0, 0, 10, 5], [20, 0, 30, 4.9]])
    axes = Figure().add_subplot()
    counts = overlays.draw_found_and_missed(
        axes,
        np.zeros((64, 64, 3), np.uint8),
        objects,
        proposals,
        np.array([[5.0, 5, 9, 9]]),
    )
    assert counts == (1, 3)
    colors = {
        patch.get_bbox().bounds: to_hex(patch.get_edgecolor())
        for patch in axes.patches
    }
    assert colors == {
        (5, 5, 4, 4): style.OTHER,
        (0, 0, 10, 10): style.FOUND,
        (20, 0, 10, 10): style.MISSED,
        (50, 50, 10, 10): style.MISSED,
    }


def test_without_proposals_everything_is_missed():
    found = overlays.is_found(np.array([[0.0, 0, 10, 10]]), np.empty((0, 4)))
    assert found.tolist() == [False]
    assert overlays.is_found(np.empty((0, 4)), np.ones((2, 4))).shape == (0,)
