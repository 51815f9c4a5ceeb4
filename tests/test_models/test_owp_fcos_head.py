"""OWPFCOSHead against mmdet's FCOSHead and against the paper's equations."""

import math

import pytest
import torch
from mmdet.models.dense_heads import FCOSHead
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_overlaps
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

import mmdet_owp.register  # noqa: F401
from mmdet_owp.errors import UserError
from mmdet_owp.models.dense_heads.owp_fcos_head import OWPFCOSHead

pytestmark = pytest.mark.usefixtures('mmdet_scope')

HEIGHT, WIDTH = 160, 224
STRIDES = (8, 16, 32, 64, 128)
SIZES = [(math.ceil(HEIGHT / s), math.ceil(WIDTH / s)) for s in STRIDES]
COMMON = dict(
    num_classes=5,
    in_channels=16,
    feat_channels=16,
    stacked_convs=1,
    strides=STRIDES,
    norm_cfg=dict(type='GN', num_groups=4),
)
UNKNOWN = dict(type='UnknownMaskFocalLoss', use_sigmoid=True, threshold=0.5)
PLAIN = dict(centerness_on_reg=False)
IMPROVED = dict(
    norm_on_bbox=True,
    centerness_on_reg=True,
    center_sampling=True,
    conv_bias=True,
    loss_bbox=dict(type='GIoULoss', loss_weight=1.0),
)


TEST_CFG = ConfigDict(
    nms_pre=1000,
    min_bbox_size=0,
    score_thr=0.05,
    nms=dict(type='nms', iou_threshold=0.6),
    max_per_img=100,
    proposals=dict(
        nms_pre=2000,
        min_bbox_size=0,
        nms=dict(type='nms', iou_threshold=0.6, split_thr=100000),
        max_per_img=1500,
    ),
)


def build(head=OWPFCOSHead, seed=0, **kwargs):
    """A head whose outputs vary: weights are larger than initial ones."""
    torch.manual_seed(seed)
    head = head(**{**COMMON, 'test_cfg': TEST_CFG, **kwargs})
    for name, parameter in head.named_parameters():
        torch.nn.init.normal_(
            parameter, std=0.1 if name.startswith('conv_') else 0.3
        )
    return head


def classifier(**kwargs):
    return build(**{**IMPROVED, 'objectness': ('iou',), **kwargs})


def proposer(**kwargs):
    return classifier(**{'loss_cls': None, **kwargs})


def iou_sampler(candidates, **kwargs):
    return dict(type='IoUSampler', candidates=candidates, **kwargs)


