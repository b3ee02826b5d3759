"""Gaussian process over architectures with a Hamming kernel, updated one observation at a time.

The covariance of two architectures is s^2 r^d, where d is the number of decisions in which their canonical rows differ;
the noise has the variance s^2 n. The pair (r, n) of a grid with the largest marginal likelihood is used, and s^2 is its
maximum likelihood estimate. The inverse Cholesky factor of each pair grows by a row with each observation, so a round
costs products of matrices and no decomposition, which is slow or may hang in compiled loops.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import stats

from common import history as history_lib

SIMILARITIES = np.repeat(np.array([0.5, 0.7, 0.85, 0.95], np.float32), 2)  # r
NOISES = np.tile(np.array([0.01, 0.1], np.float32), 4)  # n


@chex.dataclass(frozen=True)
class Factors:
    """Inverse Cholesky factors of the covariances of the observed rows.

    Attributes:
      inverse: float32[G, N, N], for each pair of the grid; rows and columns of rows not observed are 0.
      is_observed: bool[N].
    """

    inverse: chex.Array
    is_observed: chex.Array


def empty(capacity: int) -> Factors:
    """Returns the factors of no observation."""
    return Factors(
        inverse=jnp.zeros((len(NOISES), capacity, capacity), jnp.float32), is_observed=jnp.zeros((capacity,), bool)
    )


def update(factors: Factors, history: history_lib.History) -> Factors:
    """Returns the factors with all measured rows of the history observed, in any order of arrival."""

    def is_new(factors):
        return history_lib.is_measured(history) & ~factors.is_observed

    def observe(factors):
        new = is_new(factors)
        at = jnp.argmax(new)
        distance = _distance(history.archs, history.archs[at][None])[:, 0]
        covariance = jnp.where(factors.is_observed, SIMILARITIES[:, None] ** distance[None], 0.0)
        row = jnp.einsum("gij,gj->gi", factors.inverse, covariance)
        pivot = jnp.maximum(1.0 + NOISES - jnp.sum(row**2, axis=1), NOISES)
        row = -jnp.einsum("gi,gij->gj", row, factors.inverse).at[:, at].set(-1.0) / jnp.sqrt(pivot)[:, None]
        inverse = factors.inverse.at[:, at].set(jnp.where(jnp.any(new), row, factors.inverse[:, at]))
        return Factors(inverse=inverse, is_observed=factors.is_observed.at[at].max(jnp.any(new)))

    # The first step is outside the loop: under `vmap` each iteration of a loop copies its carry.
    return jax.lax.while_loop(lambda factors: jnp.any(is_new(factors)), observe, observe(factors))


def posterior(
    factors: Factors, history: history_lib.History, targets: chex.Array, archs: chex.Array
) -> tuple[chex.Array, chex.Array]:
    """Returns (mean float32[B], standard deviation float32[B]) of the noiseless function at int32[B, L] `archs`.

    Args:
      targets: float32[N], observed values around a prior mean of 0.
      archs: canonical rows.
    """
    count = jnp.maximum(jnp.sum(factors.is_observed), 1)
    whitened = jnp.einsum("gij,j->gi", factors.inverse, jnp.where(factors.is_observed, targets, 0.0))
    variance = jnp.maximum(jnp.sum(whitened**2, axis=1) / count, 1e-6)
    diagonal = jnp.where(factors.is_observed[None], jnp.diagonal(factors.inverse, axis1=1, axis2=2), 1.0)
    at = jnp.argmax(jnp.sum(jnp.log(diagonal), axis=1) - 0.5 * count * jnp.log(variance))
    distance = _distance(history.archs, archs)
    covariance = jnp.where(factors.is_observed[:, None], jnp.asarray(SIMILARITIES)[at] ** distance, 0.0)
    cross = factors.inverse[at] @ covariance
    return whitened[at] @ cross, jnp.sqrt(variance[at] * jnp.maximum(1.0 - jnp.sum(cross**2, axis=0), 1e-6))


def expected_improvement(mean: chex.Array, deviation: chex.Array, best: chex.Array) -> chex.Array:
    """Returns E[max(f - best, 0)] of normal values f, of the shape of `mean` and `deviation`."""
    ratio = (mean - best) / deviation
    return deviation * (ratio * stats.norm.cdf(ratio) + stats.norm.pdf(ratio))


def _distance(archs, others):
    """Returns float32[N, B], the Hamming distances of int32[N, L] and int32[B, L]."""
    return jnp.sum(archs[:, None, :] != others[None, :, :], axis=-1).astype(jnp.float32)
