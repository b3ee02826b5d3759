"""What a network costs: its parameters, and the multiply-adds of one image, counted from the network itself.

Nothing is computed or compiled: shapes are followed through the program.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

AUXILIARY = "auxiliary"  # the part of the parameters that only training has


def num_params(module: Any, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Returns how many parameters a network has, without its auxiliary head and of its auxiliary head.

    Args:
      module: a network of images, see `common.networks.logits`.
      image_shape: height, width and channels.
    """
    params = dict(_shapes(module, image_shape)["params"])
    auxiliary = params.pop(AUXILIARY, {})
    return _size(params), _size(auxiliary)


def num_multiply_adds(module: Any, image_shape: tuple[int, int, int]) -> int:
    """Returns the multiply-adds of the convolutions and linear layers for one image, the padding's included.

    Norms, pools and activations are not counted, as is usual. The auxiliary head is not either.

    Args:
      module: a network of images.
      image_shape: height, width and channels.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    run = jax.make_jaxpr(lambda variables, images: module.apply(variables, images, train=False))
    return _count(run(_shapes(module, image_shape), images).jaxpr)


def _shapes(module, image_shape):
    def init(key, images):
        return module.init(key, images, train=False)

    return jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))


def _size(tree):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def _count(jaxpr) -> int:
    """Returns the multiply-adds of a program; of alternatives the most expensive one, loops as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "conv_general_dilated":
            weights = equation.invars[1].aval.shape
            outputs = weights[params["dimension_numbers"].rhs_spec[0]]
            total += math.prod(equation.outvars[0].aval.shape) * math.prod(weights) // outputs
        elif name == "dot_general":
            left, (contracted, _) = equation.invars[0].aval.shape, params["dimension_numbers"][0]
            total += math.prod(equation.outvars[0].aval.shape) * int(np.prod([left[axis] for axis in contracted]))
        elif name == "cond":
            total += max(_count(branch.jaxpr) for branch in params["branches"])
        else:
            times = params["length"] if name == "scan" else 1
            total += times * sum(map(_count, _inner(params)))
    return total


def _inner(params):
    """Returns the programs within an equation."""
    found = []
    for value in params.values():
        value = getattr(value, "jaxpr", value)  # closed ones hold theirs
        if hasattr(value, "eqns"):
            found.append(value)
    return found
