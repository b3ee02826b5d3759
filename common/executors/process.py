"""Executor with worker processes on this machine, by default one per device.

Workers are spawned, so a program that uses them needs `if __name__ == "__main__":`. Each builds the evaluator from its
recipe, sees one GPU only, and allocates memory there on demand. Workers end with the process that started them, also
if it is killed.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax

from common import types
from common.executors import config as config_lib
from common.executors import measuring, pool

_SECONDS_TO_END = 5.0
_CACHE = (
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


class _Handle(NamedTuple):
    process: multiprocessing.process.BaseProcess
    connection: multiprocessing.connection.Connection


@contextlib.contextmanager
def executor(evaluator: types.Evaluator, config: config_lib.Config) -> Iterator[types.Executor]:
    """Yields the executor.

    Raises:
      ValueError: the evaluator has no recipe; later, from `collect`: a worker cannot build the evaluator.
    """
    recipe = measuring.recipe_of(evaluator)
    devices = jax.local_devices()
    num_workers = config.num_workers or len(devices)
    context = multiprocessing.get_context("spawn")

    def start(slot):
        mine, its = context.Pipe()
        with its, _environment(environment(slot, num_workers=num_workers, devices=devices)):
            process = context.Process(target=_serve, args=(its, recipe), name=f"worker-{slot}")
            process.start()
        return _Handle(process, mine)

    backend = pool.Backend(start=start, send=_send, wait=_wait, stop=_stop)
    with pool.executor(backend, config, num_workers=num_workers) as made:
        yield made


def environment(slot: int, *, num_workers: int, devices: list[jax.Device]) -> dict[str, str]:
    """Returns the environment variables of a worker: its GPU, its share of memory, the cache of compiled programs."""
    values = {name.upper(): str(getattr(jax.config, name)) for name in _CACHE if getattr(jax.config, name) is not None}
    if devices[0].platform != "gpu":
        return values
    at = slot % len(devices)
    is_rocm = "rocm" in devices[0].client.platform_version.lower()
    name = "ROCR_VISIBLE_DEVICES" if is_rocm else "CUDA_VISIBLE_DEVICES"
    visible = os.environ.get(name)
    gpu = visible.split(",")[at].strip() if visible else str(devices[at].local_hardware_id)
    return {**values, name: gpu, **measuring.gpu_memory(-(-num_workers // len(devices)))}


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for the processes started in the context."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _send(handle, candidate):
    with contextlib.suppress(OSError):  # `_wait` reports the loss
        handle.connection.send(candidate)


def _wait(handles, seconds):
    by_connection = {handle.connection: handle for handle in handles}
    events = []
    for connection in multiprocessing.connection.wait(list(by_connection), seconds):
        handle = by_connection[connection]
        try:
            events.append((handle, connection.recv()))
        except (EOFError, OSError):
            events.append((handle, pool.Lost(_why(handle.process))))
    return events


def _why(process):
    """Returns why a process ended, as text."""
    process.join(_SECONDS_TO_END)
    code = process.exitcode
    if code is None or code >= 0:
        return f"the worker ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    advice = " (the system does that when memory runs out)" if name == "SIGKILL" else ""
    return f"the worker was ended by {name}{advice}"


def _stop(handle, is_idle):
    handle.connection.close()
    if is_idle:
        handle.process.join(_SECONDS_TO_END)
    handle.process.kill()
    handle.process.join()
    handle.process.close()


def _serve(connection, recipe):
    """Worker loop: builds the evaluator, then evaluates candidates until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the search is interrupted, and stops its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        evaluator = measuring.make(recipe)
        measure = measuring.measurer(evaluator)
    except Exception as error:
        connection.send(pool.Broken(measuring.one_line(error)))
        return
    connection.send(pool.Ready())
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(measure(connection.recv()))


def _end_with_parent():
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)
