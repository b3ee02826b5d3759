"""Many steps as one compiled loop, over images that lie on the device or that stream from the host.

An epoch goes through the images in an order that follows from (key, epoch). It is run in chunks: a chunk is
one compiled `lax.scan`, after which the host looks at the metrics. A state is all that is needed to go on from
any step, in mid-epoch too, as if nothing had happened.
"""

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common.training import config as configs
from common.training import state as states
from common.training import step as step_lib


@chex.dataclass(frozen=True)
class Data:
    """Labelled images.

    Attributes:
      images: uint8[N, H, W, C].
      labels: int32[N].
    """

    images: chex.Array
    labels: chex.Array


class Chunk(NamedTuple):
    """What a chunk of steps came to.

    Attributes:
      step: steps done since the start of training.
      num_steps: steps of this chunk.
      num_images: images of this chunk.
      metrics: `step.Metrics` of NumPy float32[num_steps].
      seconds: it took, on the wall clock.
    """

    step: int
    num_steps: int
    num_images: int
    metrics: step_lib.Metrics
    seconds: float


class DivergedError(ValueError):
    """The loss or its gradient is not a finite number.

    Attributes:
      last_good_step: the last step, counted from 1, whose loss and gradient were finite; 0: there was none.
    """

    def __init__(self, last_good_step: int):
        super().__init__(
            f"training diverged: step {last_good_step} was the last whose loss and gradient were finite numbers; "
            "try a smaller learning_rate, a smaller clip_norm or a warm-up (warmup_epochs)"
        )
        self.last_good_step = last_good_step


def order(key: chex.PRNGKey, epoch: chex.Array | int, num_images: int) -> chex.Array:
    """Returns int32[N], the order of the images in an epoch."""
    return jax.random.permutation(jax.random.fold_in(key, epoch), num_images)


def plan(config: configs.Config, num_images: int, *, start: int, stop: int, most: int) -> Iterator[tuple[int, int]]:
    """Yields the (length, batch size) of the chunks from step `start` to step `stop`.

    No chunk reaches over the end of an epoch. Lengths are as equal as can be, so that few programs are compiled.

    Args:
      config: of the training run.
      num_images: of the training set.
      start: steps done.
      stop: steps to have done.
      most: the longest chunk; 0: an epoch.
    """
    per_epoch = configs.steps_per_epoch(config, num_images)
    whole = num_images // config.batch_size
    length = _length(whole, most)
    while start < stop:
        at = start % per_epoch
        if at >= whole:  # the smaller batch at the end of an epoch
            chunk, size = 1, num_images - whole * config.batch_size
        else:
            chunk, size = min(length - at % length, whole - at, stop - start), config.batch_size
        yield chunk, size
        start += chunk


def train(
    steps: step_lib.Steps,
    state: states.State,
    keys: states.Keys,
    data: Data,
    config: configs.Config,
    *,
    stop: int | None = None,
    most: int = 0,
    sharding: jax.sharding.Sharding | None = None,
) -> Iterator[tuple[states.State, Chunk]]:
    """Trains from the step of `state`, and yields after every chunk.

    Args:
      steps: see `step.steps`.
      state: where to go on. It is used up, and so is each state yielded once the next one is asked for.
      keys: see `state.keys`.
      data: the training set, on the device.
      config: of the training run.
      stop: steps to have done at the end; by default, those of all epochs.
      most: the longest chunk, in steps; 0: an epoch.
      sharding: of the batches over several devices, see `sharding.py`.

    Yields:
      (state, `Chunk`).

    Raises:
      DivergedError: the loss is no longer a finite number.
    """
    num_images = len(data.labels)
    per_epoch = configs.steps_per_epoch(config, num_images)
    stop = config.num_epochs * per_epoch if stop is None else stop
    done = int(state.step)
    for length, size in plan(config, num_images, start=done, stop=stop, most=most):
        start = time.perf_counter()
        state, metrics = train_chunk(steps, state, keys, data, config, length=length, size=size, sharding=sharding)
        metrics = _checked(metrics, done)
        done += length
        yield state, Chunk(done, length, length * size, metrics, time.perf_counter() - start)


