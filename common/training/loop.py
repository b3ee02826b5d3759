"""Training loop: many steps as one compiled scan over images on the device.

The order of the images of an epoch follows from (key, epoch). An epoch runs in chunks: a chunk is one compiled
`lax.scan`, after which the host reads the metrics. Training resumes bit-exactly from the state of any step.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from common.training import config as configs
from common.training import losses, memory
from common.training import state as states
from common.training import step as step_lib

DRAW = 2**31 - 1  # folded into the key of the steps, instead of a step, for the key of the architectures


@chex.dataclass(frozen=True)
class Data:
    """Labelled images."""

    images: chex.Array  # uint8[N, H, W, C]
    labels: chex.Array  # int32[N]


class Chunk(NamedTuple):
    """Metrics of a chunk of steps."""

    step: int  # steps done since the start of training
    num_steps: int  # steps of this chunk
    num_images: int  # images of this chunk
    metrics: step_lib.Metrics  # `step.Metrics` of NumPy float32[num_steps]
    seconds: float  # wall-clock time


class DivergedError(ValueError):
    """The loss or its gradient is not a finite number.

    Attributes:
      last_good_step: the last step, counted from 1, with finite loss and gradient; 0: none.
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

    No chunk crosses the end of an epoch. Lengths are as equal as possible, so that few programs are compiled.

    Args:
      stop: steps done at the end.
      most: maximum length of a chunk; 0: an epoch.
    """
    per_epoch = configs.steps_per_epoch(config, num_images)
    whole = num_images // config.batch_size
    length = _length(whole, most)
    while start < stop:
        at = start % per_epoch
        if at >= whole:  # the smaller last batch of an epoch
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
    draw: jax.tree_util.Partial | None = None,
    teacher: losses.Teacher | None = None,
) -> Iterator[tuple[states.State, Chunk]]:
    """Trains from the step of `state`, and yields after every chunk.

    Args:
      state: to resume from. It is donated, and so is each state yielded when the next one is requested.
      stop: steps done at the end; by default, those of all epochs.
      most: maximum steps of a chunk; 0: an epoch.
      sharding: of the batches over several devices, see `sharding.py`.
      draw: (key, step) -> int32[L], the architecture of a step, for a network that takes one; see
        `common.supernets.sampling`. Its arrays are arguments of the compiled loop: new values do not recompile it.
      teacher: likewise, a network to learn from.

    Yields:
      (state, `Chunk`).

    Raises:
      DivergedError: the loss or its gradient is not finite.
      memory.OutOfMemoryError: a step needs more memory than the device has.
    """
    num_images, done = len(data.labels), int(state.step)
    stop = config.num_epochs * configs.steps_per_epoch(config, num_images) if stop is None else stop
    sizes = set()  # of the batches whose memory is checked
    for length, size in plan(config, num_images, start=done, stop=stop, most=most):
        start = time.perf_counter()
        settings = {"length": length, "size": size, "sharding": sharding}
        arguments = steps, state, keys, data, config, draw, teacher
        with memory.explained(batch_size=size):
            if size not in sizes:  # compiled once: the call takes the program from JAX's cache
                program = _train_chunk.lower(*arguments, **settings).compile()
                memory.check(program, state.params, batch_size=size, batches=sharding)
                sizes.add(size)
            state, metrics = _train_chunk(*arguments, **settings)
            metrics = checked(metrics, done)
        done += length
        yield state, Chunk(done, length, length * size, metrics, time.perf_counter() - start)


@functools.partial(jax.jit, static_argnames=("steps", "config", "length", "size", "sharding"), donate_argnames="state")
def _train_chunk(steps, state, keys, data, config, draw, teacher, *, length, size, sharding):
    """Returns (state, metrics of float32[length]) after `length` steps of `size` images, within an epoch."""
    per_epoch = configs.steps_per_epoch(config, len(data.labels))
    rows = order(keys.order, state.step // per_epoch, len(data.labels))
    taught = {} if teacher is None else {"teacher": teacher}

    def step(state, _):
        batch = jax.lax.dynamic_slice_in_dim(rows, state.step % per_epoch * config.batch_size, size)
        images, labels = constrained((data.images[batch], data.labels[batch]), sharding)
        arch = () if draw is None else (draw(jax.random.fold_in(keys.step, DRAW), state.step),)
        return steps.train(keys.step, state, images, labels, *arch, **taught)

    return jax.lax.scan(step, state, length=length)


def evaluator(
    steps: step_lib.Steps, *, batch_size: int, sharding: jax.sharding.Sharding | None = None
) -> Callable[[Any, Data], dict[str, float]]:
    """Returns (variables, data) -> {"loss", "top1", "top5"}, means over all images of `data`."""

    def evaluate(variables, data):
        if not len(data.labels):
            raise ValueError("there are no images to evaluate on")
        counts = jax.device_get(_evaluate(steps, variables, data, batch_size=batch_size, sharding=sharding))
        return {name: float(counts[name]) / int(counts.num) for name in ("loss", "top1", "top5")}

    return evaluate


@functools.partial(jax.jit, static_argnames=("steps", "batch_size", "sharding"))
def _evaluate(steps, variables, data, *, batch_size, sharding):
    num = data.labels.shape[0]
    rows = jnp.arange(-(-num // batch_size) * batch_size).reshape(-1, batch_size)  # the last batch is padded

    def step(counts, batch):
        mask = batch < num
        batch = jnp.minimum(batch, num - 1)
        images, labels, mask = constrained((data.images[batch], data.labels[batch], mask), sharding)
        return jax.tree.map(jnp.add, counts, steps.evaluate(variables, images, labels, mask)), None

    zero = jnp.int32(0)
    counts = step_lib.Counts(loss=jnp.float32(0.0), top1=zero, top5=zero, num=zero)
    return jax.lax.scan(step, counts, rows)[0]


def _length(whole: int, most: int) -> int:
    """Returns the length of chunks: the largest divisor of an epoch's steps, unless it is below half of `most`."""
    if not 0 < most < whole:
        return max(whole, 1)
    divisor = next(length for length in range(most, 0, -1) if whole % length == 0)
    return divisor if 2 * divisor > most else most


def constrained(batch: Any, sharding: jax.sharding.Sharding | None) -> Any:
    """Returns the arrays of a batch, split over devices if there is a sharding."""
    return batch if sharding is None else jax.lax.with_sharding_constraint(batch, sharding)


def checked(metrics: step_lib.Metrics, done: int) -> step_lib.Metrics:
    """Returns the metrics of the steps after step `done`, on the host.

    Raises:
      DivergedError: one of them is not finite.
    """
    metrics = jax.device_get(metrics)
    for at, values in enumerate(zip(metrics.loss, metrics.grad_norm, strict=True)):
        if not all(map(math.isfinite, values)):
            raise DivergedError(done + at)
    return metrics
