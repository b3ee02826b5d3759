"""Initial parameters of elastic weights of `small_images`: weights of variance 2 / fan-in of the widest network."""

from typing import Any

import chex
import jax
import jax.numpy as jnp

from common.networks import inverted_residual
from common.spaces import small_images as space

_SIDE, _NUM_EXPANSIONS = max(space.KERNELS), max(space.EXPANSIONS)
_he_normal = jax.nn.initializers.he_normal


def first(key: chex.PRNGKey, kernel: int, inputs: int, width: int) -> dict[str, Any]:
    """Returns those of the convolution that starts a stage."""
    return {"kernel": _he_normal()(key, (kernel, kernel, inputs, width)), "norm": _init_norm(width)}


def blocks(key: chex.PRNGKey, width: int) -> dict[str, Any]:
    """Returns those of all blocks of a stage, for each kind of block; the first axis is the block."""
    keys = iter(jax.random.split(key, 6))
    depth, hidden = space.MAX_DEPTH, inverted_residual.make_divisible(width // inverted_residual.SQUEEZE, 1)
    terms = (depth, _NUM_EXPANSIONS)

    def kernels(*shape, num_axes):
        return _he_normal(batch_axis=range(num_axes))(next(keys), shape)

    return {
        "kernel": kernels(depth, 2, 3, 3, width, width, num_axes=2),
        "norm": _init_norm(depth, 2, width),
        "inner": {
            "expansion": kernels(*terms, width, width, num_axes=2),
            "norm_0": _init_norm(*terms, width),
            "depthwise": kernels(*terms, _SIDE, _SIDE, 1, width, num_axes=2),
            "norm_1": _init_norm(*terms, width),
            "projection": kernels(*terms, width, width, num_axes=2),
        },
        "last_norm": _init_norm(depth, width),
        "squeeze": {
            "squeeze": kernels(depth, width, hidden, num_axes=1),
            "squeeze_bias": jnp.zeros((depth, hidden)),
            "excite": kernels(depth, hidden, width, num_axes=1),
            "excite_bias": jnp.zeros((depth, width)),
        },
    }


def _init_norm(*shape):
    return {"scale": jnp.ones(shape), "bias": jnp.zeros(shape)}