def inputs(num_boxes, seed=0):
    """Features and samples of two images, the second with half the boxes."""
    generator = torch.Generator().manual_seed(seed)
    feats = [torch.randn(2, 16, *s, generator=generator) for s in SIZES]
    samples = []
    for n in (num_boxes, num_boxes // 2):
        center = torch.rand(n, 2, generator=generator)
        center *= torch.tensor([WIDTH, HEIGHT])
        half = torch.exp(torch.rand(n, 2, generator=generator) * 4 + 0.5)
        boxes = torch.cat([center - half, center + half], 1)
        labels = torch.randint(0, 5, (n,), generator=generator)
        samples.append(sample(boxes, labels))
    return feats, samples


def one_image():
    return [feature[:1] for feature in inputs(0)[0]]


def locations(num_images=2):
    """Image and (x, y) in pixels of every location, (n, 3)."""
    return torch.tensor(
        [
            (image, (x + 0.5) * s, (y + 0.5) * s)
            for s, (height, width) in zip(STRIDES, SIZES)
            for image in range(num_images)
            for y in range(height)
            for x in range(width)
        ]
    )


def is_inside(box, x, y):
    x1, y1, x2, y2 = box
    return (x1 < x) & (x < x2) & (y1 < y) & (y < y2)


def flat(levels):
    """Maps of all levels as (num_locations, channels)."""
    return torch.cat(
        [level.permute(0, 2, 3, 1).flatten(0, 2) for level in levels]
    )


def outs_and_losses(head, feats, samples):
    """Outputs of the head, which keep their gradient, and their losses."""
    outs = head(feats)
    for level in sum(outs, []):
        if level is not None and level.requires_grad:
            level.retain_grad()
    return outs, head.loss_by_feat(
        *outs,
        [s.gt_instances for s in samples],
        [s.metainfo for s in samples],
        [s.get('ignored_instances') for s in samples],
    )


def sample(boxes, labels=None, crowd=None):
    boxes = torch.as_tensor(boxes, dtype=torch.float).reshape(-1, 4)
    if labels is None:
        labels = torch.zeros(len(boxes), dtype=torch.long)
    result = DetDataSample(
        metainfo=dict(img_shape=(HEIGHT, WIDTH), scale_factor=(0.5, 0.5))
    )
    result.gt_instances = InstanceData(bboxes=boxes, labels=labels)
    if crowd is not None:
        result.ignored_instances = InstanceData(
            bboxes=torch.as_tensor(crowd, dtype=torch.float).reshape(-1, 4)
        )
    return result


# --- the baseline is mmdet's FCOSHead ---------------------------------------


@pytest.mark.parametrize(
    'variant', [PLAIN, IMPROVED], ids=['plain', 'improved']
)
@pytest.mark.parametrize('num_boxes', [0, 1, 7, 200])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_baseline_is_fcos(variant, num_boxes, seed):
    """Same weights: same losses, gradients and class detections."""
    stock = build(FCOSHead, seed, **variant)
    ours = build(
        seed=seed,
        objectness=('centerness',),
        sampler=dict(type='IoUSampler', ignore_crowd=False),
        **variant,
    )
    ours.load_state_dict(stock.state_dict())
    feats, samples = inputs(num_boxes, seed)
    losses = {}
    for head in (stock, ours):
        losses[head] = head.loss(feats, samples)
        sum(losses[head].values()).backward()
    assert losses[stock].keys() == losses[ours].keys()
    for name, value in losses[stock].items():
        torch.testing.assert_close(
            losses[ours][name], value, rtol=1e-5, atol=1e-5
        )
    gradients = {n: p.grad for n, p in ours.named_parameters()}
    for name, parameter in stock.named_parameters():
        torch.testing.assert_close(
            gradients[name], parameter.grad, rtol=1e-4, atol=1e-5
        )

    stock.eval(), ours.eval()
    with torch.no_grad():
        detections = stock.predict(feats, samples, rescale=True)
        ours_found = ours.predict(feats, samples, rescale=True)
        assert len(ours_found) == len(detections)
        for expected, got in zip(detections, ours_found):
            assert len(expected) > 0
            for key in ('bboxes', 'scores', 'labels'):
                assert torch.equal(got[key], expected[key])


def test_baseline_proposals_rank_by_best_class():
    """Against boxes decoded by hand and a greedy NMS."""
    head = build(
        objectness=('centerness',), proposal_score='cls', **IMPROVED
    ).eval()
    feats, samples = inputs(0)
    with torch.no_grad():
        cls_scores, distances, cues = head(feats)
        head.predict(feats, samples)
    _, x, y = locations().unbind(1)
    left, top, right, bottom = flat(distances).unbind(1)
    boxes = torch.stack([x - left, y - top, x + right, y + bottom], 1)
    boxes = boxes.clamp(min=0).minimum(torch.tensor([WIDTH, HEIGHT] * 2))
    scores = flat(cls_scores).sigmoid().amax(1) * flat(cues)[:, 0].sigmoid()
    first = locations()[:, 0] == 0
    boxes, scores = boxes[first], scores[first]
    kept = greedy_nms(boxes, scores, 0.6)
    torch.testing.assert_close(samples[0].proposals.scores, scores[kept])
    torch.testing.assert_close(samples[0].proposals.bboxes, boxes[kept])


def greedy_nms(boxes, scores, threshold):
    kept = []
    positive = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
    for i in scores.argsort(descending=True).tolist():
        if positive[i] and (
            not kept
            or bbox_overlaps(boxes[i : i + 1], boxes[kept]).max() <= threshold
        ):
            kept.append(i)
    return kept


# --- the cues ----------------------------------------------------------------


def test_no_classifier_is_built():
    head = proposer()
    assert not any('cls' in name for name, _ in head.named_parameters())
    feats, samples = inputs(5)
    assert set(head.loss(feats, samples)) == {'loss_bbox', 'loss_iou'}
    head.eval()
    predicted = head.predict(feats, samples)
    assert predicted[0].labels.unique().tolist() == [0]
    assert torch.equal(predicted[0].bboxes, samples[0].proposals.bboxes)
    scores = samples[0].proposals.scores
    assert (scores[:-1] >= scores[1:]).all() and len(scores) > 0


def one_location_head(distances, cue_logit, **kwargs):
    """A head that predicts the same distances and cue everywhere."""
    head = proposer(**kwargs)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    for scale in head.scales:
        torch.nn.init.ones_(scale.scale)
    with torch.no_grad():
        head.conv_reg.bias.copy_(torch.tensor(distances))
        for cue in head.cues:
            getattr(head, f'conv_{cue}').bias.fill_(cue_logit)
    return head


def entropy(target, logit):
    probability = 1 / (1 + math.exp(-logit))
    return -(
        target * math.log(probability)
        + (1 - target) * math.log(1 - probability)
    )


def test_equations_1_and_2_by_hand():
    """One box on one location: at (4, 4), (l, t, r, b) = (3, 2, 6, 4).

    Centerness sqrt(3/6 * 2/4) = 0.5. Predicted are 4 pixels to every side,
    (0, 0, 8, 8): overlap 7 x 6 = 42, union 64 + 54 - 42 = 76.
    """
    head = one_location_head(
        [0.5, 0.5, 0.5, 0.5], 0.3, objectness=('centerness', 'iou')
    )
    losses = head.loss(one_image(), [sample([1, 2, 10, 8])])
    assert float(losses['loss_centerness']) == pytest.approx(
        entropy(0.5, 0.3), rel=1e-5
    )
    assert float(losses['loss_iou']) == pytest.approx(
        entropy(42 / 76, 0.3), rel=1e-5
    )
    # GIoU: the enclosing box (0, 0, 10, 8) has 80 pixels.
    assert float(losses['loss_bbox']) == pytest.approx(
        1 - (42 / 76 - 4 / 80), rel=1e-5
    )


@pytest.mark.parametrize('iou_thr, target', [(0.55, 42 / 76), (0.56, 0.0)])
def test_low_iou_becomes_zero(iou_thr, target):
    head = one_location_head(
        [0.5] * 4, 0.3, sampler=iou_sampler('center', iou_thr=iou_thr)
    )
    loss = head.loss(one_image(), [sample([1, 2, 10, 8])])
    assert float(loss['loss_iou']) == pytest.approx(
        entropy(target, 0.3), rel=1e-5
    )


@pytest.mark.parametrize('objectness', [('iou',), ('centerness',)])
@pytest.mark.parametrize('weighted', [None, True, False])
def test_centerness_weighting(objectness, weighted):
    """The box above, and one at (100, 100) with (l, t, r, b) = (1, 3, 6, 5).

    Its centerness is sqrt(1/6 * 3/5), its overlap 5 x 7 = 35 of a union of
    64 + 56 - 35 = 85, in an enclosing box of 10 x 9.
    """
    head = one_location_head(
        [0.5] * 4, 0.0, objectness=objectness, centerness_weighted=weighted
    )
    boxes = [[1, 2, 10, 8], [99, 97, 106, 105]]
    loss = head.loss(one_image(), [sample(boxes)])
    values = [1 - (42 / 76 - 4 / 80), 1 - (35 / 85 - 5 / 90)]
    weights = [1, 1]
    if weighted or (weighted is None and objectness == ('centerness',)):
        weights = [0.5, math.sqrt(1 / 6 * 3 / 5)]
    expected = sum(v * w for v, w in zip(values, weights)) / sum(weights)
    assert float(loss['loss_bbox']) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('candidates', ['center', 'foreground', 'all'])
def test_no_gradient_through_the_iou_target(candidates):
    """The cue loss alone moves neither boxes nor scales."""
    head = proposer(sampler=iou_sampler(candidates))
    feats, samples = inputs(7)
    head.loss(feats, samples)['loss_iou'].backward()
    for name, parameter in head.named_parameters():
        if name.startswith(('conv_reg', 'scales')):
            assert parameter.grad is None or not parameter.grad.any()
    assert head.conv_iou.weight.grad.any()


@pytest.mark.parametrize('detach', [True, False])
def test_gradient_of_the_condition_is_a_switch(detach):
    head = proposer(conditional='tower', detach_condition=detach)
    feats, samples = inputs(7)
    head.loss(feats, samples)['loss_iou'].backward()
    gradient = head.conv_reg.weight.grad
    assert (gradient is None or not gradient.any()) == detach


@pytest.mark.parametrize('norm_on_bbox', [True, False])
@pytest.mark.parametrize('conditional', ['tower', 'fpn'])
def test_conditional_cue_sees_the_regression_map(conditional, norm_on_bbox):
    """In strides, both in training and in test."""
    head = proposer(conditional=conditional, norm_on_bbox=norm_on_bbox)
    feats, _ = inputs(0)
    with torch.no_grad():
        head.train()
        _, _, in_training = head(feats)
        _, distances, in_test = head.eval()(feats)
    assert len(feats) == len(distances) == len(STRIDES)
    for level, (x, distance, stride) in enumerate(
        zip(feats, distances, STRIDES)
    ):
        torch.testing.assert_close(in_test[level], in_training[level])
        tower = x
        if conditional == 'tower':
            for conv in head.reg_convs:
                tower = conv(tower)
        expected = torch.conv2d(
            torch.cat([tower, distance / stride], 1),
            head.conv_iou.weight,
            head.conv_iou.bias,
            padding=1,
        )
        torch.testing.assert_close(in_test[level], expected)


@pytest.mark.parametrize('candidates', ['center', 'foreground', 'center+hard'])
def test_cue_trains_on_its_locations_only(candidates):
    """Locations with a gradient, against the assignment."""
    # Boxes of 4 strides: close to the object's at its center only.
    head = one_location_head(
        [2.0] * 4, 0.3, sampler=iou_sampler(candidates, iou_thr=0.3)
    )
    samples = [sample([[20, 20, 63, 61]]), sample([[100, 10, 160, 40]])]
    outs, losses = outs_and_losses(head, inputs(0)[0], samples)
    losses['loss_iou'].backward()
    trained = flat([level.grad for level in outs[2]])[:, 0] != 0
    boxes = [s.gt_instances.bboxes for s in samples]
    assigned = head.sampler.assign(SIZES, STRIDES, head.regress_ranges, boxes)
    center, cue = assigned.regression >= 0, assigned.cue >= 0
    if candidates == 'center+hard':
        assert trained[center].all() and not trained[~cue].any()
        assert center.sum() < trained.sum() < cue.sum()
    else:
        assert torch.equal(trained, center if candidates == 'center' else cue)


def test_all_sampling_divides_by_the_foreground():
    """All targets 0: the loss is locations / foreground * BCE(0)."""
    head = one_location_head(
        [0.0] * 4, -1.0, sampler=iou_sampler('all', iou_thr=0.3)
    )
    # Fit the first level: centers 44, 52, ..., 92 within 64 of every side.
    # Fit the second, 64 to 128 to the farthest side: none, the box has 60.
    loss = head.loss(one_image(), [sample([40, 40, 100, 100])])['loss_iou']
    foreground = 7 * 7
    assert float(loss) == pytest.approx(
        len(locations(1)) / foreground * entropy(0, -1.0), rel=1e-5
    )


@pytest.mark.parametrize('name', ['FocalLoss', 'UnknownMaskFocalLoss'])
def test_use_sigmoid_defaults_to_that_of_the_loss(name):
    """The losses are those of a config that sets it, masking included."""
    threshold = {} if name == 'FocalLoss' else dict(threshold=0.5)
    heads = [
        classifier(loss_cls=dict(type=name, **threshold, **more))
        for more in ({}, dict(use_sigmoid=True))
    ]
    feats, samples = inputs(3)
    default, explicit = (head.loss(feats, samples) for head in heads)
    assert default.keys() == explicit.keys()
    assert all(torch.equal(default[k], v) for k, v in explicit.items())
    if threshold:
        assert 0 < default['masked_background'] < 1
    # A loss of softmax scores keeps its channel of the background.
    softmax = classifier(loss_cls=dict(type='CrossEntropyLoss'))
    assert heads[0].cls_out_channels == heads[0].num_classes
    assert softmax.cls_out_channels == softmax.num_classes + 1


@pytest.mark.parametrize('loss_cls', [None, dict(type='FocalLoss')])
@pytest.mark.parametrize('candidates', ['center', 'all'])
@pytest.mark.parametrize('prior', [None, 0.2])
def test_initial_biases_are_those_of_an_init_cfg(loss_cls, candidates, prior):
    arguments = dict(
        COMMON, loss_cls=loss_cls, sampler=iou_sampler(candidates)
    )
    override = [dict(name='conv_reg', bias=2)]
    if loss_cls:
        override.append(dict(name='conv_cls', bias_prob=0.01))
    if prior or candidates == 'all':
        override.append(dict(name='conv_iou', bias_prob=prior or 0.01))
    normal = dict(type='Normal', std=0.01)
    init_cfg = dict(
        normal, layer='Conv2d', override=[{**normal, **o} for o in override]
    )
    states = []
    for initialization in (
        dict(init_cfg=init_cfg),
        dict(init_reg_bias=2, cue_prior=prior),
    ):
        head = OWPFCOSHead(**arguments, **initialization)
        torch.manual_seed(0)
        head.init_weights()
        states.append(head.state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[1][k], v) for k, v in states[0].items())
    assert states[0]['conv_reg.bias'].tolist() == [2] * 4
    with pytest.raises(UserError, match='init_cfg replaces'):
        OWPFCOSHead(**arguments, init_cfg=init_cfg, init_reg_bias=2)


