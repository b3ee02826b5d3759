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
from common.genotypes import conversion, description, formats
from common.genotypes.genotype import CellGenotype, ChainGenotype, EdgeGenotype, Genotype


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
    """Counts the network of a genotype: name -> value of settings, parameters, multiply-adds of one image.

    Args:
      genotype: two cells, a chain of blocks, or a cell of NAS-Bench-201.
      network: a key of `child.PRESETS` or `mobile.PRESETS`, or a space with one network; default: that of the space of
        the genotype.
      num_cells: cells in all; this and the following default to the network's.
      width: channels of the first cell.
      image_size: side of the images; default: that of the genotype, else 32, or 224 for networks of ImageNet.

    Raises:
      ValueError: the genotype is of another kind, the network is unknown or cannot be built.
    """
    from common.networks import mobile, nasbench201, nasbench_costs  # flax takes a second to import

    name, family, config = _network(genotype, network)
    changes = {"num_cells": num_cells, "width": width, "num_classes": num_classes}
    changes = {key: value for key, value in changes.items() if value is not None}
    if others := [key for key in changes if not hasattr(config, key)]:
        raise ValueError(f"--{', --'.join(others)} is not a setting of the network {name}; leave it out")
    config = dataclasses.replace(config, **changes)
    if image_size is None:
        is_imagenet = family is mobile or getattr(config, "stem", None) == "imagenet"
        image_size = getattr(genotype, "resolution", None) or (224 if is_imagenet else 32)
    if image_size < 1:
        raise ValueError(f"--image_size must be at least 1; got {image_size}")
    module, shape = family.Network(genotype, config), (image_size, image_size, 3)
    params, auxiliary = num_params(module, shape)
    found = {
        "network": name,
        **{
            text: getattr(config, key)
            for text, key in (("cells", "num_cells"), ("width", "width"))
            if hasattr(config, key)
        },
        "classes": config.num_classes,
        "pixels": image_size,
        "parameters": params,
        "of the auxiliary head": auxiliary,
        "multiply-adds": num_multiply_adds(module, shape),
    }
    if family is nasbench201:
        sums = nasbench_costs.of_nasbench201(config, image_size, 3, counts_all=True)
        archs = conversion.to_arch(genotype, "nasbench201")[None]
        found["with norms, ReLUs and pools"] = int(sums.column(1, archs)[0])
    return found


def _network(genotype, name):
    """Returns (name, module, settings) of a network of a genotype, of the given name or of its space."""
    from common.networks import child, mobile, nasbench201, nasbench_macro, of_space, small_images

    kinds = {child: CellGenotype, nasbench201: EdgeGenotype}
    kinds |= dict.fromkeys((mobile, small_images, nasbench_macro), ChainGenotype)
    own = {space: config for space, config in of_space.NETWORKS.items() if space not in of_space.PRESETS}
    networks = {**child.PRESETS, **mobile.PRESETS, **own}
    families = {key: next(one for one in kinds if isinstance(config, one.Config)) for key, config in networks.items()}
    allowed = [key for key, family in families.items() if isinstance(genotype, kinds[family])]
    if not allowed:
        kind = description.kind(genotype)
        raise ValueError(f"--count is for cells of convolutional networks and chains of blocks; this is a {kind}")
    name = name or _home(genotype, of_space.PRESETS | {space: space for space in own})
    if name is None and not isinstance(genotype, CellGenotype):
        raise ValueError(f"no network is known for this chain; give --network, one of {', '.join(allowed)}")
    name = name or "darts"
    configs.one_of("network", name, allowed)
    return name, families[name], networks[name]


def _home(genotype, names):
    """Returns the network of the first space that contains a genotype, or None."""
    for space, name in names.items():
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
