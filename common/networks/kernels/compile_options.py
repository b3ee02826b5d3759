"""Compiler options for programs that take longer to compile than to run.

Tuned on CPU with jax 0.10.2; other platforms compile with XLA's defaults.
"""

import jax

_CPU = {
    # Runs once, for milliseconds: parameter initializers.
    "once": {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True},
    # Runs for seconds: a short training.
    "short": {"xla_backend_optimization_level": 1},
}


def quick(kind: str) -> dict[str, int | bool] | None:
    """Returns the `compiler_options` of `jax.jit` for a program of kind "once" or "short", or None for the defaults."""
    return _CPU[kind] if jax.default_backend() == "cpu" else None