def test_crowd_locations_are_left_out():
    """Neither background for the classifier nor zeros for the cue."""
    box, crowd = [40, 40, 100, 100], [80, 80, 200, 150]
    _, x, y = locations(1).unbind(1)
    in_crowd = is_inside(crowd, x, y) & ~is_inside(box, x, y)
    assert in_crowd.any()
    for ignore in (True, False):
        head = build(
            **IMPROVED, sampler=iou_sampler('all', ignore_crowd=ignore)
        )
        outs, losses = outs_and_losses(
            head, one_image(), [sample(box, crowd=crowd)]
        )
        sum(losses.values()).backward()
        for levels in (outs[0], outs[2]):
            trained = flat([level.grad for level in levels]).any(1)
            assert torch.equal(trained, ~in_crowd | (not ignore))


def test_objectness_is_the_geometric_mean():
    head = proposer(objectness=('centerness', 'iou')).eval()
    feats, samples = inputs(0)
    with torch.no_grad():
        _, _, cues = head(feats)
        head.predict(feats, samples)
    score = torch.cat([c[0].flatten(1) for c in cues], 1).sigmoid()
    best = score.prod(0).sqrt().max()
    torch.testing.assert_close(samples[0].proposals.scores[0], best)


@pytest.mark.parametrize(
    'arguments',
    [
        dict(),
        dict(objectness=('centerness', 'iou')),
        dict(conditional='fpn'),
        dict(sampler=iou_sampler('all')),
        dict(refine='border', conditional='tower'),
        dict(objectness=('iou', 'presence'), presence_convs=1),
        dict(loss_cls=UNKNOWN),
        dict(loss_cls=dict(UNKNOWN, mode='area')),
    ],
)
@pytest.mark.skipif(
    not hasattr(torch, 'compile'),
    reason='autocast on a CPU before PyTorch 2 lacks group_norm',
)
def test_half_precision(arguments):
    """Losses are close to those in single precision, gradients finite."""
    feats, samples = inputs(7)
    head = proposer(**arguments)
    full = head.loss(feats, samples)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = head.loss(feats, samples)
    assert full.get('masked_background', 1) > 0
    sum(half[name] for name in full if 'loss' in name).backward()
    for name, value in full.items():
        torch.testing.assert_close(
            half[name].float(), value, rtol=0.1, atol=0.02
        )
    assert all(p.grad.isfinite().all() for p in head.parameters())
    with torch.autocast('cpu', dtype=torch.bfloat16), torch.no_grad():
        head.eval().predict(feats, samples)
    assert samples[0].proposals.bboxes.isfinite().all()


