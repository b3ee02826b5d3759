"""Fronts of several objectives, of which larger is better: dominance, hypervolume, ranks and crowding distances.

A point dominates another if it is at least as good in every objective and better in one.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np


def non_dominated(values: chex.Array, where: chex.Array | None = None) -> chex.Array:
    """Returns bool[N]: the points that no other dominates, of equal ones the first. JAX or NumPy, as `values`.

    Args:
      values: float[N, M], larger is better; a point with NaN is left out. JAX compares all pairs.
      where: bool[N], the points that count; by default all.
    """
    if not isinstance(values, np.ndarray):
        return ranks(values, where) == 0
    is_point = np.all(~np.isnan(values), axis=1) & (True if where is None else where)
    left = np.flatnonzero(is_point)
    left = left[np.lexsort((left, *-values[left, ::-1].T))]  # none is dominated by a later one
    found = np.zeros(len(values), bool)
    while len(left):
        found[left[0]] = True
        left = left[~np.all(values[left] <= values[left[0]], axis=1)]
    return found


def ranks(values: chex.Array, where: chex.Array | None = None) -> chex.Array:
    """Returns int32[N]: 0 on the front, 1 on that of the remaining points, and so on; N for points that do not count.

    K. Deb et al., NSGA-II, IEEE Transactions on Evolutionary Computation 6, 2002, section III-A. Of equal points the
    first dominates the others. Traceable.

    Args:
      values: float[N, M], larger is better; a point with NaN does not count.
      where: bool[N], the points that count; by default all.
    """
    num, order = values.shape[0], jnp.arange(values.shape[0])
    is_point = jnp.all(~jnp.isnan(values), axis=1) & (True if where is None else where)
    is_as_good = jnp.all(values[:, None] >= values[None], axis=2)
    is_equal = is_as_good & is_as_good.T
    dominates = jnp.where(is_equal, order[:, None] < order[None], is_as_good) & is_point[:, None] & is_point[None]

    if values.shape[1] == 1:  # every point is a front of its own
        return jnp.where(is_point, jnp.sum(dominates, axis=0), num).astype(jnp.int32)

    def is_open(carry):
        return jnp.any(carry[0] & is_point)

    def peel(carry):
        left, found, rank = carry
        is_front = left & is_point & ~jnp.any(dominates & left[:, None], axis=0)
        return left & ~is_front, jnp.where(is_front, rank, found), rank + 1

    start = jnp.ones((num,), bool), jnp.full((num,), num, jnp.int32), jnp.int32(0)
    return jax.lax.while_loop(is_open, peel, start)[1]


def crowding(values: chex.Array, ranks: chex.Array) -> chex.Array:
    """Returns float32[N], the crowding distance of each point among those of its rank. Traceable.

    NSGA-II, section III-B: the sum over objectives of the distance between the two neighbours, by the range of the
    objective within the rank; infinite for its ends.

    Args:
      values: float[N, M].
      ranks: int32[N], from `ranks`.
    """
    order = jnp.arange(values.shape[0])
    is_same = ranks[:, None] == ranks[None]

    def of_objective(column):  # of all pairs, as sorting takes long to compile
        is_tie = (column[:, None] == column[None]) & (order[:, None] > order[None])
        is_below = is_same & ((column[:, None] > column[None]) | is_tie)  # the second of the first
        low = jnp.max(jnp.where(is_below, column[None], -jnp.inf), axis=1)
        high = jnp.min(jnp.where(is_below.T, column[None], jnp.inf), axis=1)
        width = jnp.max(jnp.where(is_same, column[None], -jnp.inf), axis=1) - jnp.min(
            jnp.where(is_same, column[None], jnp.inf), axis=1
        )
        return (high - low) / jnp.maximum(width, 1e-30)

    return jnp.sum(jax.vmap(of_objective, in_axes=1)(values), axis=0)


def spread(values: np.ndarray, count: int) -> np.ndarray:
    """Returns int[min(count, F)], points spread along a front: the most crowded one is left out again and again.

    Args:
      values: float[F, M], points that do not dominate each other.
      count: at least 1. The first point is kept.
    """
    kept = np.ones(len(values), bool)
    while kept.sum() > max(count, 1):
        distance = np.asarray(_crowding(np.asarray(values, np.float32), np.where(kept, 0, 1)))
        distance = np.where(kept, distance, np.inf)
        distance[0] = np.inf
        kept[np.max(np.flatnonzero(kept & (distance == distance.min())))] = False
    return np.flatnonzero(kept)


def hypervolume(values: chex.Array, reference: chex.Array) -> chex.Array:
    """Returns float[], the volume that the points dominate and that dominates the reference. JAX or NumPy, as `values`.

    Exact, by slices along the last objective: E. Zitzler, Evolutionary Algorithms for Multiobjective Optimization,
    1999. It takes O(N log N) for two objectives, and a factor N more for each further one.

    Args:
      values: float[N, M], larger is better; points that are not better than the reference in all objectives, and
        those with NaN, add nothing.
      reference: float[M].
    """
    xp = np if isinstance(values, np.ndarray) else jnp
    above = xp.nan_to_num(xp.maximum(values - xp.asarray(reference)[None], 0), nan=0.0)
    return _volume(xp, xp.where(xp.any(xp.isnan(values), axis=1)[:, None], 0.0, above))


_crowding = jax.jit(crowding)


def _volume(xp, above):
    """Returns the volume between the origin and float[N, M], not negative."""
    num, num_objectives = above.shape
    if num_objectives == 1:
        return xp.max(above, initial=0.0)
    above = above[xp.argsort(-above[:, -1])]
    depth = above[:, -1] - xp.concatenate([above[1:, -1], xp.zeros(1, above.dtype)])
    if num_objectives == 2:
        widths = np.maximum.accumulate(above[:, 0]) if xp is np else jax.lax.cummax(above[:, 0])
        return xp.sum(depth * widths)

    def first(count):
        return _volume(xp, xp.where((xp.arange(num) <= count)[:, None], above[:, :-1], 0.0))

    if xp is np:
        return sum((depth[at] * first(at) for at in np.flatnonzero(depth)), np.float64(0.0))
    return jnp.sum(depth * jax.vmap(first)(jnp.arange(num)))
