"""Gradients of several architectures of elastic weights in one step: the sandwich rule and in-place distillation.

Universally slimmable networks (arXiv:1903.05134), BigNAS (arXiv:2003.11142): a step sums the gradients of the largest
network, of the smallest and of random ones between. The largest learns from the labels, the others from its outputs.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

Params = Any


def value_and_grad(
    loss: Callable[[Params, chex.Array, chex.Array], tuple[chex.Array, tuple[chex.Array, Any]]],
    params: Params,
    archs: chex.Array,
    targets: chex.Array,
) -> tuple[tuple[chex.Array, tuple[chex.Array, Any]], Params]:
    """Returns ((loss, auxiliary outputs) of the first architecture, the sum of the gradients of all).

    The architectures are computed one after the other by one program, so that each costs what it costs alone.

    Args:
      loss: (params, arch int32[L], targets float32[B, K]) -> (float32[], (logits float32[B, K], others)).
      params: elastic weights.
      archs: int32[M, L], the largest first.
      targets: float32[B, K], probabilities of the classes, for the largest; the targets of the others are the
        probabilities that it predicts.
    """

    def add(carry, arch):
        gradients, targets, is_first = carry
        (value, (logits, others)), gradient = jax.value_and_grad(loss, has_aux=True)(params, arch, targets)
        predicted = jax.nn.softmax(jax.lax.stop_gradient(logits).astype(targets.dtype))
        carry = jax.tree.map(jnp.add, gradients, gradient), jnp.where(is_first, predicted, targets), jnp.bool_(False)
        return carry, (value, (logits, others))

    start = jax.tree.map(jnp.zeros_like, params), targets, jnp.bool_(True)
    (gradients, _, _), outputs = jax.lax.scan(add, start, archs)
    return jax.tree.map(lambda values: values[0], outputs), gradients
