"""Parameter initializers of the released programs.

| name          | weights                                              | biases of linear layers |
|---------------|------------------------------------------------------|-------------------------|
| torch_he      | normal, variance 2 / fan-in (NAO in PyTorch)         | uniform, 1 / sqrt fan-in |
| torch_uniform | uniform within 1 / sqrt fan-in (DARTS, LaNAS)        | uniform, 1 / sqrt fan-in |
| tf_he         | truncated normal, variance 2 / fan-in (NAO-WS in TF) | zero |
| tf_fan_out    | truncated normal, variance 1 / fan-out (NAO in TF)   | zero |

A depthwise kernel has a multiplier of 1 and C channels. The fan-in of PyTorch is the multiplier and its fan-out C, that
of TensorFlow the reverse.

Outside compiled code, the samples of an array come from a program for their number, rounded up to a power of two: few
programs serve all arrays of a network, and one program for all of them would take seconds to compile.
"""

import functools
import math
from collections.abc import Callable

import jax
import numpy as np

from common.networks.kernels import compile_options

_SCALES = {
    "torch_he": (2.0, "fan_in", "normal"),
    "torch_uniform": (1 / 3, "fan_in", "uniform"),
    "tf_he": (2.0, "fan_in", "truncated_normal"),
    "tf_fan_out": (1.0, "fan_out", "truncated_normal"),
}


def weights(name: str, *, is_depthwise: bool = False) -> Callable:
    """Returns the initializer of kernels [..., inputs, outputs], or [height, width, 1, channels] if depthwise."""
    scale, mode, distribution = _SCALES[name]
    in_axis, out_axis = (-1, -2) if is_depthwise and name.startswith("tf") else (-2, -1)
    traced = jax.nn.initializers.variance_scaling(scale, mode, distribution, in_axis=in_axis, out_axis=out_axis)

    def init(key, shape, dtype=np.float32):
        if isinstance(key, jax.core.Tracer):
            return traced(key, shape, dtype)
        # Scaled standard samples.
        fan = math.prod(shape) // shape[out_axis if mode == "fan_in" else in_axis]
        drawn = np.asarray(_sampler(distribution, 1 << (math.prod(shape) - 1).bit_length())(key))
        return jax.numpy.asarray(drawn[: math.prod(shape)].reshape(shape) * np.sqrt(scale / fan), dtype)

    return init


def biases(name: str, *, fan_in: int) -> Callable:
    """Returns the initializer of the biases of a layer with `fan_in` inputs."""
    if name.startswith("tf"):
        return jax.nn.initializers.zeros
    bound = 1 / np.sqrt(fan_in)

    def init(key, shape, dtype=np.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


@functools.cache
def _sampler(distribution, number):
    """Returns key -> float32[number] of variance 1. The first samples are the same for every number."""
    init = jax.nn.initializers.variance_scaling(1.0, "fan_in", distribution, in_axis=(), out_axis=-1)
    return jax.jit(lambda key: init(key, (number,)), compiler_options=compile_options.quick("once"))
