"""Diagnostics of the networks of a search, per round. No search depends on them."""

import chex
import jax
import jax.numpy as jnp

from common import compilation, metrics
from common import history as histories
from nao_jax import decoding, learning

_NUM_RECONSTRUCTED = 64  # random architectures, encoded and decoded


@compilation.in_32_bits
def of_round(setting: learning.Setting, pool: chex.Array, state, history: histories.History) -> dict[str, chex.Array]:
    """Returns the diagnostics of a round after its evaluations.

    Args:
      pool: int32[P, L], the rows of a listed space.
      state: a `nao_jax.search.State`.
      history: with the results of the round.

    Returns:
      held_out_pairwise_accuracy, held_out_kendall_tau: of predictions for architectures measured since the last
      fit, or in the fold that a network leaves out, by the networks that were not fitted to them (NAO, figure 2).
      num_held_out: number of these architectures.
      pairwise_accuracy, kendall_tau: of all predictions so far for decoded architectures, made before these were
      measured; only architectures proposed by the same fit are compared with each other.
      hamming_distance, exact_reconstruction: mean number of wrong tokens, and fraction without any, of 64 random
      architectures, encoded and decoded (NAO, figure 2).
      predicted_gain, realised_gain: float32[N] each, of every architecture decoded since the last fit over the
      best measured before, in the unit of the target and in fitness. NaN elsewhere.
      invalid, known, repeated, new: fractions of the decoded architectures. filled: number of random proposals;
      num_filled: in all rounds.
      All are NaN if undefined, as before the first fit.
    """
    has_fitted = state.fitted_size > 0
    values = {
        **_held_out(setting, state, history),
        **_proposed(state, history),
        **_reconstruction(setting, pool, state),
        **_gains(state, history),
        **_shares(state),
    }
    return {name: jnp.where(has_fitted, value, jnp.nan) for name, value in values.items()}


def _held_out(setting, state, history):
    is_measured = histories.is_measured(history)
    capacity = is_measured.shape[0]
    is_later = jnp.arange(capacity) >= state.fitted_size
    is_unseen = (learning.held_out(setting.config, capacity) | is_later[None]) & is_measured[None]  # [M, N]
    archs = jnp.where((history.status > 0)[:, None], history.archs, history.archs[:1])
    predictions = learning.predict(setting, state.networks, archs)
    num_networks = jnp.sum(is_unseen, axis=0)
    prediction = jnp.sum(jnp.where(is_unseen, predictions, 0.0), axis=0) / jnp.maximum(num_networks, 1)
    where = num_networks > 0
    fitness = jnp.where(is_measured, history.fitness, 0.0)
    return {
        "held_out_pairwise_accuracy": metrics.pairwise_accuracy(prediction, fitness, where=where),
        "held_out_kendall_tau": metrics.kendall_tau(prediction, fitness, where=where),
        "num_held_out": jnp.sum(where).astype(jnp.float32),
    }


def _proposed(state, history):
    where = histories.is_measured(history) & jnp.isfinite(state.predicted)
    prediction, fitness = (jnp.where(where, values, 0.0) for values in (state.predicted, history.fitness))
    return {
        "pairwise_accuracy": metrics.pairwise_accuracy(prediction, fitness, where=where, groups=state.proposed_by),
        "kendall_tau": metrics.kendall_tau(prediction, fitness, where=where, groups=state.proposed_by),
    }


def _reconstruction(setting, pool, state):
    # The same ones in every round, so that rounds can be compared.
    archs = learning.sample(jax.random.key(0), setting.space, pool, _NUM_RECONSTRUCTED)
    tokens = setting.space.tokens(archs)
    legal = jnp.asarray(setting.space.legal_tokens)
    latents = learning.encode(setting, state.networks, archs)
    decoded = jax.vmap(lambda params, latent: decoding.greedy(setting.model, params, latent, legal))(
        state.networks.params, latents
    )
    num_wrong = jnp.sum(decoded != tokens[None], axis=-1)
    return {"hamming_distance": jnp.mean(num_wrong), "exact_reconstruction": jnp.mean(num_wrong == 0)}


def _gains(state, history):
    is_later = jnp.arange(history.status.shape[0]) >= state.fitted_size
    is_measured = histories.is_measured(history)
    best = jnp.max(jnp.where(is_measured & ~is_later, history.fitness, -jnp.inf))
    where = is_later & is_measured & jnp.isfinite(state.predicted) & jnp.isfinite(best)
    return {
        "predicted_gain": jnp.where(where, state.predicted - state.base, jnp.nan),
        "realised_gain": jnp.where(where, history.fitness - best, jnp.nan),
    }


def _shares(state):
    tally = state.tally
    shares = {name: tally[name] / tally.decoded for name in ("invalid", "known", "repeated", "new")}
    return {**shares, "filled": tally.filled, "num_filled": state.num_filled}
