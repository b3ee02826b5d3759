"""Language model training: epochs as compiled loops over text segments, resumable bit-exactly from any step.

Plain SGD until the validation loss stops falling; then parameters are averaged and the average is evaluated
(arXiv:1708.02182). When the loss is not finite, training returns to its best state and takes another path from there,
because its randomness is a function of the step, which never decreases.
"""

import functools
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from common.language import config as configs
from common.language import recurrent, segments
from common.language import step as steps
from common.training import checkpoints as checkpoints_lib
from common.training import memory

SEGMENTS_PER_CALL = 50
NO_ARCH = jax.tree_util.Partial(lambda key: None)  # `sample_arch` of a fixed cell


class Learner(NamedTuple):
    """A language model, its training settings, and the architectures it is trained on.

    Attributes:
      network: a language model.
      config: training settings.
      sample_arch: partial key -> arch int32[22], called at every step, for cells whose architecture is data; else
        key -> None.
    """

    network: recurrent.LanguageModel
    config: configs.Config
    sample_arch: jax.tree_util.Partial


class Keys(NamedTuple):
    """Random keys of a training run: initial parameters, steps, segment lengths, and validation."""

    init: chex.PRNGKey
    step: chex.PRNGKey
    segments: chex.PRNGKey
    valid: chex.PRNGKey


class Epoch(NamedTuple):
    """Metrics of an epoch. Losses are means in nats per word."""

    epoch: int  # epochs done
    train_loss: float  # with dropout
    valid_loss: float  # of the evaluated parameters
    num_words: int  # words read in this epoch
    is_averaging: bool  # whether parameters are averaged from now on
    num_rollbacks: int  # how often training returned to its best state so far
    seconds: float  # of the epoch, including validation; since the last start if the epoch was interrupted
    words_per_second: float  # training words read in this time


class DivergedError(ValueError):
    """Training diverged and the rollback limit is reached."""


def keys(key: chex.PRNGKey) -> Keys:
    """Returns the keys of a run."""
    return Keys(*jax.random.split(key, 4))


def one_arch(arch: chex.Array) -> jax.tree_util.Partial:
    """Returns the `sample_arch` that is always `arch`: an argument of the program, which serves every architecture."""
    return jax.tree_util.Partial(_one_arch, jnp.asarray(arch, jnp.int32))


def create(learner: Learner, keys: Keys) -> steps.State:
    """Returns the initial state."""
    arch = _valid_arch(learner, keys, learner.config.num_epochs)
    return steps.create(keys.init, learner.network, learner.config, arch=arch)


def train(
    learner: Learner,
    state: steps.State,
    keys: Keys,
    data: segments.Text,
    valid: segments.Text,
    *,
    checkpoints: checkpoints_lib.Checkpoints | None = None,
    save_seconds: float = 300.0,
    num_epochs: int | None = None,
) -> Iterator[tuple[steps.State, Epoch]]:
    """Trains from a state to the last epoch.

    Args:
      state: to start from. It is donated, as is each yielded state once the next one is requested.
      checkpoints: written after every epoch and within long ones; they may hold the best state of an earlier start.
      save_seconds: minimum time between two checkpoints within an epoch.
      num_epochs: epoch to stop at; by default `learner.config.num_epochs`.

    Yields:
      (state, metrics) after every epoch.

    Raises:
      DivergedError: the loss was not finite in the first epoch, or in later ones more than max_rollbacks times.
      memory.OutOfMemoryError: a step needs more memory than the device has.
    """
    best = None if checkpoints is None else checkpoints.best(state)
    saved = time.perf_counter()
    num_epochs = learner.config.num_epochs if num_epochs is None else num_epochs
    if int(state.epoch) < num_epochs:
        _check_memory(learner, state, keys, data)
    while int(state.epoch) < num_epochs:
        start, num_before = time.perf_counter(), int(state.num_words)
        for state, is_last in _train_epoch(learner, state, keys, data):  # noqa: B020  the state is carried over
            if checkpoints is not None and not is_last and time.perf_counter() - saved > save_seconds:
                checkpoints.save(state)
                saved = time.perf_counter()
        loss = evaluate(learner, evaluated(state), valid, arch=_valid_arch(learner, keys, int(state.epoch)))
        if not (math.isfinite(loss) and math.isfinite(float(state.loss))):
            state = roll_back(learner.config, state, best)
            continue
        state, epoch = _finish(learner.config, state, loss, time.perf_counter() - start, num_before)
        if best is None or loss < float(best.valid_losses[int(best.epoch) - 1]):
            best = jax.tree.map(jnp.copy, state)  # the next step donates `state`
        if checkpoints is not None:
            checkpoints.save(state, score=-loss)
            saved = time.perf_counter()
        yield state, epoch


def evaluated(state: steps.State) -> Any:
    """Returns the parameters to evaluate: the average if there is one."""
    return state.average if int(state.num_averaged) > 0 else state.params


def evaluate(learner: Learner, params: Any, data: segments.Text, *, arch: chex.Array | None = None) -> float:
    """Returns the mean cross-entropy of a text, in nats per word; `arch` int32[L] is for shared weights."""
    size = segments.sizes(learner.config.chunks)[0]
    return float(steps.evaluate(learner.network, params, data.tokens, data.num_rows, arch, size=size))


