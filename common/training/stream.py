"""Training and evaluation on images that stream from the host, because they do not fit on the device.

Chunks of steps are one compiled loop, as in `loop.train`.
"""

import functools
import itertools
import time
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from common.training import loop, losses, memory
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
    teacher: losses.Teacher | None = None,
) -> Iterator[tuple[states.State, loop.Chunk]]:
    """Trains on batches that the host makes: the next chunk while the device computes one. See `loop.train`.

    Args:
      batches: (images uint8[B, H, W, C], labels int32[B]), the first one that of step `state.step`; training ends
        with the last. Of several hosts each has its share of them.
      most: maximum number of steps of a chunk.

    Raises:
      DivergedError: as in `loop.train`.
      memory.OutOfMemoryError: likewise.
    """
    done = int(state.step)
    start = time.perf_counter()
    chunks = _stacked(batches, most)
    chunk, is_checked = next(chunks, None), False
    while chunk is not None:
        labels = chunk[1]
        arguments = steps, state, keys.step, *_of_all_hosts(chunk, sharding), teacher
        size = labels.shape[1] * jax.process_count()
        with memory.explained(batch_size=size):
            if not is_checked:  # compiled once: the call takes the program from JAX's cache
                program = _train_stacked.lower(*arguments, sharding=sharding).compile()
                memory.check(program, state.params, batch_size=size, batches=sharding)
                is_checked = True
            state, metrics = _train_stacked(*arguments, sharding=sharding)
        following = next(chunks, None)
        with memory.explained(batch_size=size):
            metrics = loop.checked(metrics, done)
        done += len(labels)
        num_images = labels.size * jax.process_count()
        yield state, loop.Chunk(done, len(labels), num_images, metrics, time.perf_counter() - start)
        start, chunk = time.perf_counter(), following


def evaluate(
    steps: step_lib.Steps, variables: Any, batches: Iterable[tuple[np.ndarray, np.ndarray]], *, batch_size: int
) -> dict[str, float]:
    """Returns {"loss", "top1", "top5"}, means over the images of all batches.

    A batch of fewer than `batch_size` images is padded, so that one program is compiled.
    """
    totals = None
    for images, labels in batches:
        rows = np.minimum(np.arange(batch_size), len(labels) - 1)
        counts = _evaluate(steps, variables, images[rows], labels[rows], np.arange(batch_size) < len(labels))
        totals = counts if totals is None else jax.tree.map(np.add, totals, counts)
    return {name: float(totals[name]) / int(totals.num) for name in ("loss", "top1", "top5")}


@functools.partial(jax.jit, static_argnames="steps")
def _evaluate(steps, variables, images, labels, mask):
    return steps.evaluate(variables, images, labels, mask)


@functools.partial(jax.jit, static_argnames=("steps", "sharding"), donate_argnames="state")
def _train_stacked(steps, state, key, images, labels, teacher, *, sharding):
    def step(state, batch):
        return steps.train(key, state, *loop.constrained(batch, sharding), **taught)

    taught = {} if teacher is None else {"teacher": teacher}
    return jax.lax.scan(step, state, (images, labels))


def _of_all_hosts(chunk, sharding):
    """Returns the arrays of a chunk, of which each host has a part along the second axis."""
    if jax.process_count() == 1:
        return chunk
    split = jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec(None, *sharding.spec))
    return [jax.make_array_from_process_local_data(split, part) for part in chunk]


def _stacked(batches, most):
    """Yields (images, labels) with a leading axis of up to `most` batches of one size."""
    for _, group in itertools.groupby(batches, key=lambda batch: len(batch[1])):
        while chunk := list(itertools.islice(group, most)):
            images, labels = zip(*chunk, strict=True)
            yield np.stack(images), np.stack(labels)
