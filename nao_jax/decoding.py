"""Writing architectures from latents: the likeliest token at each step, or a beam of sequences.

Tokens that may not stand at a position after the one before are out of the choice, so what is written
is always legal.
"""

import chex
import jax
import jax.numpy as jnp

from nao_jax import model as models


def greedy(model: models.Model, params: chex.ArrayTree, latent: chex.Array, legal_tokens: chex.Array) -> chex.Array:
    """Writes one sequence per latent, at each step the likeliest legal token.

    Args:
      model: the networks.
      params: their parameters.
      latent: float32[B, S, H].
      legal_tokens: bool[T, V, V]; may token v (last axis) stand at position t after token p (middle axis)?

    Returns:
      int32[B, T].
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
    """Writes several sequences per latent, keeping the `width` likeliest beginnings at each step.

    The likelihood of a token is relative to the legal ones. Where there are fewer than `width` legal
    sequences, those missing repeat the likeliest one at log-probability -inf.

    Args:
      model: the networks.
      params: their parameters.
      latent: float32[B, S, H].
      legal_tokens: bool[T, V, V], as in `greedy`.
      width: sequences kept; with 1 the sequence is that of `greedy`.

    Returns:
      (tokens int32[B, width, T], log-probabilities float32[B, width]), the likeliest first.

    Raises:
      ValueError: if `width` is below 1.
    """
    if width < 1:
        raise ValueError(f"width is {width}; it must be at least 1")
    batch, length, size = latent.shape[0], model.num_tokens, model.vocabulary_size
    latents = jnp.repeat(latent, width, axis=0)

    def step(carry, inputs):
        state, written, log_probs = carry
        at, legal = inputs
        last = jnp.where(at > 0, written[:, :, at - 1], models.START)
        state, logits = model.apply(params, state, last.reshape(-1), latents, method="step")
        logits = jnp.where(legal[last], logits.reshape(batch, width, size), -jnp.inf)
        totals = jnp.where(legal[last], log_probs[:, :, None] + jax.nn.log_softmax(logits), -jnp.inf)
        log_probs, chosen = jax.lax.top_k(totals.reshape(batch, width * size), width)
        parents, tokens = chosen // size, chosen % size
        written = jnp.take_along_axis(written, parents[:, :, None], axis=1).at[:, :, at].set(tokens)
        rows = (parents + width * jnp.arange(batch)[:, None]).reshape(-1)
        return (jax.tree.map(lambda x: x[rows], state), written, log_probs), None

    # At first all beams of a latent are the same empty sequence: only one of them counts.
    log_probs = jnp.broadcast_to(jnp.where(jnp.arange(width) == 0, 0.0, -jnp.inf)[None], (batch, width))
    written = jnp.zeros((batch, width, length), jnp.int32)
    first = (model.apply(params, latents, method="start"), written, log_probs)
    (_, written, log_probs), _ = jax.lax.scan(step, first, (jnp.arange(length), jnp.asarray(legal_tokens)))
    return jnp.where(jnp.isfinite(log_probs)[:, :, None], written, written[:, :1]), log_probs
