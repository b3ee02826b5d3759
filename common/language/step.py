"""One step of training a language model on a piece of text, and what it scores on a text.

The words of a piece that fills up its size count neither in the loss nor in the penalties; nor does the state
carried on know of them.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from common.language import config as configs
from common.language import recurrent


@chex.dataclass(frozen=True)
class State:
    """All that training needs to go on, to the bit. No key is part of it: randomness follows from (key, step).

    Attributes:
      step: int32[], steps done; those given up when training went back to an earlier state count too.
      epoch: int32[], epochs done.
      at: int32[], pieces done of this epoch.
      hidden: float32[B, H], the state of the cell after the last piece.
      params: of the network.
      average: the mean of the parameters since averaging began; until then of no meaning.
      num_averaged: int32[], steps since then.
      is_averaging: bool[].
      valid_losses: float32[E], of all epochs done.
      num_rollbacks: int32[], how often training went back.
      loss: float32[], the sum of the cross-entropies of this epoch so far, in nats; no number once training
        has diverged.
      num_words: int32[], how many words that are.
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
    """Returns the state before the first step; `arch` is any row, where the cell is data."""
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
      network: what is trained.
      optimizer: how.
      key: of the step.
      state: where to go on.
      words: int32[T + 1, B], the piece and one word more, filled up.
      length: int32[], how many words count, from 1 to T.
      arch: int32[22], where the cell is data.
      bptt: words of a piece for which the learning rate is meant.
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
    """Returns (float32[T, B] cross-entropies, 0 where words do not count; float32[B, H] the state to carry on).

    Args:
      reading: of a piece.
      targets: int32[T, B], the words one on.
      hidden: float32[B, H], the state before it, carried on where it has no words.
      length: int32[], how many words count.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(reading.logits, targets)
    is_word = jnp.arange(targets.shape[0]) < length
    last = reading.raw[jnp.maximum(length - 1, 0)]
    return jnp.where(is_word[:, None], losses, 0.0), jnp.where(length > 0, last, hidden)


def evaluate(
    network: recurrent.LanguageModel,
    params: Any,
    tokens: chex.Array,
    num_rows: chex.Array,
    arch: chex.Array | None,
    *,
    size: int,
) -> chex.Array:
    """Returns float32[], the mean cross-entropy of a text in nats a word. Traceable.

    The state is carried through all of the text, so the result does not depend on the length of the pieces.

    Args:
      network: what is evaluated.
      params: of it.
      tokens: int32[N, B], filled up by at least `size` rows, see `language_pieces.padded`.
      num_rows: int32[], N before that.
      arch: int32[22], where the cell is data.
      size: words of a piece.
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


def _penalty(reading, length, config):
    """The penalties on the outputs and on their changes, means over the words that count."""
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
    """Returns p - rate (clip(g) + weight_decay p), with a rate in proportion to the length of the piece."""
    rate, decay = config.learning_rate * share, config.weight_decay
    scale = jnp.minimum(1.0, config.clip_norm / (norm + 1e-6))
    return jax.tree.map(lambda p, g: p - rate * (scale * g + decay * p), params, gradient)


def _averaged(state):
    """Takes the new parameters into the mean, once averaging has begun.

    As PyTorch's ASGD with t0 = 0 does, whose mean after n steps is that of the last n - 1.
    """
    num = state.num_averaged + state.is_averaging
    share = 1.0 / jnp.maximum(num - 1, 1).astype(jnp.float32)

    def mean(average, params):
        return jax.tree.map(lambda old, new: old + (new - old) * share, average, params)

    average = jax.lax.cond(state.is_averaging, mean, lambda average, _: average, state.average, state.params)
    return state.replace(average=average, num_averaged=num)