def test_images_without_objects_reach_every_parameter():
    """Each parameter gets a gradient, as distributed training requires."""
    feats, samples = inputs(0)
    for candidates in ('center', 'foreground', 'center+hard', 'all'):
        head = proposer(sampler=iou_sampler(candidates, iou_thr=0.3))
        losses = head.loss(feats, samples)
        assert float(losses['loss_bbox']) == 0
        assert (float(losses['loss_iou']) == 0) == (candidates != 'all')
        sum(losses.values()).backward()
        assert all(p.grad is not None for p in head.parameters())


# --- beside a classifier -----------------------------------------------------


def losses_and_gradients(head):
    """Losses of two images; gradient of ``loss_cls`` at the class logits."""
    outs, losses = outs_and_losses(head, *inputs(7))
    losses['loss_cls'].backward()
    return losses, flat([level.grad for level in outs[0]])


@pytest.mark.parametrize(
    'cues, masking_cues',
    [
        (('iou',), None),
        (('centerness', 'iou'), None),
        (('centerness', 'iou'), ('iou',)),
    ],
)
def test_unknown_objects_are_masked(cues, masking_cues):
    """By the objectness of the named cues, but never inside a box."""
    stock = classifier(objectness=cues)
    loss_cls = dict(UNKNOWN, cues=masking_cues)
    ours = classifier(objectness=cues, loss_cls=loss_cls)
    expected_losses, expected = losses_and_gradients(stock)
    losses, gradient = losses_and_gradients(ours)
    for name in expected_losses.keys() - {'loss_cls'}:
        assert torch.equal(losses[name], expected_losses[name])
    assert not losses['background_objectness_max'].requires_grad
    # Nothing of the classifier's loss reaches boxes and cues.
    for name, parameter in ours.named_parameters():
        if 'cls' not in name:
            assert parameter.grad is None, name

    feats, samples = inputs(7)
    boxes = [s.gt_instances.bboxes for s in samples]
    with torch.no_grad():
        _, _, cue_logits = ours(feats)
    chosen = flat(cue_logits)[:, -len(masking_cues or cues) :].sigmoid()
    score = chosen.prod(1).pow(1 / chosen.shape[1])
    inside = torch.tensor(
        [
            any(is_inside(box, x, y) for box in boxes[int(image)])
            for image, x, y in locations()
        ]
    )
    masked = (score > 0.5) & ~inside
    assert 0 < masked.sum() < (score > 0.5).sum()
    assert torch.equal((gradient == 0).all(1), masked)
    assert torch.equal(gradient[~masked], expected[~masked])


