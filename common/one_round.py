"""One round of a search: its keys, its compiled calls and its size. Shared by both drivers of the search loop.

The key of a proposal is folded from the search's key and the round, that of an evaluation from the search's key and
the architecture. So a resumed search needs no saved key, and the result of an evaluation does not depend on other
evaluations, or on when or where it runs.
"""

import functools
import numbers
from collections.abc import Sequence
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import compilation, types
from common import history as history_lib
from common import objectives as objectives_lib
from common.executors import measuring

# Folded into the key of a search in place of a round: for `Searcher.init`, the keys of evaluations, and test fitness.
INIT_ROUND, MEASURE_ROUND, TEST_ROUND = 2**31 - 1, 2**31 - 3, 2**31 - 2


class Functions(NamedTuple):
    """The functions of a searcher as arguments of compiled programs."""

    init: jax.tree_util.Partial
    propose: jax.tree_util.Partial
    diagnose: jax.tree_util.Partial


@compilation.in_32_bits
def functions(searcher: types.Searcher) -> Functions:
    """Returns the functions of a searcher, their arrays on the device."""
    return Functions(*(measuring.on_device(each) for each in (searcher.init, searcher.propose, searcher.diagnostics)))


def propose_key(key: chex.PRNGKey, round_: chex.Array | int) -> chex.PRNGKey:
    """Returns the key of a round's proposal."""
    return jax.random.split(jax.random.fold_in(key, round_))[0]


def candidate_keys(key: chex.PRNGKey, archs: chex.Array) -> chex.Array:
    """Returns key[B], the keys of the evaluations of int32[B, L] `archs` in the search with `key`. Traceable.

    A key depends on the search's key and the architecture only, not on the round, the order or the worker.
    """

    def one(arch):
        def fold(at, key):
            return jax.random.fold_in(key, arch[at])

        return jax.lax.fori_loop(0, arch.shape[0], fold, jax.random.fold_in(key, MEASURE_ROUND))

    return jax.vmap(one)(jnp.asarray(archs))


@compilation.in_32_bits
@jax.jit
def init(init, key, history):
    """Calls `Searcher.init`, compiled."""
    return init(key, history)


@compilation.in_32_bits
@functools.partial(jax.jit, static_argnames="count")
def propose(propose, key, state, history, *, count):
    """Calls `Searcher.propose`, compiled."""
    return propose(key, state, history, count=count)


@compilation.in_32_bits
@jax.jit
def diagnose(diagnose, state, history):
    """Calls `Searcher.diagnostics`, compiled."""
    return diagnose(state, history)


def candidates(key: chex.PRNGKey, rows: Sequence[int], archs: np.ndarray) -> list[types.Candidate]:
    """Returns the candidates int32[B, L] `archs` at B rows of the history, with their keys, for executors."""
    words, impl = np.asarray(_key_words(key, archs)).tolist(), str(jax.random.key_impl(key))
    each = zip(rows, archs.tolist(), words, strict=True)
    return [types.Candidate(row, tuple(arch), tuple(word), impl) for row, arch, word in each]


@compilation.in_32_bits
@jax.jit
def _key_words(key, archs):
    return jax.random.key_data(candidate_keys(key, archs))


def largest_budget(searcher: types.Searcher, evaluator: types.Evaluator) -> int:
    """Returns the largest budget of whole rounds of different architectures, 0 if there are too few of them."""
    num_archs = min(evaluator.space.size, evaluator.num_archs or evaluator.space.size)
    return num_archs - num_archs % searcher.count


@compilation.in_32_bits
def check_sizes(
    searcher: types.Searcher,
    space: types.SearchSpace,
    *,
    budget: int,
    count: int | None = None,
    num_earlier: int = 0,
    evaluator: types.Evaluator | None = None,
) -> int:
    """Validates budget and count of a search before anything is compiled; returns the architectures a round.

    Args:
      count: architectures a round, by default `searcher.count`.
      num_earlier: warm-start measurements.
      evaluator: the source of fitness, if it may cover only a part of the space.

    Raises:
      ValueError: a size is out of range for the space, the evaluator or the searcher.
    """
    count = searcher.count if count is None else count
    for size, value in (("budget", budget), ("count", count)):
        if not isinstance(value, numbers.Integral):
            raise ValueError(f"{size} must be an integer; got {value!r}")
    if budget < 1:
        raise ValueError(f"budget must be at least 1 measurement; got {budget}")
    name, limit = space.name, space.size
    if evaluator is not None:
        name, limit = evaluator.name, min(limit, evaluator.num_archs or limit)
        name += f" within {', '.join(evaluator.limits)}" if evaluator.limits else ""
    limit -= num_earlier
    more = f" beside the {num_earlier} measured earlier" if num_earlier else ""
    if limit < 1:
        raise ValueError(f"{name} has no architecture{more}; there is nothing left to search")
    if not 1 <= count <= limit:
        few = f", all that {name} can measure{more}" if count > 1 else ""
        raise ValueError(f"count must be from 1 to {limit} architectures a round{few}; got {count}")
    if budget > limit:
        raise ValueError(f"budget must be at most {limit}, all that {name} can measure{more}; got {budget}")
    num_rounds = -(-budget // count)
    if num_rounds * count > limit:
        raise ValueError(
            f"a budget of {budget} takes {num_rounds} rounds of {count} different architectures, but "
            f"{name} has only {limit}{more}; lower the budget to {limit // count * count} or change count"
        )
    # The searcher checks the capacity in its `init`.
    objectives = objectives_lib.of_searcher(searcher)
    empty = history_lib.empty(num_earlier + budget, len(space.num_choices), len(objectives))
    jax.eval_shape(lambda key: searcher.init(key, empty), jax.random.key(0))
    return count
