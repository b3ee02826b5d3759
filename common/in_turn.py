"""Several search algorithms in turn on one history: what one finds, the others learn from."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax

from common import types
from common.history import History


def searcher(searchers: Sequence[types.Searcher], *, name: str) -> types.Searcher:
    """Returns a searcher whose rounds are those of several searchers in turn, one round each, the first one first.

    Args:
      searchers: of one space and the same objectives; each learns from all results, as from those measured earlier.

    Raises:
      ValueError: there is none, or they have different objectives.
    """
    if not searchers:
        raise ValueError("no searchers to take turns; give at least one")
    if len(every := {one.objectives and one.objectives.texts for one in searchers}) > 1:
        raise ValueError(f"searchers that take turns need the same objectives; got {sorted(map(str, every))}")
    partial = jax.tree_util.Partial
    described = functools.partial(_diagnostics, tuple(one.name for one in searchers))
    return searchers[0]._replace(
        name=name,
        init=partial(_init, *(partial(one.init) for one in searchers)),
        propose=partial(_propose, tuple(partial(one.propose) for one in searchers)),
        diagnostics=partial(described, tuple(partial(one.diagnostics) for one in searchers)),
    )


def configured(
    algorithm: types.Algorithm,
    space: types.SearchSpace,
    change: Callable[[Any], Any] = lambda config: config,
    **more: Any,
) -> types.Searcher:
    """Returns the searcher of an algorithm with its settings for a space; of `parts`, each with its own.

    Args:
      algorithm: one algorithm, or several in turn.
      change: settings -> settings, of each algorithm that has any.
      **more: arguments of `Algorithm.searcher`.
    """
    if algorithm.parts:
        return searcher([configured(one, space, change, **more) for one in algorithm.parts], name=algorithm.name)
    config = algorithm.for_space(space, algorithm.config)
    return algorithm.searcher(space, config if config is None else change(config), name=algorithm.name, **more)


def _init(*args):
    *inits, key, history = args
    keys = jax.random.split(key, len(inits))
    return tuple(init(keys[at], history) for at, init in enumerate(inits))


def _propose(
    proposes: Sequence[Callable], key: chex.PRNGKey, states: tuple, history: History, *, count: int
) -> tuple[chex.Array, tuple]:
    # The turn follows from the size of the history, which no seed changes: under `vmap` one branch runs.
    def branch(at):
        def propose(key, states):
            archs, state = proposes[at](key, states[at], history, count=count)
            return archs, (*states[:at], state, *states[at + 1 :])

        return propose

    turn = history.size // count % len(proposes)
    return jax.lax.switch(turn, [branch(at) for at in range(len(proposes))], key, states)


def _diagnostics(names, diagnostics, states, history):
    return {
        f"{name}_{key}": value
        for name, of, state in zip(names, diagnostics, states, strict=True)
        for key, value in of(state, history).items()
    }