@functools.partial(jax.jit, static_argnames=("steps", "config", "length", "size", "sharding"), donate_argnames="state")
def train_chunk(
    steps: step_lib.Steps,
    state: states.State,
    keys: states.Keys,
    data: Data,
    config: configs.Config,
    *,
    length: int,
    size: int,
    sharding: jax.sharding.Sharding | None = None,
) -> tuple[states.State, step_lib.Metrics]:
    """Returns (state, metrics of float32[length]) after `length` steps, which must lie within an epoch.

    Args:
      steps: see `step.steps`.
      state: where to go on; used up.
      keys: see `state.keys`.
      data: the training set, on the device.
      config: of the training run.
      length: how many steps.
      size: images a step: config.batch_size, or less for the smaller batch at the end of an epoch.
      sharding: of the batches over several devices.
    """
    num_images = data.labels.shape[0]
    per_epoch = configs.steps_per_epoch(config, num_images)
    rows = order(keys.order, state.step // per_epoch, num_images)

    def step(state, _):
        batch = jax.lax.dynamic_slice_in_dim(rows, state.step % per_epoch * config.batch_size, size)
        images, labels = _constrained((data.images[batch], data.labels[batch]), sharding)
        return steps.train(keys.step, state, images, labels)

    return jax.lax.scan(step, state, length=length)


def train_stream(
    steps: step_lib.Steps,
    state: states.State,
    keys: states.Keys,
    batches: Iterator[tuple[np.ndarray, np.ndarray]],
    *,
    most: int,
    sharding: jax.sharding.Sharding | None = None,
) -> Iterator[tuple[states.State, Chunk]]:
    """Trains on batches that the host makes, for images that do not fit on the device.

    While the device computes a chunk, the host prepares the next one.

    Args:
      steps: see `step.steps`.
      state: where to go on; used up, as by `train`.
      keys: see `state.keys`.
      batches: (images uint8[B, H, W, C], labels int32[B]), the first one that of step `state.step`; training ends
        with them. See `host_batches`.
      most: steps of a chunk.
      sharding: of the batches over several devices.

    Yields:
      (state, `Chunk`).

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
        metrics = _checked(metrics, done)
        done += len(labels)
        yield state, Chunk(done, len(labels), labels.size, metrics, time.perf_counter() - start)
        start, chunk = time.perf_counter(), following


def host_batches(
    images: Any, labels: np.ndarray, keys: states.Keys, config: configs.Config, *, start: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the batches from step `start` to the last epoch's end, the same ones in the same order as `train`.

    Args:
      images: uint8[N, H, W, C], anything that can be indexed by int[B] rows, such as a memory-mapped array.
      labels: int32[N].
      keys: see `state.keys`.
      config: of the training run.
      start: steps done.
    """
    per_epoch = configs.steps_per_epoch(config, len(labels))
    for epoch in range(start // per_epoch, config.num_epochs):
        rows = np.asarray(order(keys.order, epoch, len(labels)))
        for at in range(start % per_epoch if epoch == start // per_epoch else 0, per_epoch):
            batch = rows[at * config.batch_size : (at + 1) * config.batch_size]
            yield images[batch], labels[batch]


def evaluator(
    steps: step_lib.Steps, *, batch_size: int, sharding: jax.sharding.Sharding | None = None
) -> Callable[[Any, Data], dict[str, float]]:
    """Returns (variables, data) -> {"loss", "top1", "top5"}, means over all images of `data`.

    The last batch is filled up with images that a mask leaves out.
    """

    def evaluate(variables, data):
        if not len(data.labels):
            raise ValueError("there are no images to evaluate on")
        counts = jax.device_get(_evaluate(steps, variables, data, batch_size=batch_size, sharding=sharding))
        return {name: float(counts[name]) / int(counts.num) for name in ("loss", "top1", "top5")}

    return evaluate


@functools.partial(jax.jit, static_argnames=("steps", "sharding"), donate_argnames="state")
def _train_stacked(steps, state, key, images, labels, *, sharding):
    def step(state, batch):
        return steps.train(key, state, *_constrained(batch, sharding))

    return jax.lax.scan(step, state, (images, labels))


@functools.partial(jax.jit, static_argnames=("steps", "batch_size", "sharding"))
def _evaluate(steps, variables, data, *, batch_size, sharding):
    num = data.labels.shape[0]
    rows = jnp.arange(-(-num // batch_size) * batch_size).reshape(-1, batch_size)

    def step(counts, batch):
        mask = batch < num
        batch = jnp.minimum(batch, num - 1)
        images, labels, mask = _constrained((data.images[batch], data.labels[batch], mask), sharding)
        return jax.tree.map(jnp.add, counts, steps.evaluate(variables, images, labels, mask)), None

    zero = jnp.int32(0)
    counts = step_lib.Counts(loss=jnp.float32(0.0), top1=zero, top5=zero, num=zero)
    return jax.lax.scan(step, counts, rows)[0]


def _length(whole: int, most: int) -> int:
    """Returns the length of chunks: a divisor of an epoch's steps, unless all of them are much below `most`."""
    if not 0 < most < whole:
        return max(whole, 1)
    divisor = next(length for length in range(most, 0, -1) if whole % length == 0)
    return divisor if 2 * divisor > most else most


def _constrained(batch, sharding):
    return batch if sharding is None else jax.lax.with_sharding_constraint(batch, sharding)


def _stacked(batches, most):
    """Yields (images, labels) with a leading axis of up to `most` batches of one size."""
    for _, group in itertools.groupby(batches, key=lambda batch: len(batch[1])):
        while chunk := list(itertools.islice(group, most)):
            images, labels = zip(*chunk, strict=True)
            yield np.stack(images), np.stack(labels)


def _checked(metrics, done):
    """Returns the metrics on the host; raises a `DivergedError` if one is not finite."""
    metrics = jax.device_get(metrics)
    for at, values in enumerate(zip(metrics.loss, metrics.grad_norm, strict=True)):
        if not all(map(math.isfinite, values)):
            raise DivergedError(done + at)
    return metrics
