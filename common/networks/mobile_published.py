"""Elastic weights of `ofa_mobile` as Once-for-all (arXiv:1908.09791) published them.

The file of width 1.0 is called ofa_mbv3_d234_e346_k357_w1.0. Its arrays have the names of the modules of the released
PyTorch program; kernels are [O, I, height, width].
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from common.file_formats import torch_weights
from common.genotypes.genotype import ChainGenotype
from common.networks import mobile, mobile_elastic
from common.spaces import ofa_mobile as space

# Names differ between versions of the program; the shortest is taken.
_SHORTER = {
    ".mobile_inverted_conv.": ".conv.",
    ".bn.bn.": ".bn.",
    ".conv.conv.weight": ".conv.weight",
    ".linear.linear.": ".linear.",
}
_TRANSFORM = re.compile(r"[0-9]+to([0-9]+)_matrix")
_FILES = "ofa_mbv3_d234_e346_k357_w1.0 or ofa_mbv3_d234_e346_k357_w1.2"
_WITHOUT_USE = "num_batches_tracked"


def read(path: str | os.PathLike, *, num_classes: int) -> tuple[mobile_elastic.Config, Any]:
    """Returns `converted` of a file.

    Raises:
      ValueError: the file is missing or broken, or its weights are others or of another number of classes.
    """
    try:
        config, variables = converted(torch_weights.read(pathlib.Path(path)))
    except ValueError as error:
        problem = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise ValueError(f"{problem}; give a file that Once-for-all published, {_FILES}") from error
    if config.num_classes != num_classes:
        raise ValueError(
            f"the weights in {path} are for {config.num_classes} classes, but the images have {num_classes}; give a "
            "dataset of the same classes, ImageNet's for the published files"
        )
    return config, variables


def converted(state: Mapping[str, np.ndarray]) -> tuple[mobile_elastic.Config, Any]:
    """Returns the settings and the collections "params" and "batch_stats" of the elastic network.

    Statistics are the running ones of the largest network.

    Args:
      state: arrays by the names of the released program, see `file_formats.torch_weights`.

    Raises:
      ValueError: an array is missing, unknown or of another shape.
    """
    arrays = {}
    for name, values in state.items():
        for long, short in _SHORTER.items():
            name = name.replace(long, short)
        if not name.endswith(_WITHOUT_USE):
            arrays[name] = np.asarray(values, np.float32)
    taken, variables = _Taken(arrays), {"params": {}, "batch_stats": {}}
    try:
        _convert(taken, variables)
    except KeyError as error:
        raise ValueError(f"these are no weights of Once-for-all's MobileNetV3: {error} is missing") from error
    if left := sorted(arrays.keys() - taken.names):
        raise ValueError(f"these are no weights of Once-for-all's MobileNetV3: {', '.join(left[:3])} is unknown")
    params = variables["params"]
    blocks = [params[f"stage_{stage}_block_0"] for stage in range(space.NUM_STAGES)]
    network = dataclasses.replace(
        mobile.PRESETS["once_for_all"],
        widths=tuple(block["projection"]["kernel"].shape[-1] for block in blocks),
        stem_width=params["stem"]["kernel"].shape[-1],
        first_width=params["first"]["projection"]["kernel"].shape[-1],
        last_width=params["last"]["kernel"].shape[-1],
        feature_width=params["features"]["kernel"].shape[-1],
        num_classes=len(params["classifier"]["linear"]["bias"]),
    )
    has_transforms = "stage_0_block_0_transforms" in params
    config = mobile_elastic.elastic(network, small_kernels="transformed" if has_transforms else "centre")
    _check(variables, config)
    return config, variables


class _Taken:
    """Arrays, and the names of those that were read."""

    def __init__(self, arrays):
        self.arrays, self.names = arrays, set()

    def __call__(self, name):
        self.names.add(name)
        return self.arrays[name]


def _convert(taken, variables):
    params = variables["params"]

    def add_convolution(tree, stats, name, at, norm_name, norm_at):
        tree[name] = {"kernel": taken(f"{at}.weight").transpose(2, 3, 1, 0)}
        tree[norm_name] = {"batch_norm": {"scale": taken(f"{norm_at}.weight"), "bias": taken(f"{norm_at}.bias")}}
        stats[norm_name] = {
            "batch_norm": {"mean": taken(f"{norm_at}.running_mean"), "var": taken(f"{norm_at}.running_var")}
        }

    def add_block(name, at):
        tree, stats = params.setdefault(name, {}), variables["batch_stats"].setdefault(name, {})
        parts = {"expansion": "inverted_bottleneck", "depthwise": "depth_conv", "projection": "point_linear"}
        for ours, theirs in parts.items():
            if f"{at}.{theirs}.conv.weight" in taken.arrays or ours != "expansion":
                add_convolution(tree, stats, ours, f"{at}.{theirs}.conv", f"{ours}_norm", f"{at}.{theirs}.bn")
        prefix = f"{at}.depth_conv.se.fc"
        if f"{prefix}.reduce.weight" in taken.arrays:
            tree["squeeze"] = {
                ours: {
                    "kernel": taken(f"{prefix}.{theirs}.weight")[..., 0, 0].T,
                    "bias": taken(f"{prefix}.{theirs}.bias"),
                }
                for ours, theirs in (("squeeze", "reduce"), ("excite", "expand"))
            }
        transforms = {}
        for full in [one for one in taken.arrays if one.startswith(f"{at}.depth_conv.conv.")]:
            if match := _TRANSFORM.fullmatch(full.rsplit(".", 1)[1]):
                transforms[match[1]] = taken(full)
        if transforms:
            params[f"{name}_transforms"] = transforms

    add_convolution(params, variables["batch_stats"], "stem", "first_conv.conv", "stem_norm", "first_conv.bn")
    add_block("first", "blocks.0.conv")
    for at in range(space.NUM_STAGES * space.MAX_DEPTH):
        stage, block = divmod(at, space.MAX_DEPTH)
        add_block(f"stage_{stage}_block_{block}", f"blocks.{at + 1}.conv")
    last = "final_expand_layer"
    add_convolution(params, variables["batch_stats"], "last", f"{last}.conv", "last_norm", f"{last}.bn")
    params["features"] = {"kernel": taken("feature_mix_layer.conv.weight")[..., 0, 0].T}
    params["classifier"] = {
        "linear": {"kernel": taken("classifier.linear.weight").T, "bias": taken("classifier.linear.bias")}
    }


def _check(variables, config):
    """Raises a `ValueError` unless the arrays are those of the largest network and the transforms of its kernels."""
    _, stages = space.to_stages(np.array(space.LARGEST))
    made = mobile.Network(ChainGenotype(stages), config.stand_alone())
    images = jax.ShapeDtypeStruct((1, 64, 64, variables["params"]["stem"]["kernel"].shape[2]), np.float32)
    expected = jax.eval_shape(lambda images: made.init(jax.random.key(0), images, train=False), images)
    if config.small_kernels == "transformed":
        transforms = {str(size): np.zeros((size**2,) * 2) for size in space.KERNELS[:-1]}
        names = [name for name in expected["params"] if name.startswith("stage_")]
        expected["params"] |= {f"{name}_transforms": transforms for name in names}
    found, wanted = (
        {jax.tree_util.keystr(path): np.shape(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (variables, expected)
    )
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise ValueError(
                f"these are no weights of Once-for-all's MobileNetV3: {name} has the shape {found.get(name)} "
                f"instead of {wanted.get(name)}"
            )
