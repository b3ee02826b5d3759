"""Training step of a language model on one text segment, and evaluation on a whole text.

Padding of a segment affects neither the loss, nor the penalties, nor the hidden state carried to the next one.
"""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from common.language import config as configs
from common.language import recurrent


@chex.dataclass(frozen=True)
class State:
    """Train state. Restoring it resumes training bit-exactly; all randomness is a function of (key, step).

    Attributes:
      step: int32[], steps done, including those undone by rollbacks.
      epoch: int32[], epochs done.
      at: int32[], segments done of this epoch.
      hidden: float32[B, H], hidden state after the last segment.
      params: of the network.
      average: mean of the parameters since averaging started; undefined before.
      num_averaged: int32[], steps since then.
      is_averaging: bool[].
      valid_losses: float32[E], of all epochs done.
      num_rollbacks: int32[], how often training returned to its best state.
      loss: float32[], sum of the cross-entropies of this epoch so far, in nats; not finite once training diverged.
      num_words: int32[], number of words in this sum.
    """

    step: chex.Array
    epoch: chex.Array
    at: chex.Array
    hidden: chex.Array
    params: Any
    average: Any
    num_averaged: chex.Array
    is_averaging: chex.Array
    valid_losses: chex.Array
    num_rollbacks: chex.Array
    loss: chex.Array
    num_words: chex.Array


def create(
    key: chex.PRNGKey, network: recurrent.LanguageModel, config: configs.Config, *, arch: chex.Array | None = None
) -> State:
    """Returns the initial state of training.

    Args:
      key: random key of the parameters.
      arch: int32[L], any row, for cells whose architecture is data.
    """
    shape = (config.batch_size, network.width)
    words = jnp.zeros((1, config.batch_size), jnp.int32)
    params = jax.jit(network.init)(key, words, jnp.zeros(shape), arch=arch)["params"]
    return State(
        step=jnp.int32(0),
        epoch=jnp.int32(0),
        at=jnp.int32(0),
        hidden=jnp.zeros(shape),
        params=params,
        average=jax.tree.map(jnp.copy, params),
        num_averaged=jnp.int32(0),
        is_averaging=jnp.bool_(False),
        valid_losses=jnp.zeros(config.num_epochs),
        num_rollbacks=jnp.int32(0),
        loss=jnp.float32(0.0),
        num_words=jnp.int32(0),
    )


def train(
    network: recurrent.LanguageModel,
    optimizer: configs.Optimizer,
    key: chex.PRNGKey,
    state: State,
    words: chex.Array,
    length: chex.Array,
    arch: chex.Array | None,
    *,
    bptt: int,
) -> State:
    """Returns the state after a step.

    Args:
      key: of the step.
      words: int32[T + 1, B], the segment and one more word, padded.
      length: int32[], number of words that are not padding, from 1 to T.
      arch: int32[22], for cells whose architecture is data.
      bptt: segment length that the learning rate refers to.
    """

    def objective(params):
        reading = network.apply(
            {"params": params}, words[:-1], state.hidden, arch=arch, train=True, rngs={"dropout": key}
        )
        losses, hidden = score(reading, words[1:], state.hidden, length)
        num = length * words.shape[1]
        penalty = _penalty(reading, length, optimizer)
        total = jnp.sum(losses)
        return total / num + penalty, (total, num, hidden)

    gradient, (total, num, hidden) = jax.grad(objective, has_aux=True)(state.params)
    norm = optax.tree.norm(gradient)
    params = _descend(state.params, gradient, norm, length / bptt, optimizer)
    return _averaged(
        state.replace(
            step=state.step + 1,
            at=state.at + 1,
            hidden=hidden,
            params=params,
            loss=state.loss + total,
            num_words=state.num_words + num,
        )
    )


