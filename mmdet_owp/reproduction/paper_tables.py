"""The paper's tables: their rows, the configs behind them, their numbers.

Plain data and names, without mmdet or torch. Konan, Liang, Yin: *Extending
One-Stage Detection with Open-World Proposals*, Tables 1 to 4 and Appendix B.

A number stands under the name of the metric that it is, as ``tools/test.py``
writes it: what the paper prints in one column may be two measures. Base
columns are class-wise for models that classify and class-agnostic recall for
pure proposal models; OLN's novel recall leaves out proposals on base objects
(``exclude-base``), the paper's own counts them (``drop-base``).
"""

from __future__ import annotations

from typing import NamedTuple

# What the four kinds of metrics are called in the head of a table.
_TITLES = {
    'base_class-wise': 'base {} (class-wise)',
    'base_drop-base': 'base {} (class-agnostic)',
    'novel_drop-base': 'novel {} (drop-base)',
    'novel_exclude-base': 'novel {} (exclude-base)',
}


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        label (str): as in the paper.
        method (str): the part of a config's name before its data set.
        paper (dict[str, float]): metric -> the paper's number, in percent.
        start (str): method of the trained model that it starts from, if any.
        mask_from (int, optional): thousands of the paper's 90,000 iterations
            after which masking starts, where it isn't the config's own.
    """

    label: str
    method: str
    paper: dict[str, float]
    start: str = ''
    mask_from: int | None = None


class Table(NamedTuple):
    """One table.

    Attributes:
        title (str): what it compares.
        data (str): what the paper measured on; ``on`` of a :class:`DataSet`.
        metrics (tuple[str]): its columns.
        rows (tuple[Row]): from top to bottom.
    """

    title: str
    data: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]


class DataSet(NamedTuple):
    """What a table can be measured on.

    Attributes:
        on (str): name to print.
        suffix (str): the part of a config's name after its method.
        prefix (str): with which the names of metrics start.
        most (int): the k of AR@k in place of the paper's 300.
    """

    on: str
    suffix: str
    prefix: str = ''
    most: int = 100

    def metric(self, name: str) -> str:
        """Name the metric here that is a column of a table.

        Args:
            name (str): of :attr:`Table.metrics`.
        """
        return self.prefix + name.replace('@300', f'@{self.most}')

    def title(self, name: str) -> str:
        """Write the head of a column.

        Args:
            name (str): of :attr:`Table.metrics`.
        """
        kind, quantity = self.metric(name)[len(self.prefix) :].split('/')
        title = _TITLES[kind].format(quantity)
        printed = name.split('/')[1]
        if quantity != printed:
            title = f'{title[:-1]}; paper: {printed})'
        return title


DATA = {
    'coco': DataSet('COCO', '_coco'),
    'lvis': DataSet('LVIS v1', '_lvis', 'lvis-id_', 300),
    'shapes': DataSet('built-in data', '_shapes'),
    'coco-mini': DataSet('COCO subset', '_mobilenetv2_coco-mini'),
}

# Columns in the paper's order, for each kind of row.
_CLASSIFIES = (
    'base_class-wise/AP',
    'base_class-wise/AR@10',
    'base_class-wise/AR@100',
    'novel_drop-base/AR@10',
    'novel_drop-base/AR@100',
)
_PROPOSES = (
    'base_drop-base/AR@10',
    'base_drop-base/AR@100',
    'novel_drop-base/AR@10',
    'novel_drop-base/AR@100',
)
_OLN = ('novel_exclude-base/AR@10', 'novel_exclude-base/AR@100')
_RECIPES = (*_CLASSIFIES[:3], 'novel_drop-base/AP', *_CLASSIFIES[3:])
_LVIS = (
    'base_class-wise/AP',
    'base_class-wise/AR@300',
    'novel_drop-base/AR@300',
)
_AREAS = (*_LVIS[:2], 'novel_drop-base/AP', _LVIS[2])


def _numbers(metrics: tuple[str, ...], *numbers: float) -> dict[str, float]:
    """Put the first of some metrics beside their numbers."""
    return dict(zip(metrics, numbers))


# Novel recall is given under both protocols, whichever the paper printed.
TABLES = {
    1: Table(
        'proposals, with and without a classifier',
        'COCO',
        (*_CLASSIFIES[:3], *_PROPOSES, *_OLN),
        (
            Row(
                'Baseline: logits * centerness',
                'fcos',
                _numbers(_CLASSIFIES, 44.21, 55.33, 59.23),
            ),
            Row(
                'OWP: centerness',
                'fcos_centerness',
                _numbers(_PROPOSES, 22.71, 44.09, 9.9, 25.48),
            ),
            Row(
                'OWP: IoU',
                'fcos_iou',
                _numbers(_PROPOSES, 32.67, 53.26, 13.43, 28.31),
            ),
            Row(
                'OWP: sqrt(centerness * IoU)',
                'fcos_centerness_iou',
                _numbers(_PROPOSES, 26.2, 48.66, 11.6, 28.1),
            ),
            Row(
                'OWP: IoU-CS-IS',
                'fcos_iou_cs_is',
                _numbers(_PROPOSES, 32.86, 53.59, 13.08, 30.19),
            ),
            Row(
                'OWP: conditional IoU-CS-IS',
                'fcos_cond_iou_cs_is',
                _numbers(_PROPOSES, 34.52, 54.1, 14.51, 31.26),
            ),
            Row(
                'OWP: IoU all sampling (Appendix B)',
                'fcos_iou_all',
                {'novel_drop-base/AR@100': 30.18},
            ),
            Row('OLN 1-RPN', 'oln_rpn', _numbers(_OLN, 11.7, 27.4)),
            Row('OLN 2-RPN', 'oln_box', _numbers(_OLN, 17.7, 32.7)),
            Row(
                'OWP-aware: logits * IoU-CS-IS (finetune)',
                'fcos_iou_cs_is_finetune',
                _numbers(_CLASSIFIES, 46.07, 59.25, 64.12, 11.67, 28.39),
                'fcos_iou_cs_is',
            ),
            Row(
                'OWP-aware: logits * IoU-CS-IS (joint)',
                'fcos_iou_cs_is_joint',
                _numbers(_CLASSIFIES, 46.01, 58.24, 63.45, 11.12, 26.89),
            ),
            Row(
                'OWP-aware: joint + unknown',
                'fcos_iou_cs_is_joint_unknown',
                _numbers(_CLASSIFIES, 46.21, 60.42, 64.85, 11.32, 27.82),
            ),
            Row(
                'OWP-aware: OLN 2-RPN',
                'oln_box_cls',
                _numbers(_OLN, 13.3, 26.5),
            ),
        ),
    ),
    2: Table(
        'proposals and classification on LVIS',
        'LVIS v1',
        (*_LVIS, 'novel_exclude-base/AR@300'),
        (
            Row(
                'Baseline: logits * centerness',
                'fcos',
                _numbers(_LVIS, 18.88, 27.77, 35.3),
            ),
            Row(
                'OWP: IoU-CS-IS',
                'fcos_iou_cs_is',
                {'novel_drop-base/AR@300': 39.85},
            ),
            Row(
                'OWP-aware: joint',
                'fcos_iou_cs_is_joint',
                _numbers(_LVIS, 18.84, 27.29, 39.28),
            ),
            Row(
                'OWP-aware: joint + unknown',
                'fcos_iou_cs_is_joint_unknown',
                _numbers(_LVIS, 18.56, 27.25, 39.21),
            ),
        ),
    ),
    3: Table(
        'recipes of classification',
        'COCO',
        (*_RECIPES, *_OLN),
        (
            Row(
                'joint',
                'fcos_iou_cs_is_joint',
                _numbers(_RECIPES, 46.01, 58.24, 63.45, 1.43, 11.12, 26.89),
            ),
            Row(
                'frozen',
                'fcos_iou_cs_is_frozen',
                _numbers(_RECIPES, 38.24, 50.73, 55.35, 0.71, 8.27, 20.74),
                'fcos_iou_cs_is',
            ),
            Row(
                'finetune',
                'fcos_iou_cs_is_finetune',
                _numbers(_RECIPES, 46.07, 59.25, 64.12, 1.59, 11.67, 28.39),
                'fcos_iou_cs_is',
            ),
            Row(
                'joint fb',
                'fcos_iou_cs_is_joint_fb',
                _numbers(_RECIPES, 25.31, 42.11, 47.37, 0.76, 6.45, 19.31),
            ),
            Row(
                'frozen fb',
                'fcos_iou_cs_is_frozen_fb',
                _numbers(_RECIPES, 38.77, 56.54, 61.41, 1.94, 13.08, 30.19),
                'fcos_iou_cs_is',
            ),
            Row(
                'finetune fb',
                'fcos_iou_cs_is_finetune_fb',
                _numbers(_RECIPES, 38.96, 57.0, 61.86, 1.94, 12.98, 29.68),
                'fcos_iou_cs_is',
            ),
        ),
    ),
    4: Table(
        'masking of unknown areas on LVIS',
        'LVIS v1',
        (*_AREAS, 'novel_exclude-base/AR@300'),
        tuple(
            Row(
                f'areas from {start}k',
                'fcos_iou_cs_is_joint_unknown_area',
                _numbers(_AREAS, *numbers),
                '',
                start,
            )
            for start, *numbers in (
                (0, 16.58, 24.88, 2.24, 38.74),
                (5, 16.36, 24.67, 2.28, 38.96),
                (10, 16.41, 24.72, 2.31, 39.01),
                (60, 16.38, 24.77, 2.29, 38.86),
            )
        ),
    ),
}
