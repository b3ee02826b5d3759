"""Executor with the actors of a Ray cluster, by default one per GPU, or per CPU if there are no GPUs.

More workers than GPUs share them evenly.

It uses Ray Core (not Tune). Every node needs this package and the evaluator's data at the same paths. A lost actor,
alone or with its node, is replaced wherever there is room, and its candidate is retried.
"""

import contextlib
import math
import os
import socket
import time
import warnings
from collections.abc import Iterator

from common import types
from common.executors import config as config_lib
from common.executors import measuring, pool

_SECONDS_BETWEEN_CHECKS = 5.0
_MAX_FAILED_CHECKS = 3


@contextlib.contextmanager
def executor(evaluator: types.Evaluator, config: config_lib.Config) -> Iterator[types.Executor]:
    """Yields the executor. A cluster that was running, or that the caller is connected to, is left running.

    Raises:
      ValueError: Ray is not installed, there is no cluster, or the evaluator has no recipe; later, from `collect`: a
        worker cannot build the evaluator.
    """
    recipe = measuring.recipe_of(evaluator)
    with _connected(config.ray_address) as ray:
        head = _Head(ray.get_runtime_context().gcs_address)
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        num_workers = config.num_workers or gpus or max(1, int(resources.get("CPU", 1)))
        num_sharing, share = shares(num_workers, gpus)
        remote = ray.remote(_Measurer).options(num_cpus=1, num_gpus=share, max_restarts=0)

        def start(slot):
            del slot
            return _Actor(remote.remote(recipe, num_sharing))

        backend = pool.Backend(
            start=start,
            send=lambda actor, candidate: actor.send(candidate),
            wait=lambda actors, seconds: _wait(ray, head, actors, seconds),
            stop=lambda actor, is_idle: None if head.is_gone else ray.kill(actor.handle),
        )
        with pool.executor(backend, config, num_workers=num_workers) as made:
            yield made


def shares(num_workers: int, num_gpus: int) -> tuple[int, float]:
    """Returns how many workers share a GPU, and the part of a GPU that Ray gives each, to its precision of 1e-4."""
    if not num_gpus:
        return 1, 0.0
    num_sharing = -(-num_workers // num_gpus)
    return num_sharing, 10_000 // num_sharing / 10_000


@contextlib.contextmanager
def _connected(address):
    """Yields the module `ray`, connected to a cluster."""
    try:
        import ray
    except ImportError as error:
        raise ValueError("executor ray needs Ray: pip install 'nao-lanas-jax[ray]'") from error
    if ray.is_initialized():
        yield ray
        return
    try:
        more = {"include_dashboard": False} if address == "local" else {}
        with warnings.catch_warnings():
            # Ray forks to start its own programs, which do not use JAX before exec.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            ray.init(address=address, log_to_driver=False, logging_level="error", **more)
    except (ConnectionError, ValueError, OSError) as error:
        raise ValueError(
            f"no Ray cluster at ray_address={address} ({measuring.one_line(error)}); start one with `ray start "
            "--head`, or choose ray_address=local"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


class _Actor:
    """An actor and its pending answer: first whether it is ready, then one per candidate."""

    def __init__(self, handle):
        self.handle = handle
        self.answer = handle.start.remote()

    def send(self, candidate):
        self.answer = self.handle.measure.remote(candidate)


class _Head:
    """The head of a cluster. A driver that has lost it is ended by Ray after a minute, without an exception."""

    def __init__(self, address):
        self._address, self._num_failed, self.is_gone = address, 0, False

    def check(self):
        """Raises a `ValueError` if the head has not answered several times in a row."""
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_BETWEEN_CHECKS).close()
            self._num_failed = 0
            return
        except OSError:
            self._num_failed += 1
        if self._num_failed >= _MAX_FAILED_CHECKS:
            self.is_gone = True
            raise ValueError(
                f"the Ray cluster at {self._address} is gone: its head does not answer; all results so far are in the "
                "folder of the run: start a cluster (`ray start --head`), and resume with the same --workdir"
            )


def _wait(ray, head, actors, seconds):
    by_answer = {actor.answer: actor for actor in actors if actor.answer is not None}
    ends = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        left = max(0.0, min(_SECONDS_BETWEEN_CHECKS, ends - time.monotonic()))
        answered, _ = ray.wait(list(by_answer), num_returns=1, timeout=left)
        if answered or time.monotonic() >= ends:
            break
        head.check()
    # A second call collects all that have answered in the meantime.
    answered, _ = ray.wait(list(by_answer), num_returns=len(by_answer), timeout=0) if answered else ([], [])
    events = []
    for answer in answered:
        actor = by_answer[answer]
        actor.answer = None
        try:
            events.append((actor, ray.get(answer)))
        except ray.exceptions.RayError as error:
            events.append((actor, pool.Lost(measuring.one_line(error).partition(" class_name:")[0])))
    return events


class _Measurer:
    """The actor. Its evaluator is built in `start`, whose failure can be reported."""

    def __init__(self, recipe, num_sharing):
        for name, value in measuring.gpu_memory(num_sharing).items():
            os.environ.setdefault(name, value)
        self._recipe = recipe

    def start(self):
        try:
            self._measure = measuring.measurer(measuring.make(self._recipe))
        except Exception as error:
            return pool.Broken(measuring.one_line(error))
        return pool.Ready()

    def measure(self, candidate):
        return self._measure(candidate)
