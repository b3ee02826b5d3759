"""Acquisition for several objectives: the candidate of a leaf with the largest expected improvement of the hypervolume.

The tree splits by dominance and the bound of a node has the hypervolume of its rows as value, as in LaMOO
(arXiv:2110.03173); within the leaf the Gaussian process predicts each objective that is not known from the row.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from common import front_improvement
from common import history as histories
from common import objectives as objectives_lib
from lanas_jax import kernel
from lanas_jax import process as processes
from lanas_jax import tree as trees


class Outlook(NamedTuple):
    """Everything known about a list of candidates at the start of a round, scaled."""

    means: chex.Array  # float32[C, M]
    deviations: chex.Array  # float32[C, M], 0 where known
    observed: chex.Array  # float32[K, M], the measured rows and those selected in this round; 0 for none


def look(
    goal: front_improvement.Goal,
    regressor: processes.Process,
    features: chex.Array,
    history: histories.History,
    archs: chex.Array,
    inputs: chex.Array,
    predict: Callable[[kernel.Posterior, chex.Array], chex.Array],
) -> Outlook:
    """Returns the predicted means and deviations of the objectives of candidates.

    Args:
      regressor: the process of the last fit.
      features: float32[N, F], of the history.
      archs: int32[C, L], the candidates.
      inputs: float32[C, F], their features.
      predict: (posterior, inputs) -> float32[C].
    """
    known = front_improvement.known(goal, archs)
    observed = front_improvement.scaled(goal, objectives_lib.values(history), histories.is_measured(history))
    means, deviations = [], []
    for column, is_exact in enumerate(front_improvement.is_known(goal.objectives)):
        if is_exact:
            means.append(known[:, column])
            deviations.append(jnp.zeros_like(known[:, column]))
        else:
            posterior = kernel.posterior(regressor, features, observed[:, column])
            means.append(predict(posterior, inputs))
            deviations.append(kernel.deviations(posterior, inputs))
    return Outlook(means=jnp.stack(means, axis=1), deviations=jnp.stack(deviations, axis=1), observed=observed)


def choose(goal: front_improvement.Goal, outlook: Outlook, is_candidate: chex.Array, noise: chex.Array) -> chex.Array:
    """Returns int32[], the candidate of the largest expected improvement.

    Args:
      outlook: with the rows selected in this round so far.
      is_candidate: bool[C].
      noise: float32[C], uniform in [0, 1), breaks ties.
    """
    is_known = front_improvement.is_known(goal.objectives)
    score = front_improvement.expected(outlook.means, outlook.deviations, outlook.observed, is_known) + 1e-12 * noise
    return jnp.argmax(jnp.where(is_candidate, score, -jnp.inf)).astype(jnp.int32)


def believe(outlook: Outlook, observed: chex.Array, at: chex.Array) -> chex.Array:
    """Returns float32[K, M] `observed` with the candidate int32[] `at` in place of a row of zeros, as if measured.

    It counts as one deviation above its prediction, so that the next ones of the round improve another part of the
    front.
    """
    value = jnp.minimum(outlook.means[at] + outlook.deviations[at], 1.0)
    value = jnp.where(jnp.isfinite(value), value, 0.0)
    return observed.at[jnp.argmin(jnp.max(observed, axis=1))].set(value)


def with_hypervolumes(
    goal: front_improvement.Goal, tree: trees.Tree, history: histories.History, leaves: chex.Array
) -> trees.Tree:
    """Returns the tree with the hypervolumes of the rows of each node as means; `leaves` int32[N] are those of rows."""
    is_measured = histories.is_measured(history)
    observed = front_improvement.scaled(goal, objectives_lib.values(history), is_measured)
    inner = trees.num_inner(tree)
    at = jnp.where(is_measured, leaves - inner, inner + 1)
    best = jax.ops.segment_max(front_improvement.scalarized(observed), at, num_segments=inner + 2)[: inner + 1]
    levels = [jnp.maximum(best, 0.0)]
    while levels[-1].shape[0] > 1:
        levels.append(jnp.max(levels[-1].reshape(-1, 2, best.shape[1]), axis=1))
    return tree.replace(
        total=jnp.mean(jnp.concatenate(levels[::-1]), axis=1), num_valued=jnp.ones_like(tree.num_valued)
    )
