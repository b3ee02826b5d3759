"""Gaussian process over architectures: the regressor of the default LaNAS.

Additive models of one-hot decisions cannot express that an operation pays only together with another. The kernels
exp(-r |x - x'|^2 / m), m the mean squared distance of the first rows, can: on one-hot features they are products over
the decisions, and a small r makes them nearly additive. Predictions are averaged over a few rates and noises, weighted
by their leave-one-out errors, which follow from the inverse of the kernel matrix. The inverse is updated for the rows
that come or go, in O(N^2) operations, without LAPACK (which can hang in compiled loops on the CPU).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from lanas_jax import inverses

_POWERS = (1, 3, 7)  # of the first rate: one exponential serves all three, see `kernels`
_RATES = 0.35 * np.repeat(_POWERS, 2)
_NOISES = np.tile([0.03, 0.3], 3)
NUM_MODELS = len(_RATES)
MAX_ROWS = 256
_BLOCK = 32  # slots of the history whose kernels are computed at a time
_TILE = 512  # rows whose predictions are computed at a time, so that their kernels stay in the cache
_EXCHANGED = 8  # rows that enter or leave the inverse at a time


@chex.dataclass(frozen=True)
class Process:
    """The rows of the model and the inverses of their kernel matrices.

    Attributes:
      rows: int32[K], the row of the history in each of the K slots; N where the slot is free.
      inverse: float32[Q, K, K], for each of the Q models; 0 in the rows and columns of free slots.
      scale: float32[], mean squared distance of the first rows; 0 before.
    """

    rows: chex.Array
    inverse: chex.Array
    scale: chex.Array


class Posterior(NamedTuple):
    """A process with values.

    Attributes:
      inputs: float32[K, F], the features of the slots.
      rates: float32[Q], of the kernels, per squared distance.
      is_held: bool[K], slots with a row.
      mean: float32[], of the values.
      alpha: float32[Q, K], a model predicts the mean plus kernel(x, inputs) @ alpha.
      weights: float32[Q], of the models.
      variance: float32[], prior variance of the most likely model.
      model: int32[], the most likely model.
      inverse: float32[K, K], of the most likely model.
      left_out: float32[K], the average prediction of each row from all others.
      best: float32[], the largest value.
    """

    inputs: chex.Array
    rates: chex.Array
    is_held: chex.Array
    mean: chex.Array
    alpha: chex.Array
    weights: chex.Array
    variance: chex.Array
    model: chex.Array
    inverse: chex.Array
    left_out: chex.Array
    best: chex.Array


def empty(capacity: int, max_rows: int) -> Process:
    """Returns a process without rows: for a history of `capacity`, of which it holds at most `max_rows`.

    Of a longer history it holds the best ones and the latest ones.
    """
    size = min(capacity, max_rows)
    inverse = jnp.zeros((NUM_MODELS, size, size))
    return Process(rows=jnp.full((size,), capacity, jnp.int32), inverse=inverse, scale=jnp.float32(0.0))


def update(process: Process, features: chex.Array, values: chex.Array, is_measured: chex.Array) -> Process:
    """Removes the rows that are no longer wanted and inserts the new ones.

    Args:
      process: of earlier rows.
      features: float32[N, F].
      values: float32[N].
      is_measured: bool[N].
    """
    capacity, size = is_measured.shape[0], process.rows.shape[0]
    is_wanted = is_measured
    if capacity > size:
        is_wanted &= _is_among(jnp.where(is_measured, values, -jnp.inf), size // 2) | _is_among(
            jnp.where(is_measured, jnp.arange(capacity), -1.0), size // 2
        )
    wanted = jnp.append(is_wanted, True)
    count = jnp.maximum(jnp.sum(is_measured), 1)
    mean = jnp.sum(jnp.where(is_measured[:, None], features, 0.0), axis=0) / count
    spread = 2.0 * jnp.sum(jnp.where(is_measured[:, None], (features - mean[None]) ** 2, 0.0)) / count
    process = process.replace(scale=jnp.where(process.scale > 0, process.scale, spread))

    def is_old(process):
        return ~wanted[process.rows]

    def is_new(process):
        return is_wanted & ~jnp.zeros((capacity,), bool).at[process.rows].set(True, mode="drop")

    process = jax.lax.while_loop(
        lambda process: jnp.any(is_old(process)),
        lambda process: _remove(process, is_old(process), capacity),
        process,
    )
    return jax.lax.while_loop(
        lambda process: jnp.any(is_new(process)),
        lambda process: _insert(process, features, is_new(process)),
        process,
    )


def _is_among(scores, count):
    """Returns bool[N], the `count` largest."""
    return jnp.zeros(scores.shape, bool).at[jax.lax.top_k(scores, count)[1]].set(True)


def _first(mask):
    """Returns (indices of the first _EXCHANGED that are True, bool whether there are so many)."""
    found, at = jax.lax.top_k(mask.astype(jnp.int32), min(_EXCHANGED, mask.shape[0]))
    return at, found > 0


def _remove(process, is_old, capacity):
    slots, is_one = _first(is_old)
    columns = jnp.where(is_one[None, None], process.inverse[:, :, slots], 0.0)
    own = process.inverse[:, slots][:, :, slots]
    inverse = process.inverse - inverses.weighted_square(columns, own, is_one, least=jnp.zeros(NUM_MODELS))
    kept = jnp.ones(is_old.shape).at[slots].add(-is_one.astype(jnp.float32))
    rows = process.rows.at[slots].set(jnp.where(is_one, capacity, process.rows[slots]))
    return process.replace(rows=rows, inverse=inverse * kept[None, :, None] * kept[None, None])


def _insert(process, features, is_new):
    capacity = features.shape[0]
    new, is_one = _first(is_new)
    slots = _first(process.rows == capacity)[0][: new.shape[0]]
    is_held = process.rows < capacity
    inputs = features[jnp.minimum(process.rows, capacity - 1)]
    rates, noises = _rates(process)[:, None, None], jnp.float32(_NOISES)
    cross = jnp.exp(-rates * _distances(inputs, features[new])[None]) * (is_held[:, None] & is_one[None])[None]
    own = jnp.exp(-rates * _distances(features[new], features[new])[None])
    solved = process.inverse @ cross
    schur = own + noises[:, None, None] * jnp.eye(len(new))[None] - jnp.swapaxes(cross, 1, 2) @ solved
    solved = solved.at[:, slots, jnp.arange(len(new))].add(-is_one.astype(jnp.float32)[None])
    return process.replace(
        rows=process.rows.at[slots].set(jnp.where(is_one, new, process.rows[slots]).astype(jnp.int32)),
        inverse=process.inverse + inverses.weighted_square(solved, schur, is_one, least=0.5 * noises),
    )


def _rates(process):
    return jnp.float32(_RATES) / jnp.maximum(process.scale, 1e-6)


def _distances(left, right):
    """Returns float32[A, B], the squared distances of rows, as one matrix product."""
    squares = jnp.sum(right**2, axis=1)[None]
    ones = jnp.ones((left.shape[0], 1))
    left = jnp.concatenate([left, jnp.sum(left**2, axis=1)[:, None], ones], axis=1)
    return jnp.maximum(left @ jnp.concatenate([-2.0 * right.T, jnp.ones_like(squares), squares]), 0.0)


def posterior(process: Process, features: chex.Array, values: chex.Array) -> Posterior:
    """Returns the posterior given float32[N] values of rows with float32[N, F] features."""
    capacity = values.shape[0]
    is_held = process.rows < capacity
    at = jnp.minimum(process.rows, capacity - 1)
    count = jnp.maximum(jnp.sum(is_held), 1)
    mean = jnp.sum(jnp.where(is_held, values[at], 0.0)) / count
    centered = jnp.where(is_held, values[at] - mean, 0.0)
    alpha = process.inverse @ centered
    diagonal = jnp.diagonal(process.inverse, axis1=1, axis2=2)
    errors = jnp.where(is_held[None], alpha / jnp.where(is_held[None], diagonal, 1.0), 0.0)
    error = jnp.maximum(jnp.sum(errors**2, axis=1) / count, 1e-6)
    weights = jax.nn.softmax(-0.5 * count * jnp.log(error))
    model = jnp.argmax(weights)
    return Posterior(
        inputs=jnp.where(is_held[:, None], features[at], 0.0),
        rates=_rates(process),
        is_held=is_held,
        mean=mean,
        alpha=alpha,
        weights=weights,
        variance=jnp.maximum(alpha[model] @ centered / count, 1e-6),
        model=model,
        inverse=process.inverse[model],
        left_out=mean + centered - weights @ errors,
        best=jnp.max(jnp.where(is_held, values[at], -jnp.inf)),
    )


def kernels(posterior: Posterior, left: chex.Array, right: chex.Array) -> list[chex.Array]:
    """Returns float32[A, B] for each rate, of float32[A, F] and float32[B, F] features."""
    near = jnp.exp(-posterior.rates[0] * _distances(left, right))
    cube = near * near * near
    return [near, cube, cube * cube * near]


def factors(posterior: Posterior) -> chex.Array:
    """Returns float32[R, K]: the average prediction is the mean plus the sum of kernel @ factor over the R rates."""
    return (posterior.weights[:, None] * posterior.alpha).reshape(len(_POWERS), 2, -1).sum(axis=1)


def predict(posterior: Posterior, features: chex.Array) -> chex.Array:
    """Returns float32[B], the average prediction of the models for float32[B, F] features."""
    num_rows, size = features.shape[0], posterior.inputs.shape[0]
    padding, tile = -size % _BLOCK, max(min(num_rows, _TILE), 1)
    inputs = jnp.pad(posterior.inputs, ((0, padding), (0, 0)))
    alpha = jnp.pad(factors(posterior), ((0, 0), (0, padding)))
    num_blocks = _num_blocks(posterior)

    def of_tile(features):
        def add(block, total):
            some = jax.lax.dynamic_slice_in_dim(inputs, block * _BLOCK, _BLOCK)
            factor = jax.lax.dynamic_slice_in_dim(alpha, block * _BLOCK, _BLOCK, axis=1)
            near = kernels(posterior, features, some)
            return total + jnp.sum(sum(kernel * f[None] for kernel, f in zip(near, factor)), axis=1)

        return jax.lax.fori_loop(0, num_blocks, add, jnp.full((tile,), posterior.mean))

    tiles = jnp.pad(features, ((0, -num_rows % tile), (0, 0))).reshape(-1, tile, features.shape[1])
    return jax.lax.map(of_tile, tiles).reshape(-1)[:num_rows]


def _num_blocks(posterior):
    """Returns int32[], the blocks of slots up to the last that is held."""
    return jnp.max(jnp.where(posterior.is_held, jnp.arange(posterior.is_held.shape[0]), -1)) // _BLOCK + 1


def with_room(posterior: Posterior, count: int) -> Posterior:
    """Returns the posterior with `count` more free slots, for `observe`."""
    return posterior._replace(
        inputs=jnp.pad(posterior.inputs, ((0, count), (0, 0))),
        is_held=jnp.pad(posterior.is_held, (0, count)),
        inverse=jnp.pad(posterior.inverse, ((0, count), (0, count))),
    )


def observe(posterior: Posterior, features: chex.Array, slot: chex.Array) -> Posterior:
    """Takes the free slot int32[] for a row with float32[F] features whose value is unknown: only deviations change."""
    kernel = _kernel(posterior, features[None])[0]
    noise = jnp.float32(_NOISES)[posterior.model]
    return posterior._replace(
        inputs=posterior.inputs.at[slot].set(features),
        is_held=posterior.is_held.at[slot].set(True),
        inverse=inverses.extend(posterior.inverse, kernel, slot, 1.0 + noise, 0.5 * noise),
    )


def deviations(posterior: Posterior, features: chex.Array) -> chex.Array:
    """Returns float32[B], the standard deviations of float32[B, F] rows, by the most likely model."""
    size = posterior.inputs.shape[0]
    padding = -size % _BLOCK
    kernel = jnp.pad(_kernel(posterior, features), ((0, 0), (0, padding)))
    inverse = jnp.pad(posterior.inverse, ((0, padding), (0, padding)))

    def add(block, solved):
        some = jax.lax.dynamic_slice_in_dim(kernel, block * _BLOCK, _BLOCK, axis=1)
        return solved + some @ jax.lax.dynamic_slice_in_dim(inverse, block * _BLOCK, _BLOCK)

    solved = jax.lax.fori_loop(0, _num_blocks(posterior), add, jnp.zeros_like(kernel))
    explained = jnp.sum(solved * kernel, axis=1)
    return jnp.sqrt(posterior.variance * jnp.maximum(1.0 - explained, 1e-6))


def _kernel(posterior, features):
    kernel = jnp.exp(-posterior.rates[posterior.model] * _distances(features, posterior.inputs))
    return jnp.where(posterior.is_held[None], kernel, 0.0)


def log_expected_improvement(mean: chex.Array, deviation: chex.Array, best: chex.Array) -> chex.Array:
    """Returns the logarithm of the expected improvement of N(mean, deviation^2) over `best`, finite far below too."""
    standard = (mean - best) / deviation
    near = jnp.maximum(standard, -5.0)
    value = near * jax.scipy.special.ndtr(near) + jnp.exp(-0.5 * near**2) / np.sqrt(2.0 * np.pi)
    far = jnp.minimum(standard, -5.0)
    tail = -0.5 * far**2 - 0.5 * np.log(2.0 * np.pi) - jnp.log(far**2 + 3.0)
    return jnp.log(deviation) + jnp.where(standard > -5.0, jnp.log(jnp.maximum(value, 1e-30)), tail)
