"""Metrics of fitness predictors: rank correlation and pairwise accuracy. Functions of one item, to be `vmap`ped."""

import chex
import jax.numpy as jnp

VALUE_TOLERANCE = 1e-6  # float32 fractions of one value differ by less, accuracies of 10,000 images by 1e-4


def kendall_tau(
    prediction: chex.Array, truth: chex.Array, *, where: chex.Array | None = None, groups: chex.Array | None = None
) -> chex.Array:
    """Returns tau-b, Kendall's rank correlation with ties: float32[] in [-1, 1], NaN where one side is all tied.

    With C pairs in the same and D pairs in the opposite order, of n pairs of which p and t are tied in
    the prediction and in the truth: (C - D) / sqrt((n - p) (n - t)). M. G. Kendall, "The treatment of
    ties in ranking problems", Biometrika 33, 1945.

    Compares all pairs: time grows with the square of B, which may be up to 40,000.

    Args:
      prediction: float[B], larger is better.
      truth: float[B], larger is better.
      where: bool[B], the rows that count; by default all.
      groups: int32[B]; given, only pairs of one group count.
    """
    order, truth_order = _pair_orders(prediction, truth, where, groups)
    agreement = jnp.sum(order * truth_order)
    num_ordered = jnp.sum(order != 0).astype(jnp.float32), jnp.sum(truth_order != 0).astype(jnp.float32)
    return agreement.astype(jnp.float32) / (jnp.sqrt(num_ordered[0]) * jnp.sqrt(num_ordered[1]))


def pairwise_accuracy(
    prediction: chex.Array, truth: chex.Array, *, where: chex.Array | None = None, groups: chex.Array | None = None
) -> chex.Array:
    """Returns the fraction of pairs in the right order: float32[] in [0, 1], NaN where all of `truth` are tied.

    The measure of NAO's performance predictor (arXiv:1808.07233, figure 2): 0.5 is chance. Pairs that
    are tied in the truth do not count and a tie in the prediction counts half, so that a constant
    predictor is at chance; the original code takes a tie for "greater" on both sides.

    Compares all pairs: time grows with the square of B, which may be up to 40,000.

    Args:
      prediction: float[B], larger is better.
      truth: float[B], larger is better.
      where: bool[B], the rows that count; by default all.
      groups: int32[B]; given, only pairs of one group count.
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