def score(
    reading: recurrent.Reading, targets: chex.Array, hidden: chex.Array, length: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """Returns (float32[T, B] cross-entropies, 0 for padding; float32[B, H] the next hidden state).

    Args:
      reading: of a segment.
      targets: int32[T, B], the next words.
      hidden: float32[B, H], the hidden state before the segment, returned if the segment is empty.
      length: int32[], number of words that are not padding.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(reading.logits, targets)
    is_word = jnp.arange(targets.shape[0]) < length
    last = reading.raw[jnp.maximum(length - 1, 0)]
    return jnp.where(is_word[:, None], losses, 0.0), jnp.where(length > 0, last, hidden)


@functools.partial(jax.jit, static_argnames=("network", "size"))
def evaluate(
    network: recurrent.LanguageModel,
    params: Any,
    tokens: chex.Array,
    num_rows: chex.Array,
    arch: chex.Array | None,
    *,
    size: int,
) -> chex.Array:
    """Returns float32[], the mean cross-entropy of a text in nats per word.

    The hidden state is carried through the whole text, so the result does not depend on the segment size.

    Args:
      tokens: int32[N + padding, B] with at least `size` rows of padding, see `segments.Text`.
      num_rows: int32[], N.
      arch: int32[22], for cells whose architecture is data.
      size: words per segment.
    """
    batch = tokens.shape[1]
    starts = jnp.arange(0, tokens.shape[0] - size, size)

    def step(hidden, start):
        words = jax.lax.dynamic_slice_in_dim(tokens, start, size + 1)
        reading = network.apply({"params": params}, words[:-1], hidden, arch=arch)
        losses, hidden = score(reading, words[1:], hidden, jnp.clip(num_rows - 1 - start, 0, size))
        return hidden, jnp.sum(losses)

    _, losses = jax.lax.scan(step, jnp.zeros((batch, network.width)), starts)
    return jnp.sum(losses) / ((num_rows - 1) * batch)


def starts_averaging(loss: float, earlier: np.ndarray, patience: int) -> bool:
    """Returns whether a validation loss exceeds the minimum of all `earlier` losses except the last `patience`."""
    return bool(patience and len(earlier) > patience and loss > np.min(earlier[:-patience]))


def _penalty(reading, length, config):
    """Returns the activation and temporal activation penalties, means over the words that are not padding."""
    steps = jnp.arange(reading.raw.shape[0])
    per_step = reading.raw.shape[1] * reading.raw.shape[2]
    penalty = jnp.float32(0.0)
    if config.activation_penalty:
        squares = jnp.sum(jnp.square(reading.dropped), axis=(1, 2)) * (steps < length)
        penalty += config.activation_penalty * jnp.sum(squares) / (length * per_step)
    if config.change_penalty:
        squares = jnp.sum(jnp.square(reading.raw[1:] - reading.raw[:-1]), axis=(1, 2)) * (steps[1:] < length)
        penalty += config.change_penalty * jnp.sum(squares) / (jnp.maximum(length - 1, 1) * per_step)
    return penalty


def _descend(params, gradient, norm, share, config):
    """Returns p - rate (clip(g) + weight_decay p), with a rate proportional to the segment length."""
    rate, decay = config.learning_rate * share, config.weight_decay
    scale = jnp.minimum(1.0, config.clip_norm / (norm + 1e-6))
    return jax.tree.map(lambda p, g: p - rate * (scale * g + decay * p), params, gradient)


def _averaged(state):
    """Updates the average of the parameters if averaging has started.

    As PyTorch's ASGD with t0 = 0, whose average after n steps is the mean of the last n - 1.
    """
    num = state.num_averaged + state.is_averaging
    share = 1.0 / jnp.maximum(num - 1, 1).astype(jnp.float32)

    def mean(average, params):
        return jax.tree.map(lambda old, new: old + (new - old) * share, average, params)

    average = jax.lax.cond(state.is_averaging, mean, lambda average, _: average, state.average, state.params)
    return state.replace(average=average, num_averaged=num)