@pytest.mark.parametrize('norm_on_bbox', [True, False])
def test_areas_are_the_predicted_boxes(norm_on_bbox):
    """In pixels, both in training and in test."""
    head = classifier(
        norm_on_bbox=norm_on_bbox, loss_cls=dict(UNKNOWN, mode='area')
    )
    feats, samples = inputs(7)
    gt_boxes = [s.gt_instances.bboxes for s in samples]
    found = []
    for mode in (True, False):
        _, *outs = head.train(mode)(feats)
        found.append(head.masking_inputs(head.masking, *outs, gt_boxes).boxes)
    left, top, right, bottom = flat(outs[0]).detach().unbind(1)
    _, x, y = locations().unbind(1)
    expected = torch.stack([x - left, y - top, x + right, y + bottom], 1)
    for boxes in found:
        torch.testing.assert_close(boxes, expected)


@pytest.mark.parametrize('masking', [False, True])
def test_frozen_regression(masking):
    """Only the classifier is trained, as beside a trained regression."""
    loss_cls = dict(loss_cls=UNKNOWN) if masking else {}
    running = dict(norm_cfg=dict(type='BN'), **loss_cls)
    head = classifier(freeze_regression=True, **running)
    reference = classifier(**running)
    # Masking depends on the norms, and frozen ones are in eval mode.
    assert not head.train().reg_convs.training
    reference.reg_convs.eval()
    before = {k: v.clone() for k, v in head.state_dict().items()}
    calls = []
    head.conv_reg.register_forward_hook(lambda *_: calls.append(1))

    losses, gradient = losses_and_gradients(head)
    expected_losses, expected = losses_and_gradients(reference)
    logged = {'masked_background', 'background_objectness_max'}
    assert set(losses) == {'loss_cls'} | (logged if masking else set())
    for name, value in losses.items():
        assert torch.equal(value, expected_losses[name])
    assert torch.equal(gradient, expected)
    # The frozen part runs only if masking needs it.
    assert len(calls) == (len(STRIDES) if masking else 0)

    for name, parameter in head.named_parameters():
        trained = name.startswith(('cls_convs', 'conv_cls'))
        assert parameter.requires_grad == trained
        assert (parameter.grad is not None) == trained
    for name, value in head.state_dict().items():
        if not name.startswith('cls_convs'):
            assert torch.equal(value, before[name]), name
    # Prediction runs all parts.
    feats, samples = inputs(7)
    with torch.no_grad():
        head.eval().predict(feats, samples)
    assert all(len(s.proposals) > 0 for s in samples)


