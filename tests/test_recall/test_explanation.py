"""Why objects are missed."""

import csv
import json

import numpy as np
import pytest
from hypothesis import given, settings
from recall_reference import (
    BASE,
    NOVEL,
    evaluate,
    scenes,
    slow_exclude,
    slow_iou,
    toy,
)

from mmdet_owp.recall import IOU_THRS, GroundTruth, Proposals, RecallEvaluator
from mmdet_owp.recall.explanation import NONE, SUPPRESSED, TAKEN, explain


def explained(annotations, image_ids, boxes, scores, protocol, **kwargs):
    truth = GroundTruth.from_coco(annotations)
    proposals = Proposals.from_images(
        truth.image_ids, image_ids, boxes, scores
    )
    evaluator = RecallEvaluator(truth, proposals)
    return truth, explain(evaluator, NOVEL, protocol, **kwargs)


def slow_reason(best, ranks, n, k, thr):
    """Say why one object is missed, from what greedy matching did."""
    if n in ranks:
        return 'met' if ranks[n] < k else 'beyond'
    if best >= thr:
        return 'taken'
    return 'near' if best >= 0.3 else 'none'


def slow_counts(annotations, image_ids, boxes, scores, k, thr):
    """Match one proposal after the other; count by reason and category."""
    counts = {}
    lists = dict(zip(image_ids, zip(boxes, scores)))
    for image in annotations['images']:
        rows, column = lists.get(image['id'], ([], []))
        objects = [
            a
            for category in sorted(NOVEL)
            for a in annotations['annotations']
            if (a['image_id'], a['category_id']) == (image['id'], category)
        ]
        wanted = [n for n, a in enumerate(objects) if not a['iscrowd']]
        ranks = {}
        order = sorted(range(len(rows)), key=lambda i: -column[i])
        for rank, i in enumerate(order):
            ious = [
                (slow_iou(rows[i], objects[n]['bbox'], False), n)
                for n in wanted
                if n not in ranks
            ]
            if ious and max(ious)[0] >= thr:
                ranks[max(ious)[1]] = rank
        for n in wanted:
            box = objects[n]['bbox']
            best = max([slow_iou(r, box, False) for r in rows] or [0])
            reason = slow_reason(best, ranks, n, k, thr)
            key = objects[n]['category_id'], reason
            counts[key] = counts.get(key, 0) + 1
    return counts


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_like_one_proposal_after_the_other(scene):
    truth, why = explained(*scene, 'drop-base')
    for level, k in ((0, 1), (0, 3), (5, 2), (9, 20)):
        slow = slow_counts(*scene, k, min(IOU_THRS[level], 1 - 1e-10))
        for category in NOVEL:
            rows = truth.category[why.objects] == category
            ours = why.counts(k, level, rows)
            assert {(category, r): n for r, n in ours.items() if n} == {
                key: n for key, n in slow.items() if key[0] == category
            }


@settings(max_examples=40, deadline=None)
@given(scenes())
def test_objects_that_removed_proposals_meet_are_taken(scene):
    """With base objects: what is left is matched anew, IoUs are of all."""
    annotations, image_ids, boxes, scores = scene
    left = slow_exclude(annotations, image_ids, boxes, scores, NOVEL, BASE)
    _, why = explained(*scene, 'exclude-base')
    for level, k in ((0, 2), (4, 5)):
        thr = IOU_THRS[level]
        met = slow_counts(annotations, image_ids, *left, k, thr)
        everything = slow_counts(*scene, k, thr)
        ours = why.counts(k, level)
        for reason in ('met', 'beyond'):
            expected = sum(n for key, n in met.items() if key[1] == reason)
            assert ours[reason] == expected
        for reason in ('near', 'none'):  # before anything was removed
            expected = sum(
                n for key, n in everything.items() if key[1] == reason
            )
            assert ours[reason] == expected
        assert sum(ours.values()) == sum(everything.values())


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_recall_is_that_of_the_evaluator(scene):
    for protocol in ('drop-base', 'exclude-base', 'oln'):
        sizes = dict(all=(0, 1e10))
        recall = evaluate(*scene, protocol=protocol, sizes=sizes)
        _, why = explained(*scene, protocol)
        for level in (0, 9):
            met = why.counts(3, level)['met']
            if len(why.objects):
                share = met / len(why.objects)
                assert share == recall.recall(3)[level]


