from __future__ import annotations

import functools
import http.server
import io
import os
import tarfile
import threading
import zipfile
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import CheckpointLoader, Runner
from torch import nn
from torch.utils.data import Dataset

from mmdet_owp.engine import checkpoint
from mmdet_owp.engine.checkpoint import load_checkpoint
from mmdet_owp.engine.checkpoint_match import CheckpointMatchHook
from mmdet_owp.errors import UserError


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


@pytest.fixture(params=['weights_only', 'restricted'])
def reader(request, monkeypatch):
    """The reader of new PyTorch and that of PyTorch before 2.6."""
    if request.param == 'weights_only' and not checkpoint._HAS_SAFE_GLOBALS:
        pytest.skip('this PyTorch has no usable weights_only')
    monkeypatch.setattr(
        checkpoint, '_HAS_SAFE_GLOBALS', request.param == 'weights_only'
    )
    return request.param


@pytest.fixture
def marker(tmp_path):
    return tmp_path / 'executed'


@pytest.fixture
def evil(tmp_path, marker):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, x=Call(os.system, f'touch {marker}')), path)
    return path


class Toy(BaseModel):
    def __init__(self, width=3, init_cfg=None):
        super().__init__(init_cfg=init_cfg)
        self.linear = nn.Linear(2, width)

    def forward(self, inputs, mode):
        return dict(loss=self.linear(inputs).square().mean())


class Points(Dataset):
    metainfo = dict(classes=('a', 'b'), palette=[(0, 0, 0)])

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([index, 1.0]))


def make_runner(work_dir, width=3, epochs=2, **kwargs):
    return Runner(
        Toy(width),
        str(work_dir),
        train_dataloader=dict(
            dataset=Points(),
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=dict(type='MultiStepLR', milestones=[1]),
        randomness=dict(seed=1),
        log_level='ERROR',
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        experiment_name=f'{work_dir.name}_{os.urandom(4).hex()}',
        cfg=Config(dict(answer=42)),
        **kwargs,
    )


@pytest.fixture
def trained(tmp_path):
    """The folder of a training of two epochs."""
    make_runner(tmp_path / 'run').train()
    return tmp_path / 'run'


def test_evil_file_executes_nothing(evil, marker):
    # The file does execute where nothing keeps it from it.
    torch.load(evil, weights_only=False)
    assert marker.exists()
    marker.unlink()

    with pytest.raises(ValueError, match='refused.* call (posix|os).system'):
        load_checkpoint(evil)
    path, folder = str(evil), evil.parent / 'run'
    pretrained = Toy(init_cfg=dict(type='Pretrained', checkpoint=path))
    for load in (
        lambda: CheckpointLoader.load_checkpoint(path),
        pretrained.init_weights,
        lambda: make_runner(folder, load_from=path).train(),
        lambda: make_runner(folder, load_from=path, resume=True).train(),
    ):
        with pytest.raises(ValueError, match='refused') as error:
            load()
        assert '\n' not in str(error.value)
    assert not marker.exists()


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(
    'call',
    [
        Call(eval, '1'),
        Call(exec, ''),
        Call(functools.partial, print),
        Call(__import__, 'os'),
        Call(getattr, HistoryBuffer, '__init__'),
        Call(getattr, HistoryBuffer, 'register_statistics'),
        Call(getattr, np.ndarray, 'tofile'),
        Call(np.load, 'x.npy'),
        Call(torch.load, 'x.pth'),
        Call(open, 'x'),
    ],
    ids=lambda call: str(call.reduced[0].__name__),
)
def test_attacks_are_refused(tmp_path, reader, zipped, call):
    path = tmp_path / 'attack.pth'
    torch.save(dict(x=call), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(checkpoint.RefusedCheckpointError, match='refused'):
        load_checkpoint(path)


def test_class_is_not_changed(tmp_path, reader):
    """BUILD on a listed class would set its attributes for everyone."""
    path = tmp_path / 'build.pth'
    torch.save(dict(x=HistoryBuffer), path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in files if name.endswith('data.pkl'))
    # Push HistoryBuffer, a state dict, and set the one by the other.
    files[name] = (
        b'\x80\x02cmmengine.logging.history_buffer\nHistoryBuffer\n'
        b'}X\x03\x00\x00\x00minK\x07sb.'
    )
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    before = HistoryBuffer.min
    with pytest.raises(Exception, match='refused|BUILD|setstate|build'):
        load_checkpoint(path)
    assert HistoryBuffer.min is before


def test_nested_file_is_restricted_too(tmp_path, reader, marker):
    """A tensor's storage may be a whole file in the legacy format."""
    nested, call = io.BytesIO(), Call(os.system, f'touch {marker}')
    torch.save(call, nested, _use_new_zipfile_serialization=False)
    path = tmp_path / 'nested.pth'
    call = Call(torch.storage._load_from_bytes, nested.getvalue())
    torch.save(dict(x=call), path)
    with pytest.raises(UserError, match='refused'):
        load_checkpoint(path)
    assert not marker.exists()


def test_torchscript_and_tar_are_refused(tmp_path, reader):
    script = tmp_path / 'script.pth'
    torch.jit.save(torch.jit.script(nn.Linear(1, 1)), str(script))
    with pytest.raises(UserError, match='script.pth: TorchScript'):
        load_checkpoint(script)
    archive = tmp_path / 'archive.pth'
    with tarfile.open(archive, 'w') as file:
        file.add(script, 'pickle')
    with pytest.raises(UserError, match='archive.pth: a tar file'):
        load_checkpoint(archive)


@pytest.mark.parametrize('zipped', [True, False])
def test_training_state_survives(tmp_path, zipped, reader):
    buffer = HistoryBuffer()
    buffer.update(3.0)
    buffer.update(5.0, 2)
    model = Toy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2), 'loss')['loss'].backward()
    optimizer.step()
    path = tmp_path / 'state.pth'
    array = np.arange(6).reshape(2, 3)
    arrays = [array.astype(code) for code in '?bBhHiIlLqQefdSU']
    state = dict(
        state_dict=model.state_dict(),
        optimizer=optimizer.state_dict(),
        buffer=buffer,
        arrays=arrays,
        scalars=[np.float64(0.5), np.int64(7), np.bool_(True)],
    )
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    loaded = load_checkpoint(path)
    assert loaded['buffer'].mean() == buffer.mean()
    assert loaded['buffer'].statistics('max') == 5
    for got, expected in zip(loaded['arrays'], arrays):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert loaded['scalars'] == [0.5, 7, True]
    torch.testing.assert_close(loaded['state_dict'], model.state_dict())
    torch.testing.assert_close(loaded['optimizer'], optimizer.state_dict())


