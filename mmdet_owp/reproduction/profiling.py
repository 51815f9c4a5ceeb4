"""Memory, operations and host waits of a function."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode

from mmdet_owp.errors import UserError
from mmdet_owp.reproduction.timing import synchronize

CPU = ProfilerActivity.CPU
# Operators that make the host wait for a CUDA device: a number taken from a
# tensor, results whose size depends on values (a mask as index is a nonzero),
# and tensors made of Python numbers, which are copied to the device.
WAITS = {
    'aten::_local_scalar_dense': 'item',
    'aten::nonzero': 'nonzero',
    'aten::masked_select': 'masked_select',
    'aten::_unique2': 'unique',
    'aten::lift_fresh': 'copy',
}
ON_VALUES = ('aten::_local_scalar_dense', 'aten::lift_fresh')
# Callers that do so on a CPU only: one_hot checks its input, assigning
# a Python number makes a tensor of it, image sizes and the optimizer's
# counters are on the host.
NOT_ON_CUDA = (
    'aten::one_hot', 'aten::index_put_', 'preprocess', 'Optimizer.step',
)  # fmt: skip


def peak_memory(function: Callable, device: str = 'cpu') -> float:
    """Return the bytes that a function allocates at once."""
    if device != 'cpu':
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[CPU], profile_memory=True) as trace:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        trace.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding='utf-8'))['traceEvents']
    changes = [
        (e['ts'], e['args']['Bytes'])
        for e in events
        if e.get('name') == '[memory]'
    ]
    # Sorting is stable: events of equal time keep their order.
    changes.sort(key=lambda change: change[0])
    return max(accumulate(size for _, size in changes), default=0)


def count_flops(function: Callable) -> int:
    """Count floating-point operations of convolutions and matrix products.

    A multiplication and an addition count as two.
    """
    try:
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError as error:
        raise UserError(
            f'torch {torch.__version__} cannot count operations; the '
            'benchmark needs 2.1 or newer'
        ) from error
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def count_waits(function: Callable, device: str = 'cpu') -> Counter:
    """Count where the host waits for the device; on a CPU, where it would.

    The function runs once before, to fill caches.
    """
    function()
    if device != 'cpu':
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            torch.cuda.set_sync_debug_mode('warn')
            function()
            torch.cuda.set_sync_debug_mode('default')
        return Counter('wait' for w in caught if 'synchroniz' in str(w))
    with profile(activities=[CPU]) as trace:
        function()

    def on_host(event) -> bool:
        while event is not None and not event.name.startswith(NOT_ON_CUDA):
            event = event.cpu_parent
        return event is not None

    return Counter(
        WAITS[e.name]
        for e in trace.events()
        if e.name in WAITS and not (e.name in ON_VALUES and on_host(e))
    )


class _Operators(TorchDispatchMode):
    """Counts operators below autograd, without views and allocations."""

    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        schema = func._schema
        is_view = any(
            value.alias_info is not None and not value.alias_info.is_write
            for value in schema.returns
        )
        allocates = ('aten::empty', 'aten::new_empty', 'aten::_unsafe_view')
        if not is_view and not schema.name.startswith(allocates):
            self.number += 1
        return func(*args, **(kwargs or {}))


def count_operators(function: Callable) -> int:
    """Count the operators of a forward pass that do work on the device.

    Views and allocations do not count, nor what an operator calls inside. The
    function runs once before, to fill caches.
    """
    function()
    with _Operators() as operators:
        function()
    return operators.number


def write_trace(
    steps: dict[str, Callable[[], Callable]], path: str, device: str
) -> None:
    """Write one trace of prepared functions, for chrome://tracing."""
    activities = [CPU]
    if device != 'cpu':
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as trace:
        for name, prepare in steps.items():
            function = prepare()
            with record_function(f'step: {name}'):
                function()
                synchronize(device)
    trace.export_chrome_trace(path)
