"""A trained proposer as two small files."""

import torch
from mmengine.config import Config


def test_files_give_the_same_model(
    repo, call_tool, tiny_config, untrained, tmp_path, capsys
):
    config, out = tiny_config(), tmp_path / 'new' / 'model'
    checkpoint = untrained(config)
    tool = repo / 'tools/model_converters/publish_model.py'
    words = (config, checkpoint, '--out', out, '--scales', 64, 96)
    assert call_tool(tool, *words) is None
    assert f'wrote {out}.py and {out}.pth' in capsys.readouterr().out
    published = torch.load(f'{out}.pth', weights_only=True)
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    assert published['state_dict'].keys() == state.keys()
    for name, value in state.items():
        ours = published['state_dict'][name]
        assert ours.dtype == (
            torch.half if value.is_floating_point() else value.dtype
        )
        assert torch.equal(ours, value.to(ours.dtype)), name
    assert published['meta'] == dict(
        dataset_meta=dict(classes=tuple('abcdefgh'))
    )
    text = (tmp_path / 'new/model.py').read_text()
    assert '_base_ =' not in text and str(tmp_path) not in text
    assert Config.fromfile(f'{out}.py').proposal_scales == [64, 96]
