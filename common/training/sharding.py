"""Data-parallel training on devices of one or several hosts: batches are split, everything else is replicated.

The programs are those of one device: batch normalization sees the whole batch, and random numbers do not depend on the
number of devices.

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
    """Returns the mesh of devices, by default of all devices of all hosts."""
    return jax.sharding.Mesh(np.array(jax.devices() if devices is None else devices), (AXIS,))


def batches(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
    """Returns the sharding of arrays whose first axis is the batch."""
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(AXIS))


def over(num_devices: int) -> jax.sharding.NamedSharding | None:
    """Returns the sharding of batches over a number of devices, 0: all; None for one device.

    Raises:
      ValueError: there are fewer devices.
    """
    devices = jax.devices()
    if num_devices > len(devices):
        raise ValueError(f"--num_devices must be from 0 to {len(devices)}, all there are; got {num_devices}")
    if 1 in (num_devices, len(devices)):
        return None
    return batches(mesh(devices[: num_devices or len(devices)]))


def template(tree: Any, batches: jax.sharding.NamedSharding | None) -> Any:
    """Returns the shapes of a tree of shapes, on every device of a sharding of batches, or on one device.

    Arrays are restored there, wherever they were when they were saved.
    """
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    if batches is not None:
        place = jax.sharding.NamedSharding(batches.mesh, jax.sharding.PartitionSpec())
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), tree)


def replicate(tree: Any, mesh: jax.sharding.Mesh) -> Any:
    """Returns a copy of a tree of arrays, the same on all hosts, on every device."""
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())

    def put(array):
        if jax.dtypes.issubdtype(getattr(array, "dtype", None), jax.dtypes.prng_key):
            return jax.random.wrap_key_data(put(jax.random.key_data(array)), impl=jax.random.key_impl(array))
        # Through the host: an array of one device cannot be transferred to the devices of other hosts.
        return jax.device_put(np.asarray(array), everywhere)

    return jax.tree.map(put, tree)


def place(tree: Any, batches: jax.sharding.NamedSharding | None) -> Any:
    """Returns a tree of arrays on the device, or replicated on the devices of a sharding of batches."""
    return jax.device_put(tree) if batches is None else replicate(tree, batches.mesh)


def check_batches(batch_size: int, last_size: int, mesh: jax.sharding.Mesh) -> None:
    """Raises a `ValueError` unless the batches of an epoch, and the smaller last one (0: none), can be split evenly."""
    check_batch(batch_size, mesh)
    check_batch(last_size, mesh, name="the last batch")


def check_batch(size: int, mesh: jax.sharding.Mesh, *, name: str = "batch_size") -> None:
    """Raises a `ValueError` unless a batch of `size` images can be split evenly."""
    if size % mesh.size:
        raise ValueError(f"{name} must be a multiple of the number of devices, {mesh.size}; got {size}")


def connect(coordinator: str | None, *, num_processes: int | None = None, process_id: int | None = None) -> None:
    """Connects this process to the others of a training on several hosts. Call it before any other use of JAX.

    Args:
      coordinator: "address:port" of process 0; None: one process.
      num_processes: number of processes; None: from the cluster (Slurm, Cloud TPU and others).
      process_id: index of this process; None: likewise.

    Raises:
      ValueError: a number is missing or out of range.
    """
    if coordinator is None:
        if num_processes not in (None, 1):
            raise ValueError(f"{num_processes} processes need a coordinator, the address:port of process 0")
        if process_id is not None:
            raise ValueError(f"process_id = {process_id} needs a coordinator, the address:port of process 0")
        return
    if (num_processes is None) != (process_id is None):
        raise ValueError("give both num_processes and process_id, or none of them")
    if num_processes is not None and not 0 <= process_id < num_processes:
        raise ValueError(f"process_id must be from 0 to {num_processes - 1}; got {process_id}")
    jax.distributed.initialize(coordinator, num_processes=num_processes, process_id=process_id)


def agreed(value: bool) -> bool:
    """Returns the value of process 0, for decisions by the clock that all processes must share."""
    return value if jax.process_count() == 1 else bool(multihost_utils.broadcast_one_to_all(np.array(value)))
