"""What commands tell JAX before it starts: where compiled programs are kept, and how many devices a processor is."""

import os
import pathlib

import jax
from absl import flags, logging

_MIN_COMPILE_SECONDS = 0.2  # JAX's 1 second leaves out much of what a short search waits for


def define(values: flags.FlagValues) -> None:
    """Defines --compilation_cache_dir."""
    text = "folder of compiled programs, for later runs; empty: none; by default in the user's cache folder"
    flags.DEFINE_string("compilation_cache_dir", None, text, flag_values=values)


def default_directory() -> str:
    """Returns $JAX_COMPILATION_CACHE_DIR, else the project's folder in the user's cache folder."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return os.environ.get("JAX_COMPILATION_CACHE_DIR") or os.path.join(caches, "nao-lanas-jax")


def enable_cache(directory: str | None) -> None:
    """Keeps compiled programs in `directory`, made if it is not there.

    Args:
      directory: None for the default one, which is done without where it cannot be written; empty text to
        turn the cache off.

    Raises:
      ValueError: the folder named cannot be written.
    """
    if directory == "":
        jax.config.update("jax_compilation_cache_dir", None)
        return
    path = pathlib.Path(directory or default_directory()).expanduser()
    if not _is_writable(path):
        message = f"the compilation cache {path} cannot be written; name another folder with --compilation_cache_dir"
        if directory is not None:
            raise ValueError(message)
        logging.warning("%s. Going on without one.", message)
        return
    jax.config.update("jax_compilation_cache_dir", str(path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_COMPILE_SECONDS)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def use_all_cores() -> None:
    """Makes every processor core a device, for programs that run many searches side by side.

    To be called before JAX is used. Does nothing where the user says how many there are, by `JAX_NUM_CPU_DEVICES`
    or by `XLA_FLAGS`.
    """
    is_said = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if jax.config.jax_num_cpu_devices < 1 and not is_said:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        jax.config.update("jax_num_cpu_devices", cores)


def _is_writable(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(path, os.W_OK | os.X_OK)
