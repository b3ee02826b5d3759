"""The rows of the Gaussian process of LaNAS, and the inverses of their kernel matrices; see `lanas_jax.kernel`.

The inverses are updated for the rows that come or go, in O(N^2) operations, without LAPACK (which can hang in compiled
loops on the CPU).
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from lanas_jax import inverses

POWERS = (1, 3, 7)  # of the first rate: one exponential serves all three, see `kernel.kernels`
RATES = 0.35 * np.repeat(POWERS, 2)
NOISES = np.tile([0.03, 0.3], 3)
NUM_MODELS = len(RATES)
MAX_ROWS = 256
_EXCHANGED = 8  # rows that enter or leave the inverse at a time


@chex.dataclass(frozen=True)
class Process:
    """The rows of the model and the inverses of their kernel matrices."""

    rows: chex.Array  # int32[K], the row of the history in each of the K slots; N where the slot is free
    inverse: chex.Array  # float32[Q, K, K], for each of the Q models; 0 in the rows and columns of free slots
    scale: chex.Array  # float32[], mean squared distance of the first rows; 0 before


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
        lambda process: jnp.any(is_old(process)), lambda process: _remove(process, is_old(process), capacity), process
    )
    return jax.lax.while_loop(
        lambda process: jnp.any(is_new(process)), lambda process: _insert(process, features, is_new(process)), process
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
    rate, noises = rates(process)[:, None, None], jnp.float32(NOISES)
    cross = jnp.exp(-rate * distances(inputs, features[new])[None]) * (is_held[:, None] & is_one[None])[None]
    own = jnp.exp(-rate * distances(features[new], features[new])[None])
    solved = process.inverse @ cross
    schur = own + noises[:, None, None] * jnp.eye(len(new))[None] - jnp.swapaxes(cross, 1, 2) @ solved
    solved = solved.at[:, slots, jnp.arange(len(new))].add(-is_one.astype(jnp.float32)[None])
    return process.replace(
        rows=process.rows.at[slots].set(jnp.where(is_one, new, process.rows[slots]).astype(jnp.int32)),
        inverse=process.inverse + inverses.weighted_square(solved, schur, is_one, least=0.5 * noises),
    )


def rates(process: Process) -> chex.Array:
    """Returns float32[Q], the rates of the kernels, per squared distance."""
    return jnp.float32(RATES) / jnp.maximum(process.scale, 1e-6)


def distances(left: chex.Array, right: chex.Array) -> chex.Array:
    """Returns float32[A, B], the squared distances of rows, as one matrix product."""
    squares = jnp.sum(right**2, axis=1)[None]
    ones = jnp.ones((left.shape[0], 1))
    left = jnp.concatenate([left, jnp.sum(left**2, axis=1)[:, None], ones], axis=1)
    return jnp.maximum(left @ jnp.concatenate([-2.0 * right.T, jnp.ones_like(squares), squares]), 0.0)
