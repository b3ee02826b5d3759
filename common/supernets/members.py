"""Networks read off shared weights, without training."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from common import compilation
from common.networks import elastic, supernet
from common.spaces import factory
from common.supernets import config as configs
from common.supernets import scoring, training


@compilation.in_32_bits
def read_off(
    run: training.Run, params: Any, arch: np.ndarray, config: configs.Scoring | None = None
) -> tuple[Any, Any]:
    """Returns the stand-alone network of an architecture and its variables, copied from shared weights.

    Statistics of norms are those of the architecture on a few batches of training images (arXiv:1904.00420, section
    3.4), so the network classifies as the architecture does with `statistics` "recalibrated".

    Args:
      run: the training of the shared weights.
      arch: int32[L].
      config: number and size of the batches, `num_calibration` and `batch_size`.

    Returns:
      (Linen module, the collections "params" and "batch_stats"), as `common.training.export.save` takes them.

    Raises:
      ValueError: the row is not a canonical architecture of the space, or its networks cannot be extracted.
    """
    arch, space = np.asarray(arch, np.int32), run.space.name
    factory.check_rows(arch[None], run.space)
    family = elastic.FAMILIES.get(space)
    if family is not None and family.extract is None:
        raise ValueError(f"networks of {space} cannot be read off elastic weights; those of small_images can")
    images = jnp.asarray(scoring.calibration_images(run, config or configs.Scoring()))
    collect = jax.jit(functools.partial(scoring.collected, run.network, run.inputs))
    # On the host: on a device each part that is cut out is a program of its own.
    variables = jax.device_get({"params": params, "batch_stats": collect(params, images, arch)})
    if family is not None:
        return family.extract(variables, run.network.config, arch)
    return supernet.extract(variables, space, run.network.config, arch)
