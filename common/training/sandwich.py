"""Gradients of several architectures of elastic weights in one step: the sandwich rule and in-place distillation.

Universally slimmable networks (arXiv:1903.05134), BigNAS (arXiv:2003.11142): a step sums the gradients of the largest
network, of the smallest and of random ones between. The largest learns from the labels, the others from its outputs, by
cross-entropy or by the adaptive divergence of AlphaNet (arXiv:2102.07954).
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

Params = Any
_LARGEST_POWER = 5.0


def value_and_grad(
    loss: Callable[[Params, chex.Array, chex.Array, chex.Array], tuple[chex.Array, tuple[chex.Array, Any]]],
    params: Params,
    archs: chex.Array,
    targets: chex.Array,
) -> tuple[tuple[chex.Array, tuple[chex.Array, Any]], Params]:
    """Returns ((loss, auxiliary outputs) of the first architecture, the sum of the gradients of all).

    The architectures are computed one after the other by one program, so that each costs what it costs alone.

    Args:
      loss: (params, arch int32[L], targets float32[B, K], whether they are predictions bool[]) -> (float32[], (logits
        float32[B, K], others)).
      params: elastic weights.
      archs: int32[M, L], the largest first.
      targets: float32[B, K], probabilities of the classes, for the largest; the targets of the others are the
        probabilities that it predicts.
    """

    def add(carry, arch):
        gradients, targets, is_first = carry
        (value, (logits, others)), gradient = jax.value_and_grad(loss, has_aux=True)(params, arch, targets, ~is_first)
        predicted = jax.nn.softmax(jax.lax.stop_gradient(logits).astype(targets.dtype))
        carry = jax.tree.map(jnp.add, gradients, gradient), jnp.where(is_first, predicted, targets), jnp.bool_(False)
        return carry, (value, (logits, others))

    start = jax.tree.map(jnp.zeros_like, params), targets, jnp.bool_(True)
    (gradients, _, _), outputs = jax.lax.scan(add, start, archs)
    return jax.tree.map(lambda values: values[0], outputs), gradients


def adaptive_divergence(logits: chex.Array, targets: chex.Array) -> chex.Array:
    """Returns float32[], the divergence of the predictions of a network from those of the largest, to be minimized.

    Of each image the larger one of two alpha-divergences (AlphaNet, arXiv:2102.07954; settings of its program): alpha 1
    penalizes probabilities that are too small, alpha -1 those that are too large. The ratios of the latter are clipped,
    and the gradient is that of the score function.

    Args:
      logits: float32[B, K].
      targets: float32[B, K], probabilities that the largest network predicts.
    """
    log_predicted = jax.nn.log_softmax(logits)
    fixed = jax.lax.stop_gradient(log_predicted)
    predicted, log_ratio = jnp.exp(fixed), jnp.log(jnp.maximum(targets, 1e-30)) - fixed
    powers = jnp.minimum(jnp.exp(-log_ratio), _LARGEST_POWER)
    too_large, too_small = jnp.sum(predicted * (powers - 1) / 2, axis=1), optax.kl_divergence(fixed, targets)
    weights = jnp.where((too_large > too_small)[:, None], predicted * (0.5 - powers), targets)
    with_gradient = -jnp.sum(weights * log_predicted, axis=1)
    return jnp.mean(jnp.maximum(too_large, too_small) + with_gradient - jax.lax.stop_gradient(with_gradient))
