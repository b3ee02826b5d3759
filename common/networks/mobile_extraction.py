"""The network of one architecture of `ofa_mobile` with the variables that it has among elastic ones."""

import functools
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common.genotypes import conversion
from common.networks import mobile


def extract(variables: Any, config: Any, arch: np.ndarray) -> tuple[mobile.Network, Any]:
    """Returns the network of an architecture, int32[46], and its variables, as `supernet.extract` does.

    It takes images of the side in `mobile_elastic.sizes` of its resolution; `config` is a `mobile_elastic.Config`.
    """
    made = mobile.Network(conversion.from_arch("ofa_mobile", arch), config.stand_alone())
    return made, parts(variables, made)


def parts(variables: Any, network: mobile.Network) -> Any:
    """Returns the variables of a network of one architecture among elastic ones."""
    images = jax.ShapeDtypeStruct((1, 64, 64, variables["params"]["stem"]["kernel"].shape[2]), jnp.float32)
    shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), images)
    found = {}
    for collection, tree in variables.items():
        found[collection] = {
            name: part(own, tree[name], tree.get(f"{name}_transforms", {})) for name, own in shapes[collection].items()
        }
    return found


def part(shapes: Any, tree: Any, transforms: dict[str, chex.Array] | None = None) -> Any:
    """Returns the part of elastic arrays that a network has: first channels, and centres of kernels.

    Args:
      shapes: of the arrays of the network, a tree.
      transforms: size of a kernel -> float32[size**2, size**2], applied to the centre of the next larger kernel.
    """

    def one(shape, values):
        if len(shape.shape) == 4:
            values = _smaller(values, shape.shape[0], transforms)
        return values[tuple(slice(0, size) for size in shape.shape)]

    return jax.tree.map(one, shapes, tree)


def _smaller(kernel, size, transforms):
    """Returns float32[size, size, I, O] of a larger kernel, see `part`."""
    while len(kernel) > size:
        kernel = kernel[1:-1, 1:-1]
        if transforms:
            flat = kernel.reshape(len(kernel) ** 2, -1)
            kernel = (transforms[str(len(kernel))] @ flat).reshape(kernel.shape)
    return kernel