def test_by_hand():
    """Five objects of 100 px in a row, each with a fate of its own."""
    corners = [0, 100, 200, 300, 400]
    annotations = dict(
        images=[dict(id=1)],
        annotations=[
            dict(image_id=1, category_id=2, bbox=[x, 0, 10, 10])
            for x in corners
        ]
        # It takes the proposal that is as near to it as to the first.
        + [dict(image_id=1, category_id=3, bbox=[400, 1, 10, 10])],
    )
    boxes = [
        [0, 0, 10, 10],  # met by the first
        [100, 0, 10, 4],  # IoU 0.4: badly localized
        [200, 0, 10, 2.9],  # IoU 0.29: none near
        [400, 1, 10, 10],  # the last one's; IoU 0.82 with the fifth
        [300, 0, 10, 10],  # rank 4
    ]
    scene = annotations, [1], [np.array(boxes, float)], [np.arange(5, 0, -1)]
    _, why = explained(*scene, 'drop-base')
    numbers = dict(met=2, beyond=1, taken=1, suppressed=0, near=1, none=1)
    assert why.counts(4, 0) == numbers
    assert why.outcome[0].tolist() == [0, -3, NONE, 4, TAKEN, 3]
    # From 0.85 on the fifth is no longer taken, but badly localized.
    assert why.counts(5, 7) == {
        **numbers,
        **dict(met=3, beyond=0, taken=0, near=2),
    }
    # Candidates before NMS: 0.6 of the second, 1 of the fifth.
    _, why = explained(
        *scene, 'drop-base', candidate_iou=np.array([1, 0.6, 0, 0, 1, 1])
    )
    assert why.outcome[:, 1].tolist() == [SUPPRESSED] * 3 + [-3] * 7
    assert why.outcome[0].tolist() == [0, SUPPRESSED, NONE, 4, TAKEN, 3]
    assert why.outcome[9, 4] == SUPPRESSED


def test_removed_proposals_count_as_taken():
    """The proposal of the base object is as good for the novel one."""
    annotations, ids, boxes, scores = toy()
    base = next(a for a in annotations['annotations'] if a['category_id'] == 1)
    novel = next(a for a in annotations['annotations'] if a is not base)
    novel['bbox'] = base['bbox']
    boxes = [np.array([base['bbox'], base['bbox']], float)]
    scene = annotations, ids, boxes, [np.array([0.9, 0.8])]
    _, why = explained(*scene, 'exclude-base')
    assert why.counts(1, 0)['met'] == 1
    boxes[0][1] = 900, 900, 5, 5
    annotations['annotations'].append(dict(novel))
    for protocol in ('exclude-base', 'oln', 'drop-base'):
        _, why = explained(*scene, protocol)
        assert why.counts(5, 0)['taken'] == 1


@pytest.fixture
def files(tmp_path):
    annotations, ids, boxes, scores = toy()
    for n, a in enumerate(annotations['annotations']):
        a['id'] = n
    annotations['categories'] = [
        dict(id=i, name=name) for i, name in ((1, 'base'), (2, 'novel'))
    ]
    ann, results = tmp_path / 'ann.json', tmp_path / 'results.json'
    ann.write_text(json.dumps(annotations))
    rows = zip(boxes[0].tolist(), scores[0].tolist())
    results.write_text(
        json.dumps([dict(image_id=1, bbox=b, score=s) for b, s in rows])
    )
    return ann, results


def test_tool(repo, call_tool, files, tmp_path, capsys, cells):
    tool = repo / 'tools/analysis_tools/explain_recall.py'
    out = tmp_path / 'new/why.csv'
    words = '--partition base --k 1 10 --iou 0.5 --out'.split()
    assert call_tool(tool, *files, *words, out) is None
    printed = capsys.readouterr().out
    first, second, by_class = printed.strip().split('\n\n')
    assert first.startswith('novel_drop-base, IoU 0.5, k = 1\n')
    assert cells(first)[1] == ['all', '1', '0.0000', '1', '0', '0', '0']
    assert cells(second)[1] == ['all', '1', '1.0000', '0', '0', '0', '0']
    assert cells(by_class)[1][0] == 'novel'
    rows = list(csv.DictReader(out.open()))
    assert [r['group'] for r in rows if r['k'] == '1'] == [
        *('all', cells(first)[2][0], 'class novel')
    ]
    assert [r['beyond'] for r in rows] == ['1'] * 3 + ['0'] * 3


def test_tool_refuses_other_thresholds(repo, call_tool, files, capsys):
    tool = repo / 'tools/analysis_tools/explain_recall.py'
    assert call_tool(tool, *files, '--iou', '0.52') == 2
    assert '0.52' in capsys.readouterr().err
