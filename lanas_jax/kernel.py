"""Gaussian process over architectures: the regressor of the default LaNAS.

Additive models of one-hot decisions cannot express that an operation pays only together with another. The kernels
exp(-r |x - x'|^2 / m), m the mean squared distance of the first rows, can: on one-hot features they are products over
the decisions, and a small r makes them nearly additive. Predictions are averaged over a few rates and noises, weighted
by their leave-one-out errors, which follow from the inverse of the kernel matrix (`lanas_jax.process`).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from lanas_jax import inverses
from lanas_jax import process as processes

_BLOCK = 32  # slots of the history whose kernels are computed at a time
_TILE = 512  # rows whose predictions are computed at a time, so that their kernels stay in the cache


class Posterior(NamedTuple):
    """A process with values."""

    inputs: chex.Array  # float32[K, F], the features of the slots
    rates: chex.Array  # float32[Q], of the kernels, per squared distance
    is_held: chex.Array  # bool[K], slots with a row
    mean: chex.Array  # float32[], of the values
    alpha: chex.Array  # float32[Q, K], a model predicts the mean plus kernel(x, inputs) @ alpha
    weights: chex.Array  # float32[Q], of the models
    variance: chex.Array  # float32[], prior variance of the most likely model
    model: chex.Array  # int32[], the most likely model
    inverse: chex.Array  # float32[K, K], of the most likely model
    left_out: chex.Array  # float32[K], the average prediction of each row from all others
    best: chex.Array  # float32[], the largest value


def posterior(process: processes.Process, features: chex.Array, values: chex.Array) -> Posterior:
    """Returns the posterior given float32[N] values of rows with float32[N, F] features."""
    capacity = values.shape[0]
    is_held = process.rows < capacity
    at = jnp.minimum(process.rows, capacity - 1)
    count = jnp.maximum(jnp.sum(is_held), 1)
    mean = jnp.sum(jnp.where(is_held, values[at], 0.0)) / count
    centered = jnp.where(is_held, values[at] - mean, 0.0)
    alpha = process.inverse @ centered
    diagonal = jnp.diagonal(process.inverse, axis1=1, axis2=2)
    errors = jnp.where(is_held[None], alpha / jnp.where(is_held[None], diagonal, 1.0), 0.0)
    error = jnp.maximum(jnp.sum(errors**2, axis=1) / count, 1e-6)
    weights = jax.nn.softmax(-0.5 * count * jnp.log(error))
    model = jnp.argmax(weights)
    return Posterior(
        inputs=jnp.where(is_held[:, None], features[at], 0.0),
        rates=processes.rates(process),
        is_held=is_held,
        mean=mean,
        alpha=alpha,
        weights=weights,
        variance=jnp.maximum(alpha[model] @ centered / count, 1e-6),
        model=model,
        inverse=process.inverse[model],
        left_out=mean + centered - weights @ errors,
        best=jnp.max(jnp.where(is_held, values[at], -jnp.inf)),
    )


def kernels(posterior: Posterior, left: chex.Array, right: chex.Array) -> list[chex.Array]:
    """Returns float32[A, B] for each rate, of float32[A, F] and float32[B, F] features."""
    near = jnp.exp(-posterior.rates[0] * processes.distances(left, right))
    cube = near * near * near
    return [near, cube, cube * cube * near]


def factors(posterior: Posterior) -> chex.Array:
    """Returns float32[R, K]: the average prediction is the mean plus the sum of kernel @ factor over the R rates."""
    return (posterior.weights[:, None] * posterior.alpha).reshape(len(processes.POWERS), 2, -1).sum(axis=1)


def predict(posterior: Posterior, features: chex.Array) -> chex.Array:
    """Returns float32[B], the average prediction of the models for float32[B, F] features."""
    num_rows, size = features.shape[0], posterior.inputs.shape[0]
    padding, tile = -size % _BLOCK, max(min(num_rows, _TILE), 1)
    inputs = jnp.pad(posterior.inputs, ((0, padding), (0, 0)))
    alpha = jnp.pad(factors(posterior), ((0, 0), (0, padding)))
    num_blocks = _num_blocks(posterior)

    def of_tile(features):
        def add(block, total):
            some = jax.lax.dynamic_slice_in_dim(inputs, block * _BLOCK, _BLOCK)
            factor = jax.lax.dynamic_slice_in_dim(alpha, block * _BLOCK, _BLOCK, axis=1)
            near = kernels(posterior, features, some)
            return total + jnp.sum(sum(kernel * f[None] for kernel, f in zip(near, factor)), axis=1)

        return jax.lax.fori_loop(0, num_blocks, add, jnp.full((tile,), posterior.mean))

    tiles = jnp.pad(features, ((0, -num_rows % tile), (0, 0))).reshape(-1, tile, features.shape[1])
    return jax.lax.map(of_tile, tiles).reshape(-1)[:num_rows]


def _num_blocks(posterior):
    """Returns int32[], the blocks of slots up to the last that is held."""
    return jnp.max(jnp.where(posterior.is_held, jnp.arange(posterior.is_held.shape[0]), -1)) // _BLOCK + 1


def with_room(posterior: Posterior, count: int) -> Posterior:
    """Returns the posterior with `count` more free slots, for `observe`."""
    return posterior._replace(
        inputs=jnp.pad(posterior.inputs, ((0, count), (0, 0))),
        is_held=jnp.pad(posterior.is_held, (0, count)),
        inverse=jnp.pad(posterior.inverse, ((0, count), (0, count))),
    )


def observe(posterior: Posterior, features: chex.Array, slot: chex.Array) -> Posterior:
    """Takes the free slot int32[] for a row with float32[F] features whose value is unknown: only deviations change."""
    kernel = _kernel(posterior, features[None])[0]
    noise = jnp.float32(processes.NOISES)[posterior.model]
    return posterior._replace(
        inputs=posterior.inputs.at[slot].set(features),
        is_held=posterior.is_held.at[slot].set(True),
        inverse=inverses.extend(posterior.inverse, kernel, slot, 1.0 + noise, 0.5 * noise),
    )


def deviations(posterior: Posterior, features: chex.Array) -> chex.Array:
    """Returns float32[B], the standard deviations of float32[B, F] rows, by the most likely model."""
    size = posterior.inputs.shape[0]
    padding = -size % _BLOCK
    kernel = jnp.pad(_kernel(posterior, features), ((0, 0), (0, padding)))
    inverse = jnp.pad(posterior.inverse, ((0, padding), (0, padding)))

    def add(block, solved):
        some = jax.lax.dynamic_slice_in_dim(kernel, block * _BLOCK, _BLOCK, axis=1)
        return solved + some @ jax.lax.dynamic_slice_in_dim(inverse, block * _BLOCK, _BLOCK)

    solved = jax.lax.fori_loop(0, _num_blocks(posterior), add, jnp.zeros_like(kernel))
    explained = jnp.sum(solved * kernel, axis=1)
    return jnp.sqrt(posterior.variance * jnp.maximum(1.0 - explained, 1e-6))


def _kernel(posterior, features):
    kernel = jnp.exp(-posterior.rates[posterior.model] * processes.distances(features, posterior.inputs))
    return jnp.where(posterior.is_held[None], kernel, 0.0)


def log_expected_improvement(mean: chex.Array, deviation: chex.Array, best: chex.Array) -> chex.Array:
    """Returns the logarithm of the expected improvement of N(mean, deviation^2) over `best`, finite far below too."""
    standard = (mean - best) / deviation
    near = jnp.maximum(standard, -5.0)
    value = near * jax.scipy.special.ndtr(near) + jnp.exp(-0.5 * near**2) / np.sqrt(2.0 * np.pi)
    far = jnp.minimum(standard, -5.0)
    tail = -0.5 * far**2 - 0.5 * np.log(2.0 * np.pi) - jnp.log(far**2 + 3.0)
    return jnp.log(deviation) + jnp.where(standard > -5.0, jnp.log(jnp.maximum(value, 1e-30)), tail)