# --- the cue that knows background ------------------------------------------


PRESENCE = ('iou', 'presence')


def varifocal(logits, targets, alpha=0.75, gamma=2.0):
    """Equation 2 of the paper (Zhang et al., 2021), per location."""
    p = logits.sigmoid()
    q = targets
    positive = -q * (q * p.log() + (1 - q) * (1 - p).log())
    return torch.where(q > 0, positive, -alpha * p**gamma * (1 - p).log())


@pytest.mark.parametrize('refine', [None, 'border'])
def test_loss_by_brute_force(refine):
    """IoU of the final box where a box fits, uncut by iou_thr; else 0."""
    head = proposer(
        objectness=PRESENCE,
        sampler=iou_sampler('center+hard', iou_thr=0.3),
        refine=refine,
    )
    feats, samples = inputs(7)
    with torch.no_grad():
        _, distances, cues = head(feats)
    boxes = [s.gt_instances.bboxes for s in samples]
    targets = torch.zeros(len(locations()))
    num_foreground, cut = 0, 0
    ranges = torch.tensor(head.regress_ranges)
    levels = torch.cat(
        [torch.full((2 * h * w,), i) for i, (h, w) in enumerate(SIZES)]
    )
    for i, (image, x, y) in enumerate(locations()):
        best, best_key = None, None
        low, high = ranges[levels[i]]
        stride = STRIDES[levels[i]]
        for box in boxes[int(image)]:
            x1, y1, x2, y2 = box
            far = max(x - x1, y - y1, x2 - x, y2 - y)
            if not (is_inside(box, x, y) and low <= far <= high):
                continue
            center = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2))
            # Boxes in whose center region it lies come first.
            key = (center >= 1.5 * stride, (x2 - x1) * (y2 - y1))
            if best is None or key < best_key:
                best, best_key = box, key
        if best is not None:
            num_foreground += 1
            left, top, right, bottom = flat(distances)[i, :4] * stride
            predicted = torch.stack([x - left, y - top, x + right, y + bottom])
            targets[i] = bbox_overlaps(predicted[None], best[None])[0, 0]
            cut += 0 < targets[i] < 0.3
    assert cut > 0
    expected = varifocal(flat(cues)[:, 1], targets).sum() / num_foreground
    loss = head.loss(feats, samples)['loss_presence']
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_other_cues_do_not_change():
    """Nor does its loss reach the boxes."""
    feats, samples = inputs(7)
    alone, both = proposer(), proposer(objectness=PRESENCE)
    both.load_state_dict(alone.state_dict(), strict=False)
    expected, losses = (head.loss(feats, samples) for head in (alone, both))
    for name, value in expected.items():
        assert torch.equal(losses[name], value)
    losses['loss_presence'].backward()
    for name, parameter in both.named_parameters():
        if name.startswith(('conv_reg', 'scales', 'conv_iou')):
            assert parameter.grad is None or not parameter.grad.any()


