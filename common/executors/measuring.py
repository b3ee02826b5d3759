"""Evaluation of candidates in this process, called by every executor or its workers."""

import functools
import importlib
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, types

_MAX_REASON, _MAX_TRACEBACK = 500, 20_000  # characters
_OUT_OF_MEMORY = "out of memory: "
_GPU_MEMORY = 0.9  # of a GPU, shared by its workers
OVER_LIMIT = "over the limit"  # the reason of a row that was evaluated and is infeasible because of a cost


def make(recipe: types.Recipe) -> types.Evaluator:
    """Returns the evaluator of a recipe.

    Raises:
      ValueError: the factory cannot be imported; and any error of the factory itself.
    """
    module, _, name = recipe.factory.rpartition(".")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"the evaluator's factory {recipe.factory} cannot be imported: {error}") from error
    return factory(**recipe.settings)


def recipe_of(evaluator: types.Evaluator) -> types.Recipe:
    """Returns the recipe of an evaluator; a `ValueError` if it has none."""
    if evaluator.recipe is None:
        raise ValueError(
            f"{evaluator.name} has no recipe, from which workers could build it; give it one or use executor inline"
        )
    return evaluator.recipe


def gpu_memory(num_sharing: int) -> dict[str, str]:
    """Returns the environment variables of one of `num_sharing` workers of a GPU: memory on demand, up to its share."""
    return {
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{_GPU_MEMORY / num_sharing:.3f}",
    }


def on_device(value: Any) -> Any:
    """Returns a pytree with its arrays on the device, a function as a partial: an argument of compiled programs."""
    if callable(value) and not isinstance(value, jax.tree_util.Partial):
        value = jax.tree_util.Partial(value)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, value)


def measure_rows(
    evaluate: Callable[[chex.PRNGKey, chex.Array], types.Evaluation], keys: chex.Array, archs: chex.Array
) -> types.Evaluation:
    """Evaluates each row of int32[B, L] `archs` with its own key. Traceable.

    The result of a row depends on its key only, not on the other rows: a search gives the same history whether its
    architectures are evaluated one by one, all at once, or partly again after an interruption.
    """
    evaluation = jax.vmap(lambda key, arch: evaluate(key, arch[None]))(keys, archs)
    return jax.tree.map(lambda values: values[:, 0], evaluation)


@compilation.in_32_bits
def measure_traced(evaluate: jax.tree_util.Partial, candidates: Sequence[types.Candidate]) -> list[types.Outcome]:
    """Evaluates candidates in one compiled call, padded to a power of two so that few shapes compile."""
    num_rows = 1 << (len(candidates) - 1).bit_length()
    filled = [*candidates, *[candidates[-1]] * (num_rows - len(candidates))]
    archs = np.array([candidate.arch for candidate in filled], np.int32)
    evaluation = jax.device_get(_measure_rows(evaluate, _keys(filled), archs))
    return [_outcome(candidate.at, evaluation, row, num_rows) for row, candidate in enumerate(candidates)]


def measure_on_host(evaluate: Callable, candidate: types.Candidate) -> types.Outcome:
    """Evaluates one candidate. An exception makes it infeasible, with the message as the reason."""
    try:
        evaluation = evaluate(_keys([candidate])[0], np.array([candidate.arch], np.int32))
        return _outcome(candidate.at, evaluation)
    except Exception as error:
        outcome = failed(candidate.at, reason_of(error))
        if outcome.reason.startswith(_OUT_OF_MEMORY):
            return outcome
        return outcome._replace(error=type(error).__name__, traceback=traceback.format_exc()[-_MAX_TRACEBACK:])


def measurer(evaluator: types.Evaluator) -> Callable[[types.Candidate], types.Outcome]:
    """Returns the function candidate -> outcome of a worker."""
    if not evaluator.is_traceable:
        return functools.partial(measure_on_host, evaluator.evaluate)
    evaluate = on_device(evaluator.evaluate)
    return lambda candidate: measure_traced(evaluate, [candidate])[0]


def failed(at: int, reason: str) -> types.Outcome:
    """Returns the outcome of a candidate that could not be evaluated."""
    return types.Outcome(at=at, fitness=float("nan"), cost=0.0, ok=False, reason=reason[:_MAX_REASON])


def one_line(error: BaseException) -> str:
    """Returns the type and the message of an error."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def reason_of(error: BaseException) -> str:
    """Returns why a candidate that raised `error` is infeasible, in one line."""
    text = one_line(error)
    is_full = isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text
    return f"{_OUT_OF_MEMORY}{text}" if is_full else text


def _outcome(at, evaluation, row=0, num_rows=1):
    """Returns the outcome of one row of an evaluation."""

    def number(values):
        return np.asarray(values).reshape(num_rows)[row].item()

    fitness, reason = number(evaluation.fitness), ""
    if evaluation.over_limit is not None and number(evaluation.over_limit):
        reason = OVER_LIMIT
    elif not number(evaluation.ok):
        reported = evaluation.reasons[row] if evaluation.reasons else ""
        reason = reported[:_MAX_REASON] or "diverged or invalid, as reported by the evaluator"
    elif not np.isfinite(fitness):
        reason = f"diverged: its fitness is {fitness}"
    costs = {name: float(number(values)) for name, values in evaluation.costs.items()}
    return types.Outcome(at, fitness, number(evaluation.cost), ok=not reason, reason=reason, costs=costs)


def _keys(candidates):
    words = np.array([candidate.key for candidate in candidates], np.uint32)
    return jax.random.wrap_key_data(words, impl=candidates[0].impl)


_measure_rows = jax.jit(measure_rows)
