"""Diagnostics of the tree of a search, per round. No search depends on them."""

import chex
import jax
import jax.numpy as jnp

from common import compilation, metrics
from common import history as histories

_MAX_COMPARED = 256


@compilation.in_32_bits
def of_round(state, history: histories.History, *, has_sampler: bool = True) -> dict[str, chex.Array]:
    """Returns the diagnostics of a round after its evaluations.

    Args:
      state: the `lanas_jax.search.State` after the proposal.
      history: with the results of the round.
      has_sampler: whether candidates are sampled, not chosen from a list.

    Returns:
      leaves: float32[N], the leaf of each architecture proposed since the last fit.
      leaf_kendall_tau: rank correlation of their leaves, from the best to the worst, with their fitness.
      acceptance_rate: of all candidates sampled so far, the fraction in the region of the chosen leaf.
      num_fallbacks: proposals so far from the region of an ancestor, as no candidate of the leaf was found.
      The last two with a sampler only; NaN before the first fit, and for other architectures.
    """
    is_later = jnp.arange(history.status.shape[0]) >= state.fitted_size
    is_proposed = is_later & (state.leaves >= 0)
    # The correlation compares all pairs, so of long histories it sees the first architectures since the last fit.
    num_rows = history.status.shape[0]
    first = jnp.clip(state.fitted_size, 0, max(num_rows - _MAX_COMPARED, 0))
    leaves, fitness, is_new = (
        jax.lax.dynamic_slice(each, (first,), (min(num_rows, _MAX_COMPARED),))
        for each in (state.leaves, history.fitness, is_proposed & histories.is_measured(history))
    )
    found = {
        "leaves": jnp.where(is_proposed, state.leaves.astype(jnp.float32), jnp.nan),
        "leaf_kendall_tau": metrics.kendall_tau(
            -leaves.astype(jnp.float32), jnp.where(is_new, fitness, 0.0), where=is_new
        ),
    }
    if has_sampler:
        has_sampled = state.tried > 0
        found["acceptance_rate"] = jnp.where(has_sampled, state.accepted / state.tried, jnp.nan)
        found["num_fallbacks"] = jnp.where(has_sampled, state.fallbacks, jnp.nan)
    return found