@pytest.mark.parametrize(
    'content',
    [b'', b'not a checkpoint\n', b'{"a": 1}', b'\x80\x02.', bytes(range(256))],
)
def test_file_that_is_no_checkpoint(tmp_path, content, reader):
    path = tmp_path / 'file.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='file.pth: not a PyTorch') as error:
        load_checkpoint(path)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('part', [0.01, 0.1, 0.5, 0.99])
def test_cut_off_file(tmp_path, zipped, part, reader):
    path = tmp_path / 'cut.pth'
    state = dict(Toy().state_dict(), more=torch.rand(1000))
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: max(40, int(part * len(content)))])
    with pytest.raises(UserError, match='damaged'):
        load_checkpoint(path)


def test_other_errors_are_shown_as_they_are(trained, monkeypatch):
    """A good file is not called damaged when PyTorch fails to read it."""
    fail = mock.Mock(side_effect=RuntimeError('no CUDA GPUs are available'))
    monkeypatch.setattr(checkpoint, '_load_weights_only', fail)
    monkeypatch.setattr(checkpoint, '_load_restricted', fail)
    with pytest.raises(RuntimeError) as error:
        load_checkpoint(trained / 'epoch_2.pth')
    assert error.value is fail.side_effect


def test_missing_file_and_file_without_weights(tmp_path):
    with pytest.raises(UserError, match='none.pth: no such'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'none.pth'))
    with pytest.raises(UserError, match='a.pth: not a local file'):
        load_checkpoint('https://example.org/a.pth', trust=True)
    torch.save([1, 2], tmp_path / 'list.pth')
    with pytest.raises(UserError, match='a list, not a checkpoint'):
        load_checkpoint(tmp_path / 'list.pth')


def test_resume_is_exact(trained, tmp_path):
    resumed = make_runner(
        tmp_path / 'resumed',
        load_from=str(trained / 'epoch_1.pth'),
        resume=True,
    )
    resumed.train()
    expected = load_checkpoint(trained / 'epoch_2.pth')
    got = load_checkpoint(tmp_path / 'resumed' / 'epoch_2.pth')
    assert got['param_schedulers'] == expected['param_schedulers']
    for key in ('state_dict', 'optimizer'):
        torch.testing.assert_close(got[key], expected[key], rtol=0, atol=0)
    hubs = [c['message_hub']['log_scalars'] for c in (got, expected)]
    np.testing.assert_array_equal(*(hub['train/loss'].data for hub in hubs))


def test_config_text_is_not_executed(trained, marker):
    path = trained / 'epoch_1.pth'
    text = f'x = open("{marker}", "w").close()'
    # As text of a config it is executed.
    Config.fromstring(text, '.py')
    assert marker.exists()
    marker.unlink()

    crafted = load_checkpoint(path)
    crafted['meta'].update(config=text, cfg=text)
    crafted['message_hub']['runtime_info']['cfg'] = text
    torch.save(crafted, path)
    runner = make_runner(trained / 'again', load_from=str(path), resume=True)
    runner.train()
    assert not marker.exists()
    # The run goes on under its own config.
    assert runner.message_hub.get_info('cfg') == runner.cfg.pretty_text


