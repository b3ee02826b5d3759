"""Memory of a compiled training step and of its device: an error that names a batch size that fits."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax

_GIB = 2**30
_CAUTION = 0.95  # of the memory left for a batch, which is not quite linear in it
_SAVE = "--remat and --dtype=bfloat16 save memory, where the network has them"


class OutOfMemoryError(ValueError, MemoryError):
    """A step needs more memory than its device has."""


def available(device: jax.Device | None = None) -> int | None:
    """Returns the bytes of memory that JAX may use on a device, of a CPU those of the machine; None: unknown.

    On a GPU it is a fraction of the memory, which XLA_PYTHON_CLIENT_MEM_FRACTION sets.
    """
    device = device or jax.local_devices()[0]
    if limit := (device.memory_stats() or {}).get("bytes_limit"):
        return limit
    if device.platform == "cpu" and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def check(
    program: jax.stages.Compiled, params: Any, *, batch_size: int, batches: jax.sharding.Sharding | None = None
) -> None:
    """Raises an error if a compiled step needs more memory than a device has.

    The batch size that it names takes the temporary memory for linear in the batch, but for one gradient,
    and leaves a little.

    Args:
      program: the compiled step.
      params: parameters of the network, on every device.
      batch_size: images or sequences of a step, over all devices.
      batches: sharding of a batch; None: on one device.

    Raises:
      OutOfMemoryError: with the bytes needed and a batch size that fits.
    """
    limit, plan = available(), program.memory_analysis()
    if limit is None or plan is None:
        return
    held = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    needed = held + plan.temp_size_in_bytes
    if needed <= limit:
        return
    gradient = min(sum(leaf.nbytes for leaf in jax.tree.leaves(params)), plan.temp_size_in_bytes - 1)
    room = _CAUTION * max(0, limit - held - gradient)
    fitting = int(room * batch_size / (plan.temp_size_in_bytes - gradient))
    fitting -= fitting % (1 if batches is None else batches.num_devices)
    if fitting > 0:
        advice = f"set batch_size to {fitting} or less; {_SAVE}"
    else:
        advice = (
            f"{(held + gradient) / _GIB:.2f} GiB of it are parameters, optimizer and data, so that no batch fits; "
            f"make the network smaller, or stream the data, if it is images (--stream); {_SAVE}"
        )
    raise OutOfMemoryError(
        f"a step with batch_size = {batch_size} needs {needed / _GIB:.2f} GiB on a device that has {limit / _GIB:.2f} "
        f"GiB: {advice}"
    )


@contextlib.contextmanager
def explained(*, batch_size: int) -> Iterator[None]:
    """Turns JAX's error of a device without memory left into one that says what to change.

    Raises:
      OutOfMemoryError: the device had too little memory.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        first = str(error).split("\n", 1)[0]
        raise OutOfMemoryError(
            f"the device ran out of memory in a step with batch_size = {batch_size} ({first}): make batch_size "
            f"smaller, or end other programs on the device; {_SAVE}"
        ) from error
