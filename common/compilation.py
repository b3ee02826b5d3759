"""JAX settings of a process: the cache of compiled programs, and the number of CPU devices."""

import functools
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import jax
from absl import logging

Function = TypeVar("Function", bound=Callable)

_OTHER_NUMBERS = "with it a seed gives other random numbers"
_COPIES = "results are copied between host and device"
_NAN = "architectures that are not evaluated have the fitness NaN"
_SETTINGS = {  # name: the value with which searches and trainings run, and why others are left out
    "jax_default_prng_impl": ("threefry2x32", _OTHER_NUMBERS),
    "jax_threefry_partitionable": (True, _OTHER_NUMBERS),
    "jax_random_seed_offset": (0, _OTHER_NUMBERS),
    "jax_numpy_dtype_promotion": ("standard", "programs mix types"),
    "jax_debug_nans": (False, _NAN),
    "jax_debug_infs": (False, _NAN),
    "jax_transfer_guard": ("allow", _COPIES),
    "jax_transfer_guard_host_to_device": ("allow", _COPIES),
    "jax_transfer_guard_device_to_device": ("allow", _COPIES),
    "jax_transfer_guard_device_to_host": ("allow", _COPIES),
}


def one_program(function: Function, **settings: Any) -> Function:
    """Returns a function that runs as one program where it is called outside of programs, not operation by operation.

    Args:
      function: a pure function of arrays.
      **settings: of `jax.jit`, such as `static_argnames`.
    """
    return jax.jit(function, inline=True, **settings)


def in_32_bits(function: Function) -> Function:
    """Returns a function that computes in 32 bits also where JAX's 64 bits are enabled: results are the same.

    Searches and trainings are in 32 bits, and their random numbers depend on the type. `JAX_ENABLE_X64` stays in force
    for what surrounds them, such as evaluators of a user. The setting is one of the thread.
    """

    @functools.wraps(function)
    def call(*args, **kwargs):
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return call


def enable_cache(directory: str | None) -> None:
    """Keeps compiled programs in `directory`; None: $JAX_COMPILATION_CACHE_DIR or the user's cache folder, "": nowhere.

    Raises:
      ValueError: the folder named cannot be made.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    default = os.environ.get("JAX_COMPILATION_CACHE_DIR") or os.path.join(caches, "nao-lanas-jax")
    path = pathlib.Path(directory or default).expanduser() if directory != "" else None
    try:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        message = f"the compilation cache {path} cannot be written; name another folder (--compilation_cache_dir)"
        if directory is not None:
            raise ValueError(message) from error
        logging.warning("%s. Running without one.", message)
        path = None
    jax.config.update("jax_compilation_cache_dir", None if path is None else str(path))
    # JAX's 1 second leaves out much of the compile time of a short search.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def reset_variables() -> None:
    """Resets the settings of JAX with which programs cannot run or give other numbers; prints a line if one was set.

    With other random numbers, a search that resumes or a study that gets more seeds would silently be of two kinds.
    Worker processes inherit it.
    """
    for name, (value, why) in _SETTINGS.items():
        if (found := getattr(jax.config, name)) not in (value, None):
            print(f"warning: {name.upper()}={found} is left out: {why}", file=sys.stderr, flush=True)
            jax.config.update(name, value)
        os.environ.pop(name.upper(), None)


def use_all_cores() -> None:
    """Makes every processor core a device, for programs that run many searches in parallel.

    Call it before JAX is used. `JAX_NUM_CPU_DEVICES` or `XLA_FLAGS` take precedence.
    """
    is_given = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if jax.config.jax_num_cpu_devices < 1 and not is_given:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        jax.config.update("jax_num_cpu_devices", cores)


def missing_platform(error: Exception) -> str:
    """Returns one line if an exception came of a platform that the environment names and JAX lacks, else nothing."""
    for name in ("JAX_PLATFORMS", "JAX_PLATFORM_NAME"):
        if value := os.environ.get(name):
            is_missing = "initialize backend" in str(error)
            try:
                jax.devices()
            except Exception:  # JAX raises many kinds, an AssertionError among them
                is_missing = True
            if is_missing:
                return f"JAX cannot use the platform {value!r} of {name} here; unset {name}, or set it to cpu"
    return ""