def test_url(trained, evil, marker, tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'home'))
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(tmp_path)
    )
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f'http://127.0.0.1:{server.server_port}'
        with pytest.raises(ValueError, match='refused'):
            CheckpointLoader.load_checkpoint(f'{root}/evil.pth')
        url = f'{root}/run/epoch_1.pth'
        got = CheckpointLoader.load_checkpoint(url, 'cpu')
        server.shutdown()
    assert not marker.exists()
    expected = load_checkpoint(trained / 'epoch_1.pth')
    torch.testing.assert_close(got['state_dict'], expected['state_dict'])
    # The second time no server is needed.
    assert CheckpointLoader.load_checkpoint(url)['meta']['epoch'] == 1


def test_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    with pytest.raises(UserError) as error:
        CheckpointLoader.load_checkpoint('http://127.0.0.1:9/some.pth')
    assert str(error.value).startswith(
        'http://127.0.0.1:9/some.pth: cannot be downloaded to '
        f'{tmp_path}/hub/checkpoints/some.pth ('
    )
    assert 'model.backbone.init_cfg=None' in str(error.value)


@pytest.mark.parametrize(
    'name', ['open-mmlab://detectron2/resnet50_caffe', 'torchvision://x']
)
def test_named_models_are_loaded_safely(evil, marker, monkeypatch, name):
    def url_of(*args):
        return {name.split('://')[1]: 'http://127.0.0.1:9/evil.pth'}

    monkeypatch.setattr(checkpoint.zoo, 'get_torchvision_models', url_of)
    monkeypatch.setattr(checkpoint.zoo, 'get_external_models', url_of)
    monkeypatch.setenv('TORCH_HOME', str(evil.parent))
    there = evil.parent / 'hub/checkpoints'
    there.mkdir(parents=True)
    evil.rename(there / 'evil.pth')
    with pytest.raises(UserError, match='refused'):
        CheckpointLoader.load_checkpoint(name)
    assert not marker.exists()


class Stop(Hook):
    """Ends a run once its checkpoint is loaded."""

    def before_train_epoch(self, runner):
        raise InterruptedError


def test_wrong_checkpoint_stops(trained, tmp_path):
    path = trained / 'epoch_1.pth'

    def load(checkpoint, width=3):
        torch.save(checkpoint, path)
        make_runner(
            tmp_path / 'test',
            width,
            load_from=str(path),
            custom_hooks=[CheckpointMatchHook(), Stop()],
        ).train()

    right = load_checkpoint(path)
    weights = right['state_dict']
    for good in (
        right,
        weights,
        {f'module.{k}': v for k, v in weights.items()},
        dict(weights, unused=torch.ones(1)),
    ):
        with pytest.raises(InterruptedError):
            load(good)
    with pytest.raises(ValueError, match=r'epoch_1.pth: made by .* 2 weight'):
        load(right, width=4)
    with pytest.raises(ValueError, match=r' 1 weight\(s\) .* linear.bias'):
        load({'linear.weight': weights['linear.weight']})


def test_new_weights_may_be_missing(trained, tmp_path, capfd):
    path = trained / 'epoch_1.pth'
    right = load_checkpoint(path)
    weights = right['state_dict']
    runners = []

    def load(new='linear.bias', width=3, resume=False, drop='', **more):
        state = {k: v for k, v in {**weights, **more}.items() if k != drop}
        torch.save(dict(right, state_dict=state), path)
        runners.append(
            make_runner(
                tmp_path / 'finetuned',
                width,
                load_from=str(path),
                resume=resume,
                custom_hooks=[CheckpointMatchHook(new_weights=[new]), Stop()],
            )
        )
        runners[-1].train()

    for arguments in (dict(), dict(resume=True), dict(drop='linear.bias')):
        with pytest.raises(InterruptedError):
            load(**arguments)
    # Only what is missing keeps its first values, and mmengine is content.
    model = runners[-1].model
    assert torch.equal(model.linear.weight, weights['linear.weight'])
    assert not torch.equal(model.linear.bias, weights['linear.bias'])
    assert 'missing keys' not in capfd.readouterr().out

    one = torch.ones(1)
    for name, arguments in (
        ('linear.bias', dict(new='linear.weight', drop='linear.bias')),
        ('linear.weight', dict(width=4)),
        # Another shape is not missing.
        ('linear.bias', {'linear.bias': one}),
        ('unused', dict(unused=one)),
        ('linear.bias', dict(resume=True, drop='linear.bias')),
        ('unused', dict(resume=True, unused=one)),
    ):
        with pytest.raises(ValueError, match=f'such as {name};') as error:
            load(**arguments)
        assert '\n' not in str(error.value)
