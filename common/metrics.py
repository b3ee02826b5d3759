"""What is measured of a search and of a predictor. Functions of one item; `vmap` them over seeds."""

import chex
import jax
import jax.numpy as jnp

VALUE_TOLERANCE = 1e-6  # float32 fractions of one value differ by less, accuracies of 10,000 images by 1e-4


def best_so_far(fitness: chex.Array, is_measured: chex.Array) -> chex.Array:
    """Returns the best fitness after each row of a history: float32[N], the curve of a search.

    Args:
      fitness: float32[N], fractions in the order proposed; ignored where not measured.
      is_measured: bool[N]. Other rows (infeasible ones) count as queries that gave nothing.

    Returns:
      float32[N], the largest of the first i + 1 rows at i; -inf before the first measured row.
    """
    chex.assert_equal_shape([fitness, is_measured])
    return jax.lax.cummax(jnp.where(is_measured, fitness, -jnp.inf))


def value_at(curve: chex.Array, queries: chex.Array | int) -> chex.Array:
    """Returns the value of a curve float32[N] after `queries` rows, 1 to N; beyond N the last value.

    Raises:
      ValueError: if `queries` is a number below 1.
    """
    if isinstance(queries, int) and queries < 1:
        raise ValueError(f"queries = {queries}; a curve has values after 1 query or more")
    return curve[jnp.clip(queries - 1, 0, curve.shape[0] - 1)]


def simple_regret(fitness: chex.Array, is_measured: chex.Array, optimum: chex.Array | float) -> chex.Array:
    """Returns how far the best measured row is below the optimum: float32[], inf if nothing is measured.

    The simple regret of Bubeck, Munos and Stoltz (arXiv:0802.2655, section 2), of the recommendation that
    has the best measured fitness.

    Args:
      fitness: float32[N], fractions; ignored where not measured.
      is_measured: bool[N].
      optimum: the best fitness there is.
    """
    return optimum - jnp.max(jnp.where(is_measured, fitness, -jnp.inf))


def queries_to_optimum(
    fitness: chex.Array,
    is_measured: chex.Array,
    optimum: chex.Array | float,
    *,
    budget: int,
    tolerance: float = VALUE_TOLERANCE,
) -> tuple[chex.Array, chex.Array]:
    """Counts the architectures measured until the best one was, as LaNAS is compared (arXiv:1906.06832).

    The best one is known by its value, so that any of several equal ones counts. The rows of a history
    are all different, so the count is the position.

    Args:
      fitness: float32[N], fractions in the order proposed; ignored where not measured.
      is_measured: bool[N]. Other rows count as queries all the same.
      optimum: the best fitness there is.
      budget: rows that count; a search that did not find the optimum among them counts as `budget`.
      tolerance: how far below `optimum` a float32 of the same value may be.

    Returns:
      (int32[] queries from 1 to `budget`, bool[] whether the optimum was found).
    """
    is_best = is_measured & (fitness >= optimum - tolerance) & (jnp.arange(fitness.shape[0]) < budget)
    is_found = jnp.any(is_best)
    return jnp.where(is_found, jnp.argmax(is_best) + 1, budget).astype(jnp.int32), is_found


def kendall_tau(
    prediction: chex.Array,
    truth: chex.Array,
    *,
    where: chex.Array | None = None,
    groups: chex.Array | None = None,
) -> chex.Array:
    """Returns Kendall's rank correlation with ties, tau-b: float32[] in [-1, 1].

    With C pairs in the same and D pairs in the opposite order, of n pairs of which p and t are tied in
    the prediction and in the truth: (C - D) / sqrt((n - p) (n - t)). M. G. Kendall, "The treatment of
    ties in ranking problems", Biometrika 33, 1945.

    Compares all pairs: time grows with the square of B, which may be up to 40,000.

    Args:
      prediction: float[B], larger is better.
      truth: float[B], larger is better.
      where: bool[B], the rows that count; by default all.
      groups: int32[B]; given, only pairs of one group count.

    Returns:
      float32[]; NaN where all of `prediction` or all of `truth` are tied.
    """
    order, truth_order = _pair_orders(prediction, truth, where, groups)
    agreement = jnp.sum(order * truth_order)
    num_ordered = jnp.sum(order != 0).astype(jnp.float32), jnp.sum(truth_order != 0).astype(jnp.float32)
    return agreement.astype(jnp.float32) / (jnp.sqrt(num_ordered[0]) * jnp.sqrt(num_ordered[1]))


def pairwise_accuracy(
    prediction: chex.Array,
    truth: chex.Array,
    *,
    where: chex.Array | None = None,
    groups: chex.Array | None = None,
) -> chex.Array:
    """Returns the fraction of pairs that a predictor puts in the right order: float32[] in [0, 1].

    The measure of NAO's performance predictor (arXiv:1808.07233, figure 2): 0.5 is chance. Pairs that
    are tied in the truth do not count and a tie in the prediction counts half, so that a constant
    predictor is at chance; the original code takes a tie for "greater" on both sides.

    Compares all pairs: time grows with the square of B, which may be up to 40,000.

    Args:
      prediction: float[B], larger is better.
      truth: float[B], larger is better.
      where: bool[B], the rows that count; by default all.
      groups: int32[B]; given, only pairs of one group count.

    Returns:
      float32[]; NaN where all of `truth` are tied.
    """
    order, truth_order = _pair_orders(prediction, truth, where, groups)
    num_pairs = jnp.sum(truth_order != 0).astype(jnp.float32)
    return 0.5 + 0.5 * jnp.sum(order * truth_order).astype(jnp.float32) / num_pairs


def _pair_orders(prediction, truth, where, groups):
    """int32[B, B] each: the sign of value i less value j for pairs i < j that count, 0 elsewhere."""
    chex.assert_equal_shape([prediction, truth])
    where = jnp.ones(truth.shape, bool) if where is None else where
    is_pair = jnp.triu(where[:, None] & where[None, :], k=1)
    if groups is not None:
        is_pair &= groups[:, None] == groups[None, :]

    def order(values):
        return jnp.where(is_pair, jnp.sign(values[:, None] - values[None, :]), 0).astype(jnp.int32)

    return order(prediction), order(truth)
