"""Parameters and multiply-adds of networks, counted from the network itself.

Nothing is computed or compiled: shapes are followed through the traced program.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common import config as configs
from common.genotypes import description, formats
from common.genotypes.genotype import CellGenotype, ChainGenotype, Genotype


def num_params(module: Any, image_shape: tuple[int, int, int]) -> tuple[int, int]:
    """Returns (number of parameters without the auxiliary head, those of the auxiliary head) for images (H, W, C)."""
    params = dict(_shapes(module, image_shape)["params"])
    auxiliary = params.pop("auxiliary", {})
    return tuple(sum(leaf.size for leaf in jax.tree.leaves(part)) for part in (params, auxiliary))


def num_multiply_adds(module: Any, image_shape: tuple[int, int, int]) -> int:
    """Returns the multiply-adds of convolutions and linear layers for one image, zeros of the padding included.

    Norms, pools, activations and the auxiliary head are not counted.
    """
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    run = jax.make_jaxpr(lambda variables, images: module.apply(variables, images, train=False))
    return multiply_adds(run(_shapes(module, image_shape), images).jaxpr)


def of_genotype(
    genotype: Genotype,
    *,
    network: str | None = None,
    num_cells: int | None = None,
    width: int | None = None,
    num_classes: int | None = None,
    image_size: int | None = None,
) -> dict[str, str | int]:
    """Counts the network of a genotype.

    Args:
      genotype: two cells, or a chain of blocks.
      network: a key of `child.PRESETS` or, for a chain, `mobile.PRESETS`; default: that of the space of the genotype.
      num_cells: cells in all; this and the following default to the network's.
      width: channels of the first cell.
      image_size: side of the images; default: that of the genotype, else 32, or 224 for networks of ImageNet.

    Returns:
      Name -> value for a table: network, settings, parameters, multiply-adds of one image.

    Raises:
      ValueError: the genotype is of another kind, the network is unknown or cannot be built.
    """
    from common.networks import child, mobile, of_space  # flax takes a second to import

    if isinstance(genotype, CellGenotype):
        family, changes = child, {"num_cells": num_cells, "width": width}
        name = network or _home(genotype, of_space.PRESETS, child.PRESETS) or "darts"
    elif isinstance(genotype, ChainGenotype):
        if num_cells is not None or width is not None:
            raise ValueError("--num_cells and --width are of networks of cells; a chain has those of its --network")
        family, changes = mobile, {}
        name = network or _home(genotype, of_space.PRESETS, mobile.PRESETS)
        if name is None:
            raise ValueError(f"no network is known for this chain; give --network, one of {', '.join(mobile.PRESETS)}")
    else:
        kind = description.kind(genotype)
        raise ValueError(f"--count is for cells of convolutional networks and chains of blocks; this is a {kind}")
    configs.one_of("network", name, family.PRESETS)
    changes = {key: value for key, value in {**changes, "num_classes": num_classes}.items() if value is not None}
    config = dataclasses.replace(family.PRESETS[name], **changes)
    if image_size is None:
        is_imagenet = family is mobile or config.stem == "imagenet"
        image_size = getattr(genotype, "resolution", None) or (224 if is_imagenet else 32)
    if image_size < 1:
        raise ValueError(f"--image_size must be at least 1; got {image_size}")
    module, shape = family.Network(genotype, config), (image_size, image_size, 3)
    params, auxiliary = num_params(module, shape)
    return {
        "network": name,
        **({"cells": config.num_cells, "width": config.width} if family is child else {}),
        "classes": config.num_classes,
        "pixels": image_size,
        "parameters": params,
        "of the auxiliary head": auxiliary,
        "multiply-adds": num_multiply_adds(module, shape),
    }


def _home(genotype, names, presets):
    """Returns the preset of the first space that contains a genotype, or None."""
    for space, name in names.items():
        if name in presets:
            try:
                formats.get(f"{space}_row").write(genotype)
            except ValueError:  # not in this space
                continue
            return name
    return None


def _shapes(module, image_shape):
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(lambda key, images: module.init(key, images, train=False), jax.random.key(0), images)


def multiply_adds(jaxpr: Any) -> int:
    """Returns the multiply-adds of a program: branches count as the most expensive one, loops by their length."""
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
            total += max(multiply_adds(branch.jaxpr) for branch in params["branches"])
        else:
            times = params["length"] if name == "scan" else 1
            nested = (getattr(value, "jaxpr", value) for value in params.values())  # closed ones hold theirs
            total += times * sum(multiply_adds(value) for value in nested if hasattr(value, "eqns"))
    return total
