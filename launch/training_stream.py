"""Training and evaluation on images that are read as a stream, because they do not fit into memory (ImageNet)."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from common.datasets import streams
from common.training import loop
from common.training import state as states
from common.training import stream as stream_lib
from launch import training_run

_STEPS_PER_CHUNK = 8  # 512 images of 224 pixels, 8 times, are 600 MB


def config(name: str, *, image_size: int = 0) -> streams.Config:
    """Returns what becomes of images.

    Args:
      name: a key of `streams.PRESETS`.
      image_size: their side; 0: as there.

    Raises:
      ValueError: the name is unknown, or the size makes no sense.
    """
    if name not in streams.PRESETS:
        raise ValueError(f"unknown --stream={name}; choose one of {', '.join(streams.PRESETS)}")
    found = streams.PRESETS[name]
    if not image_size:
        return found
    resized = round(image_size * found.resized / found.image_size)
    return dataclasses.replace(found, image_size=image_size, resized=resized)


def train(
    run: training_run.Run,
    state: states.State,
    keys: states.Keys,
    *,
    most: int,
    sharding: jax.sharding.Sharding | None = None,
) -> Iterator[tuple[states.State, loop.Chunk]]:
    """Trains as `loop.train` does, from the step of `state` to the last. The stream goes on just there.

    Batches are whole, also where one epoch ends and the next one starts.

    Args:
      run: what is trained; its `stream` is read.
      state: where to go on; used up.
      keys: of the run.
      most: the longest chunk, in steps; 0: few enough for memory.
      sharding: of the batches over several devices.
    """
    if jax.process_count() > 1:
        raise ValueError("a stream is read by one host; train on one, with all of its devices")
    source, changes = run.stream
    batches = streams.train_batches(source.train, changes, batch_size=run.config.batch_size, seed=run.about["seed"])
    iterator, done = iter(batches), int(state.step)
    iterator.set_state(iterator.get_state() | {"next_index": done})
    pairs = ((batch["images"], batch["labels"]) for batch in iterator)
    while done < run.num_steps:  # an epoch, so that chunks end where epochs do
        length = run.steps_per_epoch - done % run.steps_per_epoch
        epoch = itertools.islice(pairs, length)
        for last, chunk in stream_lib.train(
            run.steps, state, keys, epoch, most=most or _STEPS_PER_CHUNK, sharding=sharding
        ):
            state = last
            yield last, chunk
        done += length


def evaluator(run: training_run.Run, *, batch_size: int) -> Callable[[Any], dict[str, float]]:
    """Returns variables -> {"loss", "top1", "top5"}, means over the test images."""
    source, changes = run.stream

    def evaluate(variables):
        totals = None
        for batch in streams.evaluation_batches(source.test, changes, batch_size=batch_size):
            num = len(batch["labels"])
            rows = np.minimum(np.arange(batch_size), num - 1)  # the last batch is filled up
            mask = np.arange(batch_size) < num
            counts = _counts(run.steps, variables, batch["images"][rows], batch["labels"][rows], mask)
            totals = counts if totals is None else jax.tree.map(np.add, totals, counts)
        return {name: float(totals[name]) / int(totals.num) for name in ("loss", "top1", "top5")}

    return evaluate


@functools.partial(jax.jit, static_argnames="steps")
def _counts(steps, variables, images, labels, mask):
    return steps.evaluate(variables, images, labels, mask)
