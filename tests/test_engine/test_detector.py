from __future__ import annotations

import pytest
import torch
from mmengine.config import Config

from mmdet_owp.engine.detector import load_detector
from mmdet_owp.errors import UserError


def test_all_weights_come_from_the_checkpoint(tiny_config, untrained):
    config = tiny_config()
    path = untrained(config)
    model = load_detector(Config.fromfile(config), str(path))
    expected = torch.load(path)['state_dict']
    assert not model.training
    assert model.dataset_meta['classes'] == tuple('abcdefgh')
    assert model.cfg.model.type == 'FCOS'
    torch.testing.assert_close(model.state_dict(), expected, rtol=0, atol=0)


def test_random_weights(tiny_config):
    model = load_detector(str(tiny_config()), None)
    assert not model.training and model.dataset_meta == dict(classes=())


def test_what_does_not_fit_is_refused(tiny_config, untrained):
    path = str(untrained(tiny_config()))
    with pytest.raises(UserError, match='made by another config'):
        load_detector(str(tiny_config('fcos_shapes')), path)
    with pytest.raises(UserError, match='none.py: no such config file'):
        load_detector('none.py', path)
    with pytest.raises(UserError, match='none.pth: no such checkpoint'):
        load_detector(str(tiny_config()), 'none.pth')
