"""Regression targets of fitness predictors: scaled fitness or rank scores."""

import functools

import chex
import jax.numpy as jnp
from jax.scipy import special

from common import compilation

TARGETS = ("exponential_scores", "normal_scores", "fitness", "min_max", "z_score")


@functools.partial(compilation.one_program, static_argnames="target")
def targets(fitness: chex.Array, is_measured: chex.Array, *, target: str) -> chex.Array:
    """Returns the regression targets of a history, float32[N], 0 where not measured.

    Accuracies have a long tail of broken architectures and crowd at the top. If they are fitted directly, as in the
    papers, the few broken architectures dominate the model and a search gets stuck in a wrong region. Rank scores are
    robust to them, and exponential scores also spread the best architectures apart.

    Args:
      fitness: float32[N].
      is_measured: bool[N], the rows to fit.
      target: one of `TARGETS`. "fitness": unchanged. "min_max": scaled to [0, 1] (NAO). "z_score": standardized
        (SemiNAS). Both are 0 if all values are equal. "normal_scores": the normal quantile of each rank (mean 0,
        variance about 1). "exponential_scores": the exponential quantile of each rank minus 1 (likewise). Tied values
        share their mean rank.
    """
    if target in ("exponential_scores", "normal_scores"):
        values = _scores(fitness, is_measured, is_normal=target == "normal_scores")
    else:
        values = _scaled(jnp.where(is_measured, fitness, 0.0), is_measured, target=target)
    return jnp.where(is_measured, values, 0.0)


def _scaled(fitness, is_measured, *, target):
    if target == "fitness":
        return fitness
    if target == "min_max":
        low = jnp.min(fitness, initial=jnp.inf, where=is_measured)
        width = jnp.max(fitness, initial=-jnp.inf, where=is_measured) - low
    else:
        count = jnp.maximum(jnp.sum(is_measured), 1)
        low = jnp.sum(fitness) / count
        width = jnp.sqrt(jnp.sum(jnp.where(is_measured, fitness - low, 0.0) ** 2) / count)
    # Rounding alone must not make differences: fitness is a fraction in float32.
    return jnp.where(width > 1e-7, (fitness - low) / jnp.maximum(width, 1e-7), 0.0)


def quantiles(fitness: chex.Array, is_measured: chex.Array) -> chex.Array:
    """Returns float32[N], the rank of each of float32[N] `fitness` less one half, by the number of measured ones.

    Tied values share their mean rank.
    """
    filled = jnp.where(is_measured, fitness, jnp.inf)
    ordered = jnp.sort(filled)
    below = jnp.searchsorted(ordered, filled, side="left")
    up_to = jnp.searchsorted(ordered, filled, side="right")
    middle = 0.5 * (below + up_to).astype(jnp.float32)  # the rank, from 1, less one half
    return middle / jnp.maximum(jnp.sum(is_measured), 1)


def _scores(fitness, is_measured, *, is_normal):
    quantile = jnp.clip(quantiles(fitness, is_measured), 1e-6, 1.0 - 1e-6)
    return special.ndtri(quantile) if is_normal else -jnp.log1p(-quantile) - 1.0
