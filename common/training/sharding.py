"""Training on several devices, of one host or of several: batches are split, everything else is on each of them.

The compiled programs are those of one device. What they compute is defined on the whole batch, so batch
normalisation sees all of it, and random numbers do not depend on how many devices there are.

  mesh = sharding.mesh()
  state, data = sharding.replicate((state, data), mesh)
  loop.train(..., sharding=sharding.batches(mesh))
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

AXIS = "batch"


def mesh(devices: Sequence[jax.Device] | None = None) -> jax.sharding.Mesh:
    """Returns the mesh of some devices, by default of all devices of all hosts."""
    return jax.sharding.Mesh(np.array(jax.devices() if devices is None else devices), (AXIS,))


def batches(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """Returns the sharding of arrays whose first axis is the batch."""
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))


def replicate(tree: Any, mesh: jax.sharding.Mesh) -> Any:
    """Returns a copy of a tree of arrays with each of them on every device.

    With several hosts, each must give the same arrays.
    """
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.tree.map(lambda array: _put(array, everywhere), tree)


def place(tree: Any, batches: jax.sharding.NamedSharding | None) -> Any:
    """Returns a tree of arrays on the device, or replicated on the devices of a sharding of batches."""
    return jax.device_put(tree) if batches is None else replicate(tree, batches.mesh)


def check_batch(size: int, mesh: jax.sharding.Mesh, *, name: str = "batch_size") -> None:
    """Raises a `ValueError` unless a batch of `size` images can be split evenly."""
    if size % mesh.size:
        raise ValueError(f"{name} must be a multiple of the number of devices, {mesh.size}; got {size}")


def connect(coordinator: str | None, *, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Makes this process one of several that train together, one a host. Call it before anything else of JAX.

    Args:
      coordinator: "address:port" of process 0; None: this process trains alone.
      num_processes: how many there are; None where the cluster tells (Slurm, Cloud TPU and the like).
      process_id: which of them this is, from 0; None likewise.

    Raises:
      ValueError: a number is missing or out of range.
    """
    if coordinator is None:
        if num_processes not in (None, 1):
            raise ValueError(f"{num_processes} processes need a coordinator, the address:port of process 0")
        return
    if (num_processes is None) != (process_id is None):
        raise ValueError("give both num_processes and process_id, or none of them")
    if num_processes is not None and not 0 <= process_id < num_processes:
        raise ValueError(f"process_id must be from 0 to {num_processes - 1}; got {process_id}")
    jax.distributed.initialize(coordinator, num_processes=num_processes, process_id=process_id)


def agreed(value: bool) -> bool:
    """Returns what the first of several processes says, for what they must do together and their clocks would not."""
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.array(value)))


def _put(array, everywhere):
    if jax.dtypes.issubdtype(getattr(array, "dtype", None), jax.dtypes.prng_key):
        data = _put(jax.random.key_data(array), everywhere)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
    # Through the host: an array of one device cannot go to the devices of other hosts.
    return jax.device_put(np.asarray(array), everywhere)
