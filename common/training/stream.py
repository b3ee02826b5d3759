"""Training on images that stream from the host, because they do not fit on the device.

The same steps in the same order as `loop.train` takes them, and chunks of them are one compiled loop likewise.
"""

import functools
import itertools
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from common.training import config as configs
from common.training import loop
from common.training import state as states
from common.training import step as step_lib


def train(
    steps: step_lib.Steps,
    state: states.State,
    keys: states.Keys,
    batches: Iterator[tuple[np.ndarray, np.ndarray]],
    *,
    most: int,
    sharding: jax.sharding.Sharding | None = None,
) -> Iterator[tuple[states.State, loop.Chunk]]:
    """Trains on batches that the host makes, for images that do not fit on the device.

    While the device computes a chunk, the host prepares the next one.

    Args:
      steps: see `step.steps`.
      state: where to go on; used up, as by `loop.train`.
      keys: see `state.keys`.
      batches: (images uint8[B, H, W, C], labels int32[B]), the first one that of step `state.step`; training ends
        with them. See `host_batches`.
      most: steps of a chunk.
      sharding: of the batches over several devices.

    Yields:
      (state, `loop.Chunk`).

    Raises:
      DivergedError: the loss is no longer a finite number.
    """
    done = int(state.step)
    start = time.perf_counter()
    chunks = _stacked(batches, most)
    chunk = next(chunks, None)
    while chunk is not None:
        images, labels = chunk
        state, metrics = _train_stacked(steps, state, keys.step, images, labels, sharding=sharding)
        following = next(chunks, None)
        metrics = loop.checked(metrics, done)
        done += len(labels)
        yield state, loop.Chunk(done, len(labels), labels.size, metrics, time.perf_counter() - start)
        start, chunk = time.perf_counter(), following


def host_batches(
    images: Any, labels: np.ndarray, keys: states.Keys, config: configs.Config, *, start: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the batches from step `start` to the last epoch's end, the same ones in the same order as `loop.train`.

    Args:
      images: uint8[N, H, W, C], anything that can be indexed by int[B] rows, such as a memory-mapped array.
      labels: int32[N].
      keys: see `state.keys`.
      config: of the training run.
      start: steps done.
    """
    per_epoch = configs.steps_per_epoch(config, len(labels))
    for epoch in range(start // per_epoch, config.num_epochs):
        rows = np.asarray(loop.order(keys.order, epoch, len(labels)))
        for at in range(start % per_epoch if epoch == start // per_epoch else 0, per_epoch):
            batch = rows[at * config.batch_size : (at + 1) * config.batch_size]
            yield images[batch], labels[batch]


@functools.partial(jax.jit, static_argnames=("steps", "sharding"), donate_argnames="state")
def _train_stacked(steps, state, key, images, labels, *, sharding):
    def step(state, batch):
        return steps.train(key, state, *loop.constrained(batch, sharding))

    return jax.lax.scan(step, state, (images, labels))


def _stacked(batches, most):
    """Yields (images, labels) with a leading axis of up to `most` batches of one size."""
    for _, group in itertools.groupby(batches, key=lambda batch: len(batch[1])):
        while chunk := list(itertools.islice(group, most)):
            images, labels = zip(*chunk, strict=True)
            yield np.stack(images), np.stack(labels)
