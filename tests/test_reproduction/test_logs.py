"""Logs of runs that were killed and resumed."""

from mmdet_owp.reproduction.logs import read_curves


def test_curves(write_log, tmp_path):
    runs = [
        # Killed one interval after a validation.
        [
            dict(iter=50, step=50, loss_iou=0.9),
            dict(iter=100, step=100, loss_iou=0.8),
            dict(step=1, AR=0.1),
            dict(iter=150, step=150, loss_iou=0.7),
        ],
        [
            dict(iter=150, step=150, loss_iou=0.6, floor_loss_iou=0.5),
            dict(step=2, AR=0.2),
        ],
        # Resumed once more, from the first checkpoint.
        [dict(iter=120, step=120, loss_iou=0.65), dict(step=1, AR=0.3)],
    ]
    for i, lines in enumerate(runs):
        write_log(tmp_path, *lines, time=f'2026010{i}_000000')
    curves = read_curves(tmp_path)
    expected = [(50, 0.9), (100, 0.8), (120, 0.65), (150, 0.6)]
    assert list(curves['loss_iou'].items()) == expected
    assert list(curves['AR'].items()) == [(100, 0.1), (120, 0.3), (150, 0.2)]
    assert curves['floor_loss_iou'] == {150: 0.5}
