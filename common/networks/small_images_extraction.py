"""The network of one architecture with the variables that it has among elastic ones."""

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common.genotypes import conversion
from common.networks import inverted_residual, small_images
from common.networks.small_images import Config
from common.spaces import small_images as space

_SIDE = max(space.KERNELS)


def extract(variables: Any, config: Config, arch: np.ndarray) -> tuple[small_images.Network, Any]:
    """Returns the network of an architecture, int32[18], and its variables, as `supernet.extract` does."""
    made = small_images.Network(conversion.from_arch("small_images", arch), config)
    stages = space.Stages(*(decision.tolist() for decision in space.decoded(np.asarray(arch))))
    params, found = variables["params"], {name: {} for name in variables}
    inputs, classifier = None, params["classifier"]["linear"]
    for at, stage in enumerate(map(space.Stages._make, zip(*stages, strict=True))):
        width = small_images.width(config, at, space.WIDTHS[stage.width])
        first = params[f"stage_{at}_convolution"]
        name = f"stage_{at}_convolution"
        found["params"][name] = {"kernel": first["kernel"][:, :, :inputs, :width]}
        given = variables.get("batch_stats", {}).get(f"stage_{at}")
        _add_norm(found, f"stage_{at}_norm", first["norm"], given and given["convolution"], width)
        for block in range(stage.depth):
            blocks = (params[f"stage_{at}_blocks"], given and given["blocks"])
            parts = _extract_block(stage, width, *jax.tree.map(operator.itemgetter(block), blocks))
            for collection in found:
                found[collection][f"stage_{at}_block_{block}"] = parts[collection]
        inputs = width
    found["params"]["classifier"] = {"linear": classifier | {"kernel": classifier["kernel"][:inputs]}}
    return made, found


def _add_norm(found, name, weights, given, width):
    """Adds the parameters and statistics of a norm to the variables of a network."""
    parts = {"params": weights, "batch_stats": given}
    for collection, tree in found.items():
        tree[name] = {"batch_norm": {key: values[..., :width].reshape(-1) for key, values in parts[collection].items()}}


def _extract_block(stage, width, weights, given):
    """Returns the variables of a block by collection."""
    found = {"params": {}} | ({"batch_stats": {}} if given else {})
    given = given or {"norm": None, "inner": {}, "last_norm": None}
    squeeze, hidden = weights["squeeze"], inverted_residual.make_divisible(width // inverted_residual.SQUEEZE, 1)
    if stage.kind == space.INVERTED:
        number, inner = space.EXPANSIONS[stage.expansion], weights["inner"]
        cut = (_SIDE - space.KERNELS[stage.kernel]) // 2
        expansion = inner["expansion"][:number, :width, :width].swapaxes(0, 1).reshape(width, -1)
        kernels = inner["depthwise"][:number, cut : _SIDE - cut, cut : _SIDE - cut, 0, :width]
        projection = inner["projection"][:number, :width, :width].reshape(-1, width)
        block = {name: {} for name in found}
        block["params"] = {
            "expansion": {"kernel": expansion[None, None]},
            "depthwise": {"kernel": jnp.moveaxis(kernels, 0, 2).reshape(*kernels.shape[1:3], 1, -1)},
            "projection": {"kernel": projection[None, None]},
        }
        for name, part in (("expansion_norm", "norm_0"), ("depthwise_norm", "norm_1")):
            first = jax.tree.map(lambda values: values[:number], (inner[part], given["inner"].get(part)))
            _add_norm(block, name, *first, width)
        _add_norm(block, "projection_norm", weights["last_norm"], given["last_norm"], width)
        found = {name: {"block": part} for name, part in block.items()}
    else:
        for at in range(2):
            found["params"][f"convolution_{at}"] = {"kernel": weights["kernel"][at, :, :, :width, :width]}
            norm = jax.tree.map(operator.itemgetter(at), (weights["norm"], given["norm"]))
            _add_norm(found, f"norm_{at}", *norm, width)
    if stage.squeeze and stage.kind != space.PLAIN:
        found["params"]["squeeze"] = {
            "squeeze": {"kernel": squeeze["squeeze"][:width, :hidden], "bias": squeeze["squeeze_bias"][:hidden]},
            "excite": {"kernel": squeeze["excite"][:hidden, :width], "bias": squeeze["excite_bias"][:width]},
        }
    return found