def test_tower_of_its_own():
    """Then its loss does not reach the tower of the regression."""
    feats, samples = inputs(7)
    head = proposer(
        objectness=PRESENCE,
        presence_convs=2,
        conditional='tower',
        refine='border',
    )
    head.loss(feats, samples)['loss_presence'].backward()
    for name, parameter in head.named_parameters():
        own = name.startswith(('presence_tower', 'conv_presence'))
        assert (parameter.grad is not None and parameter.grad.any()) == own


def test_prior():
    head = proposer(objectness=PRESENCE)
    head.init_weights()
    assert head.conv_presence.bias.sigmoid().item() == pytest.approx(0.01)
    assert head.conv_iou.bias.item() == 0


@pytest.mark.parametrize('masking', [None, dict(threshold=0.5)])
def test_locations_that_train_it(masking):
    """All but crowd regions and what the IoU cue alone takes for an object."""
    box, crowd = [40, 40, 100, 100], [80, 80, 200, 150]
    head = proposer(objectness=PRESENCE, presence_masking=masking)
    outs, losses = outs_and_losses(
        head, one_image(), [sample(box, crowd=crowd)]
    )
    losses['loss_presence'].backward()
    trained = flat([level.grad for level in outs[2]])[:, 1] != 0
    _, x, y = locations(1).unbind(1)
    inside = is_inside(box, x, y)
    expected = ~is_inside(crowd, x, y) | inside
    if masking:
        scores = flat(outs[2]).sigmoid()
        unknown = (scores[:, 0] > 0.5) & ~inside & expected
        by_mean = (scores.prod(1).sqrt() > 0.5) & ~inside & expected
        assert 0 < unknown.sum() and not torch.equal(unknown, by_mean)
        background = expected & ~inside
        # Fitting boxes lie inside; locations inside may be background too.
        share = losses['presence_masked_background']
        assert unknown.sum() / background.sum() >= share > 0
        expected = expected & ~unknown
    else:
        assert 'presence_masked_background' not in losses
    assert torch.equal(trained, expected)