def roll_back(config: configs.Config, state: steps.State, best: steps.State | None) -> steps.State:
    """Returns the best state, with the step of `state`, which determines its randomness.

    Args:
      state: with a loss that is not finite.
      best: state with the lowest validation loss; raises a `DivergedError` if it is None or the limit is reached.
    """
    advice = "try a smaller learning_rate or clip_norm"
    if best is None:
        raise DivergedError(f"training diverged in its first epoch, within {int(state.step)} steps; {advice}")
    num = int(state.num_rollbacks) + 1
    if num > config.max_rollbacks:
        raise DivergedError(f"training diverged more than max_rollbacks = {config.max_rollbacks} times; {advice}")
    logging.warning("Loss not finite in epoch %d; returning to epoch %d", state.epoch + 1, best.epoch)
    return jax.tree.map(jnp.copy, best).replace(step=state.step, num_rollbacks=jnp.int32(num))


def _finish(config, state, loss, seconds, num_before):
    """Returns (the state before the next epoch, the metrics of this one), given its validation loss.

    `num_before` words of the epoch were read before these seconds, by an earlier start.
    """
    epoch, num_words = int(state.epoch), int(state.num_words)
    earlier = np.asarray(state.valid_losses)[:epoch]
    is_averaging = bool(state.is_averaging) or steps.starts_averaging(loss, earlier, config.optimizer.patience)
    metrics = Epoch(
        epoch=epoch + 1,
        train_loss=float(state.loss) / num_words,
        valid_loss=loss,
        num_words=num_words,
        is_averaging=is_averaging,
        num_rollbacks=int(state.num_rollbacks),
        seconds=seconds,
        words_per_second=(num_words - num_before) / seconds,
    )
    state = state.replace(
        epoch=jnp.int32(epoch + 1),
        at=jnp.int32(0),
        hidden=jnp.zeros_like(state.hidden),
        is_averaging=jnp.bool_(is_averaging),
        valid_losses=state.valid_losses.at[epoch].set(loss),
        loss=jnp.float32(0.0),
        num_words=jnp.int32(0),
    )
    return state, metrics


def _check_memory(learner, state, keys, data):
    """Raises a `memory.OutOfMemoryError` if the compiled steps need more than the device has."""
    lengths = np.zeros(SEGMENTS_PER_CALL, np.int32)
    size = learner.config.batch_size
    with memory.explained(batch_size=size):  # compiled once: the calls take the program from JAX's cache
        program = _train_segments.lower(*_arguments(learner, state, keys, data), lengths, lengths).compile()
        memory.check(program, state.params, batch_size=size, batches=data.tokens.sharding)


def _arguments(learner, state, keys, data):
    """Returns the arguments of `_train_segments` before the segments."""
    config = learner.config
    return learner.network, config.chunks, config.optimizer, learner.sample_arch, keys.step, state, data.tokens


def _train_epoch(learner, state, keys, data):
    """Trains on the rest of the epoch; yields (state, whether it is the last) after every compiled call."""
    config = learner.config
    cut = segments.cut(keys.segments, int(state.epoch), data.num_rows, config.chunks)
    num = len(cut.starts)
    # Calls start at multiples of their length, so that they are the same wherever training resumes.
    for first in range(int(state.at) // SEGMENTS_PER_CALL * SEGMENTS_PER_CALL, num, SEGMENTS_PER_CALL):
        chosen = slice(max(first, int(state.at)), first + SEGMENTS_PER_CALL)
        missing = SEGMENTS_PER_CALL - len(cut.starts[chosen])
        starts, lengths = (np.pad(values[chosen], (0, missing)) for values in cut)
        with memory.explained(batch_size=config.batch_size):
            state = _train_segments(*_arguments(learner, state, keys, data), starts, lengths)
            jax.block_until_ready(state.step)
        yield state, first + SEGMENTS_PER_CALL >= num


@functools.partial(jax.jit, static_argnames=("network", "chunks", "optimizer"), donate_argnames="state")
def _train_segments(network, chunks, optimizer, sample_arch, key, state, tokens, starts, lengths):
    """Takes a step for each of the segments int32[S]; empty ones are skipped."""
    sizes = segments.sizes(chunks)

    def train(size, state, start, length):
        words = jax.lax.dynamic_slice_in_dim(tokens, start, size + 1)
        dropout_key, arch_key = jax.random.split(jax.random.fold_in(key, state.step))
        arch = sample_arch(arch_key)
        return steps.train(network, optimizer, dropout_key, state, words, length, arch, bptt=chunks.bptt)

    branches = [lambda state, *_: state, *(functools.partial(train, size) for size in sizes)]

    def step(state, segment):
        start, length = segment
        which = jnp.where(length == 0, 0, 1 + jnp.searchsorted(jnp.array(sizes), length))
        return jax.lax.switch(which, branches, state, start, length), None

    return jax.lax.scan(step, state, (starts, lengths))[0]


def _valid_arch(learner, keys, epoch):
    return learner.sample_arch(jax.random.fold_in(keys.valid, epoch))


def _one_arch(arch, key):
    del key
    return arch
