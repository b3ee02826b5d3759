"""Measures in the process of the search, one thing after the other."""

import contextlib
from collections.abc import Callable, Iterator

import chex
import jax
import numpy as np

from common import types


@contextlib.contextmanager
def executor():
    """Gives `measure`; nothing to start and nothing to stop."""
    yield measure


def measure(
    evaluator: types.Evaluator, keys: chex.Array, archs: np.ndarray
) -> Iterator[tuple[np.ndarray, types.Evaluation]]:
    """Measures int32[B, L] `archs` with one key each.

    A traceable evaluator measures the batch in one compiled call. Any other takes one architecture at a
    time, so that a search that is killed loses the measurement under way and no more.

    Yields:
      (int[b], Evaluation of b rows): which of the B rows were measured, and what it gave.
    """
    if evaluator.is_traceable:
        yield np.arange(len(archs)), jax.device_get(_measure_rows(_as_partial(evaluator.evaluate), keys, archs))
        return
    for at in range(len(archs)):
        yield np.array([at]), evaluator.evaluate(keys[at], archs[at : at + 1])


def measure_rows(
    evaluate: Callable[[chex.PRNGKey, chex.Array], types.Evaluation], keys: chex.Array, archs: chex.Array
) -> types.Evaluation:
    """Evaluates each row of int32[B, L] `archs` with the key of its own, traceably.

    What a row gives depends on its key alone, not on which rows it is measured with: a search gives the
    same history whether its architectures are measured one by one, all at once, or some of them again
    after a kill.
    """
    evaluation = jax.vmap(lambda key, arch: evaluate(key, arch[None]))(keys, archs)
    return jax.tree.map(lambda values: values[:, 0], evaluation)


_measure_rows = jax.jit(measure_rows)


def _as_partial(function):
    return function if isinstance(function, jax.tree_util.Partial) else jax.tree_util.Partial(function)
