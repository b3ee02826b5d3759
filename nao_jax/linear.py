"""Linear maps of long sequences, quick to differentiate.

The gradient of the weights is a product whose inner axis is long (all steps of all sequences) and whose
outer axes are short. On processors it is up to twice as fast with the left factor transposed beforehand.
"""

import chex
import jax
import jax.numpy as jnp


@jax.custom_vjp
def product(inputs: chex.Array, weights: chex.Array) -> chex.Array:
    """Returns `inputs` float32[..., E] times `weights` float32[E, G]: float32[..., G]."""
    return jnp.dot(inputs, weights)


def weight_gradient(inputs: chex.Array, d_outputs: chex.Array) -> chex.Array:
    """Returns float32[E, G], the gradient of weights that map float32[..., E] to float32[..., G]."""
    transposed = jax.lax.optimization_barrier(d_outputs.reshape(-1, d_outputs.shape[-1]).T)
    return jnp.dot(transposed, inputs.reshape(-1, inputs.shape[-1])).T


def _forward(inputs, weights):
    return product(inputs, weights), (inputs, weights)


def _backward(residuals, d_outputs):
    inputs, weights = residuals
    return jnp.dot(d_outputs, weights.T), weight_gradient(inputs, d_outputs)


product.defvjp(_forward, _backward)
