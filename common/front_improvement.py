"""Improvement of a front: which candidates are expected to enlarge its hypervolume most.

All values are scaled so that the reference point is 0 (`scaled`). Predictions are normal, independent between the
objectives, and exact for costs that are known from the row (a deviation of 0).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import objectives as objectives_lib
from common import regression_targets, types

_NUM_DIRECTIONS = 128
_NUM_SAMPLED = 512  # rows for the range of costs in a space that is not listed


class Goal(NamedTuple):
    """Objectives of a search and their ranges.

    Attributes:
      objectives: M of them.
      low: float32[M], the worst finite value of those that are known from the row; NaN for the others.
      high: float32[M], the best one.
      ends: int32[K, L], for each of the K objectives known from the row one that is best in it. They are evaluated
        first: the ends of the front enlarge the hypervolume much, and need no prediction.
    """

    objectives: objectives_lib.Objectives
    low: chex.Array
    high: chex.Array
    ends: chex.Array


def dominance(values: chex.Array, is_measured: chex.Array) -> chex.Array:
    """Returns float32[N], 1 / (1 + d), d the number of rows that dominate a row; 0 where not measured.

    The dominance number of LaMOO (arXiv:2110.03173, section 3.1).

    Args:
      values: float32[N, M], larger is better.
      is_measured: bool[N], the rows that count.
    """
    filled = jnp.where(is_measured[:, None], values, -jnp.inf)

    def of_row(row):
        return jnp.sum(jnp.all(filled >= row[None], axis=1) & jnp.any(filled > row[None], axis=1))

    return jnp.where(is_measured, 1.0 / (1.0 + jax.lax.map(of_row, filled, batch_size=256)), 0.0)


def goal(objectives: objectives_lib.Objectives | None, space: types.SearchSpace, pool: chex.Array) -> Goal | None:
    """Returns the `Goal` of a search; None for the fitness alone.

    Args:
      pool: int32[P, L], all its rows; if P = 0 the ranges are those of random rows, a quarter wider at the worse end,
        and the ends are rows that no neighbour exceeds.

    Raises:
      ValueError: a known objective is finite for none of these rows.
    """
    if objectives is None or len(objectives) == 1:
        return None
    archs = np.asarray(pool if len(pool) else space.sample(jax.random.key(0), _NUM_SAMPLED))
    values, columns = _finite(objectives, archs), np.flatnonzero(is_known(objectives)) - 1
    for column in columns:
        if np.all(np.isnan(values[:, column])):
            name = objectives.names[column + 1]
            raise ValueError(f"no architecture of {space.name} has a finite {name}; leave it out of the objectives")
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)  # NaN for measured ones
    ends = archs[[np.nanargmax(values[:, column]) for column in columns]]
    if not len(pool):
        low = low - 0.25 * (high - low)
        neighbors = jax.jit(space.neighbors)
        ends = [_climb(objectives, neighbors, arch, column) for arch, column in zip(ends, columns, strict=True)]
        ends = np.asarray(ends, np.int32).reshape(-1, archs.shape[1])
        high = np.fmax.reduce(np.concatenate([high[None], _finite(objectives, ends)]))
    nan = np.full(1, np.nan, np.float32)
    return Goal(objectives, jnp.asarray(np.append(nan, low)), jnp.asarray(np.append(nan, high)), jnp.asarray(ends))


def _finite(objectives, archs):
    """Returns the known values float32[B, M - 1], NaN where not finite."""
    values = objectives_lib.known(objectives, archs)
    return np.where(np.isfinite(values), values, np.nan)


def _climb(objectives, neighbors, arch, column):
    """Returns the row int[L] at which moves to the best neighbour by a known objective end."""
    best = objectives_lib.known(objectives, arch[None])[0, column]
    while True:
        around, is_valid = (np.asarray(part[0]) for part in neighbors(arch[None]))
        values = _finite(objectives, around)[:, column]
        values = np.where(is_valid & ~np.isnan(values), values, -np.inf)
        if values.max() <= best:
            return arch
        arch, best = around[values.argmax()], values.max()


def is_known(objectives: objectives_lib.Objectives) -> tuple[bool, ...]:
    """Returns whether each objective is known from the row."""
    return (False, *(known is not None for known in objectives.known))


def scaled(goal: Goal, values: chex.Array, is_measured: chex.Array) -> chex.Array:
    """Returns float32[N, M], the values of a history scaled from 0 (worst) to 1 (best); 0 where not measured.

    A predicted objective is the fraction of measured rows below: a front then spreads over all levels of quality, where
    differences of fitness mostly tell working networks from broken ones. A known cost is scaled linearly.

    Args:
      values: float32[N, M], larger is better.
      is_measured: bool[N].
    """
    columns = [
        linear if known else _scores(column, is_measured)
        for linear, column, known in zip(_linear(goal, values).T, values.T, is_known(goal.objectives), strict=True)
    ]
    return jnp.where(is_measured[:, None], jnp.stack(columns, axis=1), 0.0)


def _scores(column, is_measured):
    """Returns the fraction of measured rows below, from 0 for the worst."""
    quantiles = regression_targets.quantiles(column, is_measured)
    worst = jnp.min(jnp.where(is_measured, quantiles, jnp.inf))
    return jnp.where(is_measured, (quantiles - worst) / (1.0 - worst), 0.0)


def known(goal: Goal, archs: chex.Array) -> chex.Array:
    """Returns float32[B, M], the scaled values of int32[B, L] that are known; NaN where predicted."""
    unknown = jnp.full((archs.shape[0], 1), jnp.nan)
    return _linear(goal, jnp.concatenate([unknown, objectives_lib.others(goal.objectives, archs, {})], axis=1))


def _linear(goal, values):
    return (values - goal.low[None]) / jnp.maximum(goal.high - goal.low, 1e-30)[None]


def expected(means: chex.Array, deviations: chex.Array, observed: chex.Array, is_known: tuple[bool, ...]) -> chex.Array:
    """Returns float32[C], the expected improvement of the hypervolume by each candidate; -1 where a mean is not finite.

    For two objectives the exact integral, a sum over the segments of the front of the expected width times the expected
    height (M. Emmerich et al., Hypervolume-based expected improvement, 2011). For more an average over 128 directions
    w, each with one sample of the values y, of the improvement of min(y / w)^M, whose mean over directions is
    proportional to the hypervolume (arXiv:2006.04655).

    Args:
      means: float32[C, M], scaled.
      deviations: float32[C, M], 0 where known.
      observed: float32[N, M], the points so far; 0 for none.
      is_known: of each objective, whether its deviations are 0.
    """
    is_finite = jnp.all(jnp.isfinite(means), axis=1)
    means = jnp.where(is_finite[:, None], means, 0.0)
    if observed.shape[1] == 2:
        found = _by_segments(means, deviations, observed, is_known)
    else:
        found = _by_directions(means, deviations, observed)
    return jnp.where(is_finite, found, -1.0)


def _by_directions(means, deviations, observed):
    """Returns `expected` for more than two objectives."""
    directions, noise = _directions(observed.shape[1])
    best = jnp.max(scalarized(observed), axis=0)

    def of_candidate(mean, deviation):
        samples = mean[None] + deviation[None] * noise
        values = jnp.min(jnp.maximum(samples, 0.0) / directions, axis=1) ** observed.shape[1]
        return jnp.mean(jnp.maximum(values - best, 0.0))

    return jax.lax.map(lambda pair: of_candidate(*pair), (means, deviations), batch_size=4096)


def margins(means: chex.Array, observed: chex.Array) -> chex.Array:
    """Returns float32[C], how far the first objective of each candidate lies above the front.

    -inf where a mean is not finite. It ranks candidates of equal deviations by the probability that they are on the
    front, however little hypervolume they add.

    Args:
      means: float32[C, M], scaled.
      observed: float32[N, M], the points so far; 0 for none.
    """

    def above(mean):
        is_as_good = jnp.all(observed[:, 1:] >= mean[None, 1:], axis=1)
        margin = mean[0] - jnp.max(jnp.where(is_as_good, observed[:, 0], 0.0))
        return jnp.where(jnp.all(jnp.isfinite(mean)), margin, -jnp.inf)

    return jax.lax.map(above, means, batch_size=1024)


def scalarized(points: chex.Array) -> chex.Array:
    """Returns float32[N, D], min(y / w)^M of each point y float32[N, M] and direction w.

    The mean over D of the maxima over N is proportional to the hypervolume.
    """
    directions, _ = _directions(points.shape[1])
    return jnp.min(jnp.maximum(points[:, None], 0.0) / directions[None], axis=2) ** points.shape[1]


def _directions(num_objectives):
    """Returns (float32[D, M], directions of length 1 with positive parts; float32[D, M], standard normal numbers)."""
    random = np.random.default_rng(0)
    directions = np.abs(random.standard_normal((_NUM_DIRECTIONS, num_objectives)))
    directions = np.maximum(directions / np.linalg.norm(directions, axis=1, keepdims=True), 1e-3)
    return np.float32(directions), np.float32(random.standard_normal(directions.shape))


def _by_segments(means, deviations, observed, is_known):
    """Returns `expected` for two objectives: the sum over the segments between points of the front."""
    ordered = observed[jnp.argsort(-observed[:, 0])]
    best = jax.lax.cummax(ordered[:, 1])
    is_front = jnp.diff(best, prepend=0.0) > 0
    first = jnp.argsort(~is_front, stable=True)
    edges, levels = ordered[first, 0], best[first]
    num_points = jnp.sum(is_front)

    def excess(column, level):
        mean = means[:, column]
        if is_known[column]:
            return jnp.maximum(mean - level, 0.0)
        return _expected_excess(mean, deviations[:, column], level)

    def add(at, carry):
        total, before = carry
        reached = excess(0, jnp.where(at < num_points, edges[at], 0.0))
        height = excess(1, jnp.where(at > 0, levels[at - 1], 0.0))
        return total + jnp.maximum(reached - before, 0.0) * height, reached

    zeros = jnp.zeros(means.shape[:1])
    return jax.lax.fori_loop(0, num_points + 1, add, (zeros, zeros))[0]


def _expected_excess(mean, deviation, level):
    """Returns E[max(y - level, 0)] of normal y."""
    deviation = jnp.maximum(deviation, 1e-7)
    standard = (mean - level) / deviation
    density = jnp.exp(-0.5 * standard**2) / np.sqrt(2.0 * np.pi)
    return jnp.maximum((mean - level) * jax.scipy.special.ndtr(standard) + deviation * density, 0.0)