def test_masking_of_the_classifier_looks_at_the_iou():
    """By default as if the cue were not there."""
    feats, samples = inputs(7)
    alone = classifier(loss_cls=UNKNOWN)
    both = classifier(loss_cls=UNKNOWN, objectness=PRESENCE)
    both.load_state_dict(alone.state_dict(), strict=False)
    expected, losses = (head.loss(feats, samples) for head in (alone, both))
    assert 0 < losses['masked_background'] < 1
    for name, value in expected.items():
        assert torch.equal(losses[name], value)


def test_masking_waits_for_its_start():
    feats, samples = inputs(7)
    early, late = (
        proposer(
            objectness=PRESENCE,
            presence_masking=dict(threshold=0.5, start_iter=start),
        ).loss(feats, samples)
        # Tests that ran before may have left an iteration behind.
        for start in (0, 10**9)
    )
    assert early['presence_masked_background'] > 0
    assert late['presence_masked_background'] == 0
    unmasked = proposer(objectness=PRESENCE).loss(feats, samples)
    assert torch.equal(late['loss_presence'], unmasked['loss_presence'])
    assert early['loss_presence'] < late['loss_presence']


# --- bad arguments ----------------------------------------------------------


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(freeze_regression=True, loss_cls=None), 'freeze_regression'),
        (
            dict(freeze_regression=True, centerness_on_reg=False),
            'freeze_regression',
        ),
        (
            dict(loss_cls=dict(UNKNOWN, use_sigmoid=False)),
            'UnknownMaskFocalLoss needs use_sigmoid=True',
        ),
        (
            dict(proposal_score='cls', loss_cls=dict(type='CrossEntropyLoss')),
            "proposal_score='cls' needs",
        ),
        (
            dict(loss_objectness=dict(type='L1Loss')),
            'loss_objectness is computed from logits',
        ),
        (
            dict(loss_objectness=dict(type='CrossEntropyLoss')),
            'loss_objectness is computed from logits',
        ),
        (dict(objectness=('dice',)), 'objectness must name cues'),
        (dict(objectness=()), 'objectness must name cues'),
        (
            dict(loss_centerness=dict(type='L1Loss')),
            "loss_centerness is FCOSHead's; name it loss_objectness",
        ),
        (
            dict(loss_cls=dict(UNKNOWN, cues=('centerness',))),
            'loss_cls.cues must be among',
        ),
        (dict(conditional='neck'), 'conditional must be'),
        (dict(proposal_score='best'), 'proposal_score must be'),
        (dict(refine='center'), 'refine must be'),
        (dict(refine='border', centerness_on_reg=False), 'regression tower'),
        (dict(presence_convs=1), "tower of the cue 'presence'"),
        (dict(loss_bbox_refine=dict(type='GIoULoss')), "set refine='border'"),
        (dict(presence_masking=dict()), 'presence_masking looks at another'),
        (
            dict(
                objectness=('iou', 'presence'),
                presence_masking=dict(cues=('centerness',)),
            ),
            'presence_masking.cues must be among',
        ),
        (
            dict(
                objectness=('iou', 'presence'),
                loss_presence=dict(type='L1Loss'),
            ),
            'loss_presence is computed',
        ),
        (
            dict(loss_presence=dict(type='FocalLoss', use_sigmoid=True)),
            "loss_presence is the loss of 'presence', but objectness=",
        ),
        (
            dict(
                objectness=('presence',),
                loss_objectness=dict(type='FocalLoss', use_sigmoid=True),
            ),
            "loss_objectness is the loss of 'centerness' and 'iou', but",
        ),
        (dict(loss_cls=None, proposal_score='cls'), 'need a classifier'),
        (dict(loss_cls=None, centerness_on_reg=False), 'need a classifier'),
        (
            dict(conditional='tower', centerness_on_reg=False),
            'regression tower',
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(UserError, match=message):
        OWPFCOSHead(**COMMON, **arguments)
