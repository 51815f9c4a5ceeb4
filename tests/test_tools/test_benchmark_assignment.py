"""The benchmark of a training step."""
import runpy
from argparse import Namespace
from pathlib import Path

import pytest
import torch

TOOL = (
    Path(__file__).parents[2] / 'tools/analysis_tools/benchmark_assignment.py')


@pytest.fixture
def tool(monkeypatch):
    """The tool's functions."""
    return runpy.run_path(str(TOOL))


def test_both_heads_find_the_same_targets(tool):
    """What is timed is the same work."""
    args = Namespace(images=2, size=[192, 256], device='cpu', seed=1)
    samples = tool['make_samples'](40, args)
    sizes = [(24, 32), (12, 16), (6, 8), (3, 4), (2, 2)]
    heads = tool['build_heads']('cpu')
    labels, distances = tool['assigns'](heads['FCOSHead'], sizes, samples)()
    labels = torch.cat(labels)
    ours, ours_at_cue = tool['assigns'](heads['OWPFCOSHead'], sizes,
                                        samples)()
    assert torch.equal(ours, labels)
    assert (labels < 1103).sum() > 100
    # Ours has the locations of the cue, too, of which these are a part.
    strides = torch.cat([
        torch.full((len(d), 1), float(s))
        for d, s in zip(distances, heads['FCOSHead'].strides)
    ])
    theirs = (torch.cat(distances) * strides)[labels < 1103]
    missing = set(map(tuple, theirs.tolist())) - set(
        map(tuple, ours_at_cue.tolist()))
    assert not missing


def test_peak_is_what_is_allocated_at_once(tool):
    def work():
        for _ in range(5):
            torch.ones(3, 2**20)  # 12 MiB, given back
        kept = [torch.ones(2**20) for _ in range(5)]
        del kept[1:]

    assert tool['peak'](work, 'cpu') == pytest.approx(20, abs=.01)


def test_table(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr('sys.argv', [
        TOOL.name, '--size', '64', '64', '--images', '1', '--boxes', '3', '7',
        '--repeat', '1', '--device', 'cpu', '--out',
        str(tmp_path / 'table.md')
    ])
    runpy.run_path(str(TOOL), run_name='__main__')
    text = (tmp_path / 'table.md').read_text()
    assert text in capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split('|')[1:-1]]
            for line in text.splitlines() if line.startswith('|')][2:]
    assert [row[:2] for row in rows] == [
        ['assignment', '3'], ['step', '3'], ['assignment', '7'], ['step', '7'],
        ['prediction', '-']
    ]
    for row in rows:
        stock, ours, ratio = map(float, row[2:5])
        # Of what is rounded to a tenth of a millisecond, as is the ratio.
        assert abs(ratio * stock - ours) < .06 * (1 + ratio) + .0006 * stock
