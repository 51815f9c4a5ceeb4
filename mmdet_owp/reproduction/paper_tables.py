"""The paper's tables: rows, the configs behind them, numbers and columns.

Konan, Liang, Yin: *Extending One-Stage Detection with Open-World Proposals*,
Tables 1 to 4, Appendix B and Fig. 6. Plain data, without mmdet or torch.

Each number is stored under the name of its metric as ``tools/test.py`` writes
it, because one column of the paper may contain two measures. Base columns are
class-wise for models that classify and class-agnostic recall for pure proposal
models; novel recall of OLN was measured by its authors' evaluator (``oln``),
that of the paper's models by ``drop-base``.
"""

from __future__ import annotations

from typing import NamedTuple

from mmdet_owp.partitions import LVIS_PARTITIONS

# Kind of metric -> heading of a column.
_TITLES = {
    'base_class-wise': 'base {} (class-wise)',
    'base_drop-base': 'base {} (class-agnostic)',
    'novel_drop-base': 'novel {} (drop-base)',
    'novel_exclude-base': 'novel {} (exclude-base)',
    'novel_oln': 'novel {} (oln)',
}


def column_title(metric: str) -> str:
    """Return the heading of a metric's column; unknown names as they are."""
    kind, _, quantity = metric.partition('/')
    return _TITLES[kind].format(quantity) if kind in _TITLES else metric


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        label (str): as in the paper.
        method (str): the part of a config's name before its data set.
        paper (dict[str, float]): metric -> the paper's number, in percent.
        start (str): method of the trained model that it starts from, if any.
        mask_from (int, optional): thousands of the paper's 90,000 iterations
            after which masking starts, if not the config's own.
        test (str): name of the test of the trained model that it reports.
        options (tuple[str]): KEY=VALUE of that test.
    """

    label: str
    method: str
    paper: dict[str, float]
    start: str = ''
    mask_from: int | None = None
    test: str = 'test'
    options: tuple[str, ...] = ()


class Table(NamedTuple):
    """One table.

    Attributes:
        title (str): what it compares.
        data (str): what the paper measured on; ``on`` of a :class:`DataSet`.
        metrics (tuple[str]): its columns.
        rows (tuple[Row]): from top to bottom.
        beyond (tuple[Row]): rows that the paper does not have.
        differences (tuple[tuple[str, str]]): labels of rows to compare, the
            second with the first.
    """

    title: str
    data: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    beyond: tuple[Row, ...] = ()
    differences: tuple[tuple[str, str], ...] = ()


class DataSet(NamedTuple):
    """What a table can be measured on.

    Attributes:
        on (str): name to print.
        suffix (str): the part of a config's name after its method.
        prefix (str): prefix of the names of metrics.
        max_k (int): the k of AR@k in place of the paper's 300.
    """

    on: str
    suffix: str
    prefix: str = ''
    max_k: int = 100

    def metric(self, name: str) -> str:
        """Return the name on these data of a column of :class:`Table`."""
        return self.prefix + name.replace('@300', f'@{self.max_k}')

    def title(self, name: str) -> str:
        """Return the heading of a column of :class:`Table`."""
        measured = name.replace('@300', f'@{self.max_k}')
        title = column_title(measured)
        if measured != name:
            title = f'{title[:-1]}; paper: {name.split("/")[1]})'
        return title


DATA = {
    'coco': DataSet('COCO', '_coco'),
    'lvis': DataSet('LVIS v1', '_lvis', 'lvis-id_', 300),
    'shapes': DataSet('built-in data', '_shapes'),
    'coco-mini': DataSet(
        'photographs (COCO subset)', '_mobilenetv2_coco-mini'
    ),
}

_PROPOSER = 'fcos_iou_cs_is'
_CLASS_WISE = (
    'base_class-wise/AP',
    'base_class-wise/AR@10',
    'base_class-wise/AR@100',
)
_NOVEL = ('novel_drop-base/AR@10', 'novel_drop-base/AR@100')
# Columns in the paper's order, for each kind of row.
_CLASSIFIES = (*_CLASS_WISE, *_NOVEL)
_PROPOSES = ('base_drop-base/AR@10', 'base_drop-base/AR@100', *_NOVEL)
_OLN = ('novel_oln/AR@10', 'novel_oln/AR@100')
_RECIPES = (*_CLASS_WISE, 'novel_drop-base/AP', *_NOVEL)
_LVIS = (
    'base_class-wise/AP',
    'base_class-wise/AR@300',
    'novel_drop-base/AR@300',
)
_AREAS = (*_LVIS[:2], 'novel_drop-base/AP', _LVIS[2])
_OLN_LVIS = 'novel_oln/AR@300'

# Fig. 6: its lines, thresholds and starts of masking, in thousands of the
# paper's 90,000 iterations, and its panels.
FIG6_METHODS = {
    'joint': ('fcos_iou_cs_is_joint_unknown', ''),
    'finetune': ('fcos_iou_cs_is_finetune_unknown', _PROPOSER),
}
FIG6_THRESHOLDS = (0.925, 0.95)
FIG6_STARTS = (5, 10, 30, 60)
FIG6 = ('base_class-wise/AP', 'novel_drop-base/AR@100')
# What every row has beside the paper's columns: novel recall under all
# protocols and by size, and base recall.
DETAILS = (
    *(
        f'novel_{protocol}/AR@{k}'
        for protocol in ('drop-base', 'exclude-base', 'oln')
        for k in (10, 100)
    ),
    *(f'novel_drop-base/AR_{area}@100' for area in 'sml'),
    *(f'base_drop-base/AR@{k}' for k in (10, 100)),
)
# What tools/analysis_tools/metrics_table.py prints: heading -> metric.
COLUMNS = {
    'proposals': {
        column_title(m): m
        for m in ('base_class-wise/AP', _PROPOSES[1], *_NOVEL, *_OLN)
    },
    'recipes': {column_title(m): m for m in _RECIPES},
    **{
        partition: {
            column_title(m): f'{partition}_{m}' for m in (*_AREAS, _OLN_LVIS)
        }
        for partition in LVIS_PARTITIONS
    },
}


def _row(
    label: str,
    method: str,
    metrics: tuple[str, ...],
    numbers: tuple[float, ...],
    start: str = '',
    mask_from: int | None = None,
) -> Row:
    return Row(label, method, dict(zip(metrics, numbers)), start, mask_from)


# Novel recall has a column per protocol, whichever the paper printed.
# fmt: off
_BEYOND = (
    Row('Baseline: ranked by centerness alone', 'fcos', {},
        test='test_objectness',
        options=('model.bbox_head.proposal_score=objectness',)),
    Row('Baseline, from stride 4', 'fcos_p2', {}),
    Row('IoU-CS-IS, candidates: center', 'fcos_iou_cs_is_center', {}),
    Row('IoU-CS-IS, candidates: foreground', 'fcos_iou_cs_is_foreground', {}),
    Row('joint + unknown, areas', 'fcos_iou_cs_is_joint_unknown_area', {}),
    Row('joint + unknown, areas after NMS',
        'fcos_iou_cs_is_joint_unknown_area_nms', {}),
    Row('class-agnostic Faster R-CNN', 'class_agnostic_faster_rcnn', {}),
    Row('OLN 2-RPN for short schedules (ours)', 'oln_box_short', {}),
    Row('border', 'fcos_iou_cs_is_border', {}),
    Row('presence', 'fcos_iou_presence', {}),
    Row('presence + border', 'fcos_iou_presence_border', {}),
    Row('presence + border, from stride 4', 'fcos_iou_presence_border_p2', {}),
    Row('ceiling: trained with novel boxes', 'fcos_iou_cs_is_oracle', {}),
)
_DIFFERENCES = (
    ('OWP: centerness', 'OWP: IoU'),
    ('OWP: centerness', 'OWP: sqrt(centerness * IoU)'),
    ('OWP: IoU', 'OWP: sqrt(centerness * IoU)'),
    ('OWP: IoU', 'OWP: IoU all sampling (Appendix B)'),
    ('OWP: IoU', 'OWP: IoU-CS-IS'),
    ('OWP: IoU-CS-IS', 'OWP: IoU all sampling (Appendix B)'),
    ('IoU-CS-IS, candidates: center', 'OWP: IoU-CS-IS'),
    ('IoU-CS-IS, candidates: foreground', 'OWP: IoU-CS-IS'),
    ('OWP: IoU-CS-IS', 'OWP: conditional IoU-CS-IS'),
    ('Baseline: logits * centerness', 'OWP: IoU-CS-IS'),
    ('Baseline: ranked by centerness alone', 'OWP: IoU-CS-IS'),
    ('OLN 2-RPN', 'OWP: IoU-CS-IS'),
    ('OLN 2-RPN for short schedules (ours)', 'OWP: IoU-CS-IS'),
    ('OLN 2-RPN', 'OLN 2-RPN for short schedules (ours)'),
    ('OWP: IoU-CS-IS', 'OWP-aware: logits * IoU-CS-IS (finetune)'),
    ('OWP: IoU-CS-IS', 'OWP-aware: logits * IoU-CS-IS (joint)'),
    *(
        ('OWP-aware: logits * IoU-CS-IS (joint)', second)
        for second in (
            'OWP-aware: joint + unknown', 'joint + unknown, areas',
            'joint + unknown, areas after NMS',
        )
    ),
    *(
        (first, second)
        for second in (
            'border', 'presence', 'presence + border',
            'presence + border, from stride 4',
        )
        for first in (
            'OWP: IoU-CS-IS', 'Baseline: logits * centerness',
            'class-agnostic Faster R-CNN',
            'OLN 2-RPN for short schedules (ours)',
        )
    ),
    ('Baseline: logits * centerness', 'Baseline, from stride 4'),
    ('presence + border', 'presence + border, from stride 4'),
    ('Baseline, from stride 4', 'presence + border, from stride 4'),
    (
        'ceiling: trained with novel boxes',
        'presence + border, from stride 4',
    ),
    ('OWP: IoU-CS-IS', 'ceiling: trained with novel boxes'),
)
TABLES = {
    1: Table('proposals, with and without a classifier', 'COCO', (
        *_CLASS_WISE, *_PROPOSES, *_OLN,
    ), (
        _row('Baseline: logits * centerness', 'fcos',
             _CLASSIFIES, (44.21, 55.33, 59.23)),
        _row('OWP: centerness', 'fcos_centerness',
             _PROPOSES, (22.71, 44.09, 9.9, 25.48)),
        _row('OWP: IoU', 'fcos_iou',
             _PROPOSES, (32.67, 53.26, 13.43, 28.31)),
        _row('OWP: sqrt(centerness * IoU)', 'fcos_centerness_iou',
             _PROPOSES, (26.2, 48.66, 11.6, 28.1)),
        _row('OWP: IoU-CS-IS', _PROPOSER,
             _PROPOSES, (32.86, 53.59, 13.08, 30.19)),
        _row('OWP: conditional IoU-CS-IS', 'fcos_cond_iou_cs_is',
             _PROPOSES, (34.52, 54.1, 14.51, 31.26)),
        _row('OWP: IoU all sampling (Appendix B)', 'fcos_iou_all',
             _NOVEL[1:], (30.18,)),
        _row('OLN 1-RPN', 'oln_rpn', _OLN, (11.7, 27.4)),
        _row('OLN 2-RPN', 'oln_box', _OLN, (17.7, 32.7)),
        _row('OWP-aware: logits * IoU-CS-IS (finetune)',
             'fcos_iou_cs_is_finetune',
             _CLASSIFIES, (46.07, 59.25, 64.12, 11.67, 28.39), _PROPOSER),
        _row('OWP-aware: logits * IoU-CS-IS (joint)', 'fcos_iou_cs_is_joint',
             _CLASSIFIES, (46.01, 58.24, 63.45, 11.12, 26.89)),
        _row('OWP-aware: joint + unknown', 'fcos_iou_cs_is_joint_unknown',
             _CLASSIFIES, (46.21, 60.42, 64.85, 11.32, 27.82)),
        _row('OWP-aware: OLN 2-RPN', 'oln_box_cls', _OLN, (13.3, 26.5)),
    ), _BEYOND, _DIFFERENCES),
    2: Table('proposals and classification on LVIS', 'LVIS v1', (
        *_LVIS, _OLN_LVIS,
    ), (
        _row('Baseline: logits * centerness', 'fcos',
             _LVIS, (18.88, 27.77, 35.3)),
        _row('OWP: IoU-CS-IS', _PROPOSER, _LVIS[2:], (39.85,)),
        _row('OWP-aware: joint', 'fcos_iou_cs_is_joint',
             _LVIS, (18.84, 27.29, 39.28)),
        _row('OWP-aware: joint + unknown', 'fcos_iou_cs_is_joint_unknown',
             _LVIS, (18.56, 27.25, 39.21)),
    )),
    3: Table('recipes of classification', 'COCO', (
        *_RECIPES, *_OLN,
    ), (
        _row('joint', 'fcos_iou_cs_is_joint',
             _RECIPES, (46.01, 58.24, 63.45, 1.43, 11.12, 26.89)),
        _row('frozen', 'fcos_iou_cs_is_frozen',
             _RECIPES, (38.24, 50.73, 55.35, 0.71, 8.27, 20.74), _PROPOSER),
        _row('finetune', 'fcos_iou_cs_is_finetune',
             _RECIPES, (46.07, 59.25, 64.12, 1.59, 11.67, 28.39), _PROPOSER),
        _row('joint fb', 'fcos_iou_cs_is_joint_fb',
             _RECIPES, (25.31, 42.11, 47.37, 0.76, 6.45, 19.31)),
        _row('frozen fb', 'fcos_iou_cs_is_frozen_fb',
             _RECIPES, (38.77, 56.54, 61.41, 1.94, 13.08, 30.19), _PROPOSER),
        _row('finetune fb', 'fcos_iou_cs_is_finetune_fb',
             _RECIPES, (38.96, 57.0, 61.86, 1.94, 12.98, 29.68), _PROPOSER),
    )),
    4: Table('masking of unknown areas on LVIS', 'LVIS v1', (
        *_AREAS, _OLN_LVIS,
    ), tuple(
        _row(f'areas from {start}k', 'fcos_iou_cs_is_joint_unknown_area',
             _AREAS, numbers, mask_from=start)
        for start, numbers in (
            (0, (16.58, 24.88, 2.24, 38.74)),
            (5, (16.36, 24.67, 2.28, 38.96)),
            (10, (16.41, 24.72, 2.31, 39.01)),
            (60, (16.38, 24.77, 2.29, 38.86)),
        )
    )),
}
# fmt: on
