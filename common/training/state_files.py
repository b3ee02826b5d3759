"""The state of a training in one file, which the next save replaces; `checkpoints` keeps several."""

import pathlib
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from common.file_formats import replacing, tensor_file
from common.training import state as states


def save(path: pathlib.Path, state: states.State) -> None:
    """Writes a state; a killed writer leaves the old file as it was."""
    leaves = {str(at): np.asarray(leaf) for at, leaf in enumerate(jax.tree.leaves(state))}
    with replacing.replacing(path) as file:
        file.write(safetensors.numpy.save(leaves))


def load(path: pathlib.Path, init: states.State) -> states.State:
    """Returns a state: that of the file, or a copy of the initial one.

    Raises:
      ValueError: the file is damaged, or the state of another training.
    """
    leaves, kind = jax.tree.flatten(init)
    if not path.exists():
        return jax.tree.map(jnp.copy, init)
    arrays: Mapping[str, np.ndarray] = tensor_file.read(path)[0]
    if len(arrays) != len(leaves):
        raise ValueError(f"{path} is not the state of this training; start in a fresh folder")
    return jax.tree.unflatten(kind, [jnp.asarray(arrays[str(at)]) for at in range(len(leaves))])
