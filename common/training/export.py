"""Trained networks as self-contained safetensors files.

  from common.training import export

  model = export.load("model.safetensors")
  scores = model.logits(images)  # uint8[B, H, W, C] -> float32[B, K]
  classes = scores.argmax(axis=1)

Arrays have the names of the Linen module, with dots; the metadata hold one JSON text, `about`.
"""

import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import flax.traverse_util
import jax
import numpy as np
import safetensors
import safetensors.numpy

from common import compilation
from common.file_formats import json_values, replacing, tensor_file
from common.training import augmentation, models
from common.training import step as step_lib

FORMAT = 1


class Model(NamedTuple):
    """A trained network."""

    logits: Callable[[chex.Array], chex.Array]  # uint8[B, H, W, C] -> float32[B, K], compiled
    network: Any  # the Linen module
    variables: Any  # its collections
    about: dict[str, Any]  # the entries given to `save`, and the network's genotype and settings


class Images(NamedTuple):
    """Shape and normalization of the images of a network."""

    shape: tuple[int, int, int]  # (H, W, C)
    mean: tuple[float, ...]  # of each channel, of pixels / 255
    std: tuple[float, ...]  # standard deviation, likewise
    normalization: str = "channel"


def save(
    path: str | os.PathLike, network: Any, variables: Any, images: Images, *, about: Mapping[str, Any] | None = None
) -> None:
    """Writes a file atomically.

    Args:
      path: such as `model.safetensors`.
      network: see `models.network`.
      images: shape and normalization of its images.
      about: further entries of JSON types, such as dataset and accuracy.

    Raises:
      ValueError: the folder does not exist, or cannot be written.
    """
    path = pathlib.Path(path)
    replacing.check_folder(path)
    about = {"format": FORMAT, **(about or {}), **models.to_dict(network), "images": images._asdict()}
    arrays = {name: np.asarray(value) for name, value in flat(variables).items()}
    with replacing.replacing(path) as file:
        file.write(safetensors.numpy.save(arrays, metadata={"about": json.dumps(about, allow_nan=False)}))


def check_replaceable(
    path: str | os.PathLike, network: Any, about: Mapping[str, Any], *, folder: str | os.PathLike | None = None
) -> None:
    """Raises a `ValueError` if `save` could not write a file, or would replace anything but this training's network.

    Args:
      network: the network that is trained.
      about: entries of the description, such as dataset and seed, which identify the training.
      folder: that will be made before; None: there is none.
    """
    path = pathlib.Path(path)
    replacing.check_folder(path, folder)
    if not os.path.lexists(path):
        return
    advice = "name another file with --export, or move it"
    try:
        before, *_ = _read(path, tensor_file.read(path)[1])
    except ValueError as error:
        raise ValueError(f"{path} exists and is no exported network ({error}); {advice}") from error
    now = json.loads(json.dumps({**models.to_dict(network), **about}))
    if differing := [name for name, value in now.items() if before.get(name) != value]:
        raise ValueError(f"{path} exists and is of another training (its {', '.join(differing)} differ); {advice}")


def load(path: str | os.PathLike) -> Model:
    """Returns the network of a file that `save` wrote.

    Raises:
      ValueError: the file does not exist, is damaged, or does not hold a network.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    arrays, metadata = tensor_file.read(path)
    about, network, images = _read(path, metadata)
    shapes = jax.eval_shape(lambda key: step_lib.init_variables(network, key, images.shape), jax.random.key(0))
    shapes = flat(shapes)
    for name in sorted(arrays.keys() | shapes.keys()):
        found, wanted = (
            f"{part[name].dtype}{list(part[name].shape)}" if name in part else "absent" for part in (arrays, shapes)
        )
        if found != wanted:
            raise ValueError(f"{path} does not fit its own network: {name} is {found}; expected {wanted}")
    variables = flax.traverse_util.unflatten_dict(arrays, sep=".")

    @compilation.in_32_bits
    @jax.jit
    def logits(variables, values):
        values = augmentation.normalize(values, images.mean, images.std, normalization=images.normalization)
        return network.apply(variables, values, train=False).main

    def checked(values):
        if values.dtype != np.uint8 or values.ndim != 4 or tuple(values.shape[1:]) != images.shape:
            wanted = ", ".join(map(str, images.shape))
            raise ValueError(f"images must be uint8[B, {wanted}]; got {values.dtype}{list(values.shape)}")
        return logits(variables, values)

    return Model(logits=checked, network=network, variables=variables, about=about)


def _read(path, metadata):
    """Returns (about, network, images) from the metadata of a file."""
    if "about" not in metadata:
        raise ValueError(f"{path} holds arrays but no description of a network; export one with launch.train --export")
    try:
        about = json_values.parse(metadata["about"])
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}; this version reads {FORMAT}")
        settings = about["images"]
        images = Images(*(tuple(settings[name]) for name in ("shape", "mean", "std")), settings["normalization"])
        return about, models.from_dict(about), images
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not describe a network: {error}") from error


def flat(variables: Any) -> dict[str, Any]:
    """Returns name -> array, such as `params.stem.conv.kernel`."""
    return flax.traverse_util.flatten_dict(dict(variables), sep=".")
