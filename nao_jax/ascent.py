"""Gradient ascent of the predicted fitness in the latent space (NAO, section 3.3).

The predictor is a function of the latent alone, so the direction is `jax.grad` of the prediction. Every step
size is a single step from the architecture's own latent.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from nao_jax import config as configs
from nao_jax import decoding, encoder
from nao_jax import model as models


def step(
    predict: Callable[[chex.Array], chex.Array], latent: chex.Array, step_size: chex.Array, *, is_unit: bool
) -> chex.Array:
    """Moves a latent H by one ascent step, H + eta dp/dH, and returns it with rows of length 1.

    The released code of NAO predicts errors, so its step goes down.

    Args:
      predict: float32[S, H] -> float32[], the prediction.
      latent: float32[S, H], rows of length 1.
      step_size: float32[], eta, at least 0.
      is_unit: whether the gradient is scaled so that its S rows have a root mean square length of 1, which
        makes step sizes independent of the scale of the predictions.
    """
    gradient = jax.grad(predict)(latent)
    if is_unit:
        square = jnp.mean(jnp.sum(gradient**2, axis=-1))
        gradient = gradient / jnp.sqrt(jnp.maximum(square, 1e-20))
    return encoder.to_unit_length(latent + step_size * gradient)


def climb(
    model: models.Model,
    params: chex.ArrayTree,
    latent: chex.Array,
    legal_tokens: chex.Array,
    *,
    config: configs.Config,
) -> chex.Array:
    """Moves each of B latents by each step size and decodes the results.

    Args:
      latent: float32[B, S, H].
      legal_tokens: bool[T, V, V].
      config: the settings; K = num_steps, W = beam_width.

    Returns:
      int32[K, B, W, T], tokens in increasing order of step size and decreasing likelihood within a beam.
    """

    def predict(one):
        return model.apply(params, one[None], method="predict")[0]

    def move(one, step_size):
        return step(predict, one, step_size, is_unit=config.has_unit_gradient)

    step_sizes = config.step_size * jnp.arange(1.0, config.num_steps + 1.0)
    moved = jax.vmap(jax.vmap(move, in_axes=(0, None)), in_axes=(None, 0))(latent, step_sizes)
    flat = moved.reshape(-1, *latent.shape[1:])
    if config.beam_width == 1:
        tokens = decoding.greedy(model, params, flat, legal_tokens)
    else:
        tokens = decoding.beam(model, params, flat, legal_tokens, width=config.beam_width)[0]
    return tokens.reshape(config.num_steps, latent.shape[0], config.beam_width, -1)
