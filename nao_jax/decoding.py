"""Greedy decoding and beam search. Illegal tokens are masked, so every decoded sequence is legal."""

import chex
import jax
import jax.numpy as jnp

from nao_jax import model as models


def greedy(model: models.Model, params: chex.ArrayTree, latent: chex.Array, legal_tokens: chex.Array) -> chex.Array:
    """Decodes one sequence per latent, int32[B, T]: the likeliest legal token at each step.

    Args:
      latent: float32[B, S, H].
      legal_tokens: bool[T, V, V], whether token v (last axis) may follow token p (middle axis) at position t.
    """

    def step(carry, legal):
        state, last = carry
        state, logits = model.apply(params, state, last, latent, method="step")
        tokens = jnp.argmax(jnp.where(legal[last], logits, -jnp.inf), axis=-1).astype(jnp.int32)
        return (state, tokens), tokens

    state = model.apply(params, latent, method="start")
    last = jnp.full(latent.shape[:1], models.START, jnp.int32)
    return jax.lax.scan(step, (state, last), jnp.asarray(legal_tokens))[1].T


def beam(
    model: models.Model, params: chex.ArrayTree, latent: chex.Array, legal_tokens: chex.Array, *, width: int
) -> tuple[chex.Array, chex.Array]:
    """Decodes `width` sequences per latent by beam search.

    Probabilities are normalized over the legal tokens. If there are fewer than `width` legal sequences, the
    remaining ones repeat the likeliest at log-probability -inf.

    Args:
      latent: float32[B, S, H].
      legal_tokens: bool[T, V, V], as in `greedy`.
      width: size of the beam, at least 1; 1 decodes as `greedy`.

    Returns:
      (tokens int32[B, width, T], log-probabilities float32[B, width]), in decreasing order of likelihood.

    Raises:
      ValueError: if `width` is below 1.
    """
    if width < 1:
        raise ValueError(f"width must be at least 1; got {width}")
    batch, length, size = latent.shape[0], model.num_tokens, model.vocabulary_size
    latents = jnp.repeat(latent, width, axis=0)

    def step(carry, inputs):
        state, decoded, log_probs = carry
        at, legal = inputs
        last = jnp.where(at > 0, decoded[:, :, at - 1], models.START)
        state, logits = model.apply(params, state, last.reshape(-1), latents, method="step")
        logits = jnp.where(legal[last], logits.reshape(batch, width, size), -jnp.inf)
        totals = jnp.where(legal[last], log_probs[:, :, None] + jax.nn.log_softmax(logits), -jnp.inf)
        log_probs, chosen = jax.lax.top_k(totals.reshape(batch, width * size), width)
        parents, tokens = chosen // size, chosen % size
        decoded = jnp.take_along_axis(decoded, parents[:, :, None], axis=1).at[:, :, at].set(tokens)
        rows = (parents + width * jnp.arange(batch)[:, None]).reshape(-1)
        return (jax.tree.map(lambda x: x[rows], state), decoded, log_probs), None

    # Initially all beams of a latent are the same empty sequence, of which only one counts.
    log_probs = jnp.broadcast_to(jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)[None], (batch, width))
    decoded = jnp.zeros((batch, width, length), jnp.int32)
    first = (model.apply(params, latents, method="start"), decoded, log_probs)
    (_, decoded, log_probs), _ = jax.lax.scan(step, first, (jnp.arange(length), jnp.asarray(legal_tokens)))
    return jnp.where(jnp.isfinite(log_probs)[:, :, None], decoded, decoded[:, :1]), log_probs
