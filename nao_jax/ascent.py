"""The climb: from an architecture's latent along the gradient of its predicted fitness (NAO, section 3.3).

The predictor is a function of the latent alone, so the direction is `jax.grad` of the prediction. Each step
size starts from the architecture's own latent: one step, not several small ones.
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
    """Moves one latent one step up: back to unit length of H + eta dp/dH.

    Fitness is larger the better everywhere here, so the step goes up; the released code of NAO goes down as
    it predicts errors.

    Args:
      predict: float32[S, H] -> float32[], the prediction.
      latent: float32[S, H], rows of length 1.
      step_size: float32[], eta, at least 0.
      is_unit: whether the gradient is scaled so that its S rows have a root mean square length of 1; a step
        size then means the same at every scale of the predictions.

    Returns:
      float32[S, H], rows of length 1.
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
    """Climbs from each of B latents by each step size and decodes where it arrives.

    Args:
      model: the networks.
      params: their parameters.
      latent: float32[B, S, H].
      legal_tokens: bool[T, V, V].
      config: the settings; K = num_steps, W = beam_width.

    Returns:
      int32[K, B, W, T], the smallest step size first, the likeliest of a beam first.
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
