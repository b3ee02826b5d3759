"""Training of language models: epochs as compiled loops over pieces of text, from any step on, to the bit.

Training is plain stochastic gradient descent until the validation loss no longer falls; from then on its steps
are averaged, and the average is what counts (arXiv:1708.02182). Where the loss is no longer a number, training
goes back to its best state, and from there takes another way, as its randomness follows from the step, which
never goes back.
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

from common.datasets import text
from common.language import config as configs
from common.language import epoch as language_epoch
from common.language import recurrent
from common.language import segments as pieces_lib
from common.language import step as steps
from common.training import checkpoints as checkpoints_lib

PIECES_PER_CALL = 50


class Learner(NamedTuple):
    """What is trained, and how.

    Attributes:
      network: a language model.
      config: of its training.
      draw: key -> arch int32[22], drawn for every step, where the cell is data; else key -> None. A partial that
        holds its arrays.
    """

    network: recurrent.LanguageModel
    config: configs.Config
    draw: jax.tree_util.Partial


class Keys(NamedTuple):
    """The keys of a training run: of the first weights, of the steps, of the pieces' lengths, of validation."""

    init: chex.PRNGKey
    step: chex.PRNGKey
    pieces: chex.PRNGKey
    valid: chex.PRNGKey


class Text(NamedTuple):
    """A text on the device.

    Attributes:
      tokens: int32[N + more, B], filled up, see `language_pieces.padded`.
      num_rows: N.
    """

    tokens: chex.Array
    num_rows: int


def keys(key: chex.PRNGKey) -> Keys:
    """Returns the keys of the run that `key` decides."""
    return Keys(*jax.random.split(key, 4))


def no_arch() -> jax.tree_util.Partial:
    """Returns the `draw` of a fixed cell."""
    return jax.tree_util.Partial(_no_arch)


def one_arch(arch: chex.Array) -> jax.tree_util.Partial:
    """Returns the `draw` that always gives `arch`: an argument of the program, which serves every other too."""
    return jax.tree_util.Partial(_one_arch, jnp.asarray(arch, jnp.int32))


def prepare(tokens: np.ndarray, batch_size: int, config: configs.Config) -> Text:
    """Returns a split of a corpus, int32[words], on the device.

    Raises:
      ValueError: it is too short for so many sequences.
    """
    rows = text.batchify(tokens, batch_size)
    return Text(pieces_lib.padded(rows, config.chunks), len(rows))


def create(learner: Learner, keys: Keys) -> steps.State:
    """Returns the state before the first step."""
    return steps.create(
        keys.init, learner.network, learner.config, arch=_valid_arch(learner, keys, learner.config.num_epochs)
    )


def train(
    learner: Learner,
    state: steps.State,
    keys: Keys,
    data: Text,
    valid: Text,
    *,
    checkpoints: checkpoints_lib.Checkpoints | None = None,
    save_seconds: float = 300.0,
    num_epochs: int | None = None,
) -> Iterator[tuple[steps.State, language_epoch.Epoch]]:
    """Trains from where `state` is on, and yields after every epoch.

    Args:
      learner: what is trained, and how.
      state: where to go on; used up, as is each state yielded once the next one is asked for.
      keys: see `keys`.
      data: the training text.
      valid: the validation text.
      checkpoints: where the state goes after every epoch, and within long ones; with the best one of an earlier
        start.
      save_seconds: time between two checkpoints within an epoch.
      num_epochs: how many there are in the end; by default all of the settings.

    Yields:
      (state, what the epoch came to).

    Raises:
      language_epoch.DivergedError: the loss was no number too often, or before the first epoch's end.
    """
    best = None if checkpoints is None else checkpoints.best(state)
    saved = time.perf_counter()
    while int(state.epoch) < (learner.config.num_epochs if num_epochs is None else num_epochs):
        start, num_before = time.perf_counter(), int(state.num_words)
        for state, is_last in _read_on(learner, state, keys, data):  # noqa: B020  the state goes round
            if checkpoints is not None and not is_last and time.perf_counter() - saved > save_seconds:
                checkpoints.save(state)
                saved = time.perf_counter()
        loss = evaluate(learner, evaluated(state), valid, arch=_valid_arch(learner, keys, int(state.epoch)))
        if not (math.isfinite(loss) and math.isfinite(float(state.loss))):
            state = language_epoch.go_back(learner.config, state, best)
            continue
        state, epoch = language_epoch.finish(learner.config, state, loss, time.perf_counter() - start, num_before)
        if best is None or loss < float(best.valid_losses[int(best.epoch) - 1]):
            best = jax.tree.map(jnp.copy, state)  # `state` is used up by the next step
        if checkpoints is not None:
            checkpoints.save(state, score=-loss)
            saved = time.perf_counter()
        yield state, epoch


