"""The converter, on checkpoints with the released names and shapes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

import mmdet_owp.register  # noqa: F401

REPO = Path(__file__).parents[2]
TOOL = REPO / 'tools/model_converters/oln_to_mmdet3.py'
pytestmark = pytest.mark.usefixtures('mmdet_scope')

# From the released oln_rpn_head.py, convfc_bbox_score_head.py and oln_box.py.
FIRST_STAGE = {
    'rpn_head.rpn_conv': (256, 256, 3, 3),
    'rpn_head.rpn_cls': (1, 256, 1, 1),
    'rpn_head.rpn_reg': (4, 256, 1, 1),
    'rpn_head.rpn_obj': (1, 256, 1, 1),
}
SECOND_STAGE = {
    'roi_head.bbox_head.fc_cls': (2, 1024),
    'roi_head.bbox_head.fc_reg': (4, 1024),
    'roi_head.bbox_head.shared_fcs.0': (1024, 256 * 7 * 7),
    'roi_head.bbox_head.shared_fcs.1': (1024, 1024),
    'roi_head.bbox_head.fc_bbox_score': (1, 1024),
}


@pytest.fixture(scope='module')
def features():
    """Names and shapes of mmdet's ResNet-50 and FPN, as in mmdet 2."""
    config = Config.fromfile(REPO / 'configs/oln/oln_box_coco.py').model
    config.backbone.init_cfg = None
    features = {
        f'{part}.{name}': value
        for part in ('backbone', 'neck')
        for name, value in MODELS.build(config[part]).state_dict().items()
    }
    for name in ('backbone.layer4.2.bn3.running_var', 'backbone.conv1.weight',
                 'neck.lateral_convs.3.conv.bias'):  # fmt: skip
        assert name in features
    return features


def released(features, heads):
    """A state dict whose tensors differ and take no memory."""
    shapes = {name: (t.shape, t.dtype) for name, t in features.items()}
    for name, shape in heads.items():
        shapes[f'{name}.weight'] = shape, torch.float
        shapes[f'{name}.bias'] = shape[:1], torch.float
    return {
        name: torch.tensor(i, dtype=dtype).expand(shape)
        for i, (name, (shape, dtype)) in enumerate(shapes.items())
    }


@pytest.fixture
def call(call_tool, tmp_path, capsys):
    """Convert a state dict, return output or error and the new one."""

    def run(state, *options):
        source, out = tmp_path / 'released.pth', tmp_path / 'out.pth'
        torch.save(dict(meta=dict(epoch=8), state_dict=state), source)
        error = call_tool(TOOL, source, out, *options)
        if error:
            assert not out.exists() and '\n' not in error
            return error, None
        assert [p.name for p in tmp_path.glob('out*')] == ['out.pth']
        return capsys.readouterr().out, torch.load(out)['state_dict']

    return run


@pytest.mark.parametrize('stages', [1, 2])
def test_round_trip(features, call, stages):
    heads = {**FIRST_STAGE, **(SECOND_STAGE if stages == 2 else {})}
    state = released(features, heads)
    name = 'oln_box_coco' if stages == 2 else 'oln_rpn_coco'
    path = REPO / f'configs/oln/{name}.py'
    output, converted = call(state, '--config', path)
    assert 'rpn_head.rpn_cls.weight -> left out: not trained' in output
    config = Config.fromfile(path)
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    model.load_state_dict(converted)
    back = {
        key if stages == 2 else key.replace('bbox_head.', 'rpn_head.'): value
        for key, value in model.state_dict().items()
    }
    classifiers = [key for key in state if '_cls.' in key]
    assert state.keys() - back.keys() == set(classifiers)
    assert len(classifiers) == 2 * stages
    for key, value in back.items():
        assert torch.equal(value, state[key]), key


@pytest.mark.parametrize('remove, message', [
    ('rpn_head.rpn_obj', 'lacks rpn_head.rpn_obj.weight, rpn_head'),
    ('roi_head.bbox_head.fc_bbox_score', 'bbox_head.fc_bbox_score.weight'),
    ('neck.', r'lacks neck\.\*$'),
])  # fmt: skip
def test_missing_weights(features, call, remove, message):
    state = released(features, {**FIRST_STAGE, **SECOND_STAGE})
    output, _ = call({k: v for k, v in state.items() if remove not in k})
    assert output.startswith('error: ')
    assert re.search(message, output)


def test_other_models_are_refused(features, call):
    heads = {**FIRST_STAGE, **SECOND_STAGE}
    output, _ = call(released(features, {**heads, 'mask_head.conv': (1, 1)}))
    assert 'mask_head.conv.weight is in none of' in output
    heads['roi_head.bbox_head.fc_reg'] = (80, 1024)
    output, _ = call(released(features, heads))
    assert 'fc_reg has 80 outputs instead of 4' in output


def test_config_must_fit(features, call):
    state = released(features, {**FIRST_STAGE, **SECOND_STAGE})
    config = REPO / 'configs/shapes/oln_box_shapes.py'
    output, _ = call(state, '--config', config)
    assert f'another shape for {config}, such as backbone.' in output


def test_bad_paths(features, call, tmp_path):
    state = released(features, {**FIRST_STAGE, **SECOND_STAGE})
    output, _ = call(state, '--config', 'none.py')
    assert output.startswith('error: none.py: no such config')
    output, _ = call(dict(weight=torch.ones(1)))
    assert re.match(r'error: .*released.pth: not a checkpoint of OLN', output)