def evaluated(state: steps.State) -> Any:
    """Returns the parameters to evaluate: their mean once there is one."""
    return state.average if int(state.num_averaged) > 0 else state.params


def evaluate(learner: Learner, params: Any, data: Text, *, arch: chex.Array | None = None) -> float:
    """Returns the mean cross-entropy of a text, in nats a word."""
    size = pieces_lib.sizes(learner.config.chunks)[0]
    return float(_evaluate(learner.network, params, data.tokens, data.num_rows, arch, size=size))


def _read_on(learner, state, keys, data):
    """Reads the rest of the epoch; yields (state, whether that is all) after every call of the compiled loop."""
    pieces = pieces_lib.cut(keys.pieces, int(state.epoch), data.num_rows, learner.config.chunks)
    num = len(pieces.starts)
    # Calls begin at multiples of their length, so that they are the same ones wherever training goes on.
    for first in range(int(state.at) // PIECES_PER_CALL * PIECES_PER_CALL, num, PIECES_PER_CALL):
        chosen = slice(max(first, int(state.at)), first + PIECES_PER_CALL)
        missing = PIECES_PER_CALL - len(pieces.starts[chosen])
        starts, lengths = (np.pad(values[chosen], (0, missing)) for values in pieces)
        state = _train_pieces(
            learner.network,
            learner.config.chunks,
            learner.config.optimizer,
            learner.draw,
            keys.step,
            state,
            data.tokens,
            starts,
            lengths,
        )
        yield state, first + PIECES_PER_CALL >= num


@functools.partial(jax.jit, static_argnames=("network", "chunks", "optimizer"), donate_argnames="state")
def _train_pieces(network, chunks, optimizer, draw, key, state, tokens, starts, lengths):
    """Takes a step for each of the pieces int32[P]; those of no length are none."""
    sizes = pieces_lib.sizes(chunks)

    def train(size, state, start, length):
        words = jax.lax.dynamic_slice_in_dim(tokens, start, size + 1)
        dropout_key, arch_key = jax.random.split(jax.random.fold_in(key, state.step))
        return steps.train(network, optimizer, dropout_key, state, words, length, draw(arch_key), bptt=chunks.bptt)

    branches = [lambda state, *_: state, *(functools.partial(train, size) for size in sizes)]

    def step(state, piece):
        start, length = piece
        which = jnp.where(length == 0, 0, 1 + jnp.searchsorted(jnp.array(sizes), length))
        return jax.lax.switch(which, branches, state, start, length), None

    return jax.lax.scan(step, state, (starts, lengths))[0]


@functools.partial(jax.jit, static_argnames=("network", "size"))
def _evaluate(network, params, tokens, num_rows, arch, *, size):
    return steps.evaluate(network, params, tokens, num_rows, arch, size=size)


def _valid_arch(learner, keys, epoch):
    return learner.draw(jax.random.fold_in(keys.valid, epoch))


def _no_arch(key):
    del key
    return None


def _one_arch(arch, key):
    del key
    return arch
