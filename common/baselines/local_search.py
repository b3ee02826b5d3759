"""Local search: climb from neighbour to neighbour, start again at a local optimum (arXiv:2005.02960).

For several objectives it is Pareto local search: neighbours of the front.
"""

from typing import Annotated

import chex
import jax
import jax.numpy as jnp

from common import compilation, fronts, rows, types, unseen
from common import config as configs
from common import history as history_lib
from common import objectives as objectives_lib
from common.baselines import candidates

_NUM_CENTRES = 16


@configs.dataclass
class Config:
    """Settings of local search."""

    count: Annotated[int, "architectures proposed a round", configs.Range(at_least=1)] = 1


@chex.dataclass(frozen=True)
class State:
    """State of the climb.

    Attributes:
      index: index of the history.
      centre: int32[L], the architecture whose neighbours are being evaluated.
      is_started: bool[], False before the first round.
    """

    index: unseen.Index
    centre: chex.Array
    is_started: chex.Array


@compilation.in_32_bits
def searcher(
    space: types.SearchSpace,
    config: Config | None = None,
    *,
    name: str = "local_search",
    objectives: objectives_lib.Objectives | None = None,
) -> types.Searcher:
    """Returns local search in the paper's simplest version, which its results use.

    All neighbours of the centre are evaluated, then the best of them becomes the centre if it is better (variants of
    the paper move to the first better one, or continue at a local optimum). If none is better, the centre is a local
    optimum and the next climb starts from a random unseen architecture. Results of earlier climbs are reused. An
    infeasible centre is left immediately.

    With `count` > 1 a start is proposed together with some of its neighbours; if fewer than `count` neighbours are left
    to evaluate, random unseen architectures fill the round. Pending neighbours are not waited for.

    For several objectives each round proposes random unseen neighbours of the architectures that no other dominates (of
    16 of them, if there are more), and random architectures where there are none left (L. Paquete et al., Pareto local
    optimum sets, Metaheuristics for Multiobjective Optimisation, 2004).

    Args:
      objectives: of the search; by default the fitness.
    """
    config = config or Config()
    has_front = objectives is not None and len(objectives) > 1

    @compilation.in_32_bits
    def init(pool: chex.Array, key: chex.PRNGKey, history: history_lib.History) -> State:
        del key
        return State(
            index=unseen.empty_index(pool, history),
            centre=jnp.zeros((len(space.num_choices),), jnp.int32),
            is_started=jnp.zeros((), bool),
        )

    @compilation.in_32_bits
    def propose(
        pool: chex.Array, key: chex.PRNGKey, state: State, history: history_lib.History, *, count: int
    ) -> tuple[chex.Array, State]:
        known = unseen.know(pool, state.index, history, count=count)
        start_key, order_key, rest_key = jax.random.split(key, 3)
        if has_front:
            archs, is_filled = _around_front(order_key, space, known, count=count)
            archs = unseen.complete(rest_key, space, known, archs, is_filled)
            return archs, state.replace(index=known.index)
        centre, is_over = _climb(space, known, state.centre)
        is_start = is_over | ~state.is_started
        centre = unseen.complete(start_key, space, known, centre[None], ~is_start[None])[0]
        archs, is_filled = _around(order_key, space, known, centre, count=count)
        archs = unseen.complete(rest_key, space, known, archs, is_filled)
        return archs, State(index=known.index, centre=centre, is_started=jnp.ones((), bool))

    pool = unseen.pool_of(space)
    return types.Searcher(
        name=name,
        count=config.count,
        init=jax.tree_util.Partial(init, pool),
        propose=jax.tree_util.Partial(propose, pool),
        objectives=objectives,
    )


def _around_front(key, space, known, *, count):
    """Random new neighbours of the front, int32[count, L], and bool[count], which there are."""
    centre_key, order_key = jax.random.split(key)
    history = known.history
    is_front = fronts.non_dominated(objectives_lib.values(history), history_lib.is_measured(history))
    order = jnp.where(is_front, jax.random.uniform(centre_key, is_front.shape), -1.0)
    at = jax.lax.top_k(order, min(_NUM_CENTRES, order.shape[0]))[1]
    around, is_valid = space.neighbors(jnp.maximum(history.archs[at], 0))
    scores = jnp.where(is_valid & is_front[at][:, None], jax.random.uniform(order_key, is_valid.shape), -jnp.inf)
    archs = around.reshape(-1, around.shape[-1])
    return candidates.best_unseen(known, archs, scores.reshape(-1), count=count)


def _climb(space, known, centre):
    """Moves to better neighbours as far as the history goes. Returns where, and whether the climb is over there."""

    def look(centre):
        around, is_open, fitness = _neighbors(space, known, centre)
        best = jnp.argmax(fitness)
        has_open = jnp.any(is_open)
        return around[best], ~has_open & (fitness[best] > _fitness(known, centre[None])[0]), has_open

    def move(carry):
        _, (target, _, _) = carry
        return target, look(target)

    centre, (_, _, has_open) = jax.lax.while_loop(lambda carry: carry[1][1], move, (centre, look(centre)))
    at = unseen.find(known, centre[None])[0]
    is_infeasible = known.history.status.at[at].get(mode="fill", fill_value=types.EMPTY) == types.INFEASIBLE
    return centre, ~has_open | is_infeasible


def _around(key, space, known, centre, *, count):
    """The first rows of a round: the centre where it is new, then its new neighbours in random order."""
    around, is_open, _ = _neighbors(space, known, centre)
    around = jnp.concatenate([centre[None], around])
    is_new = unseen.find(known, centre[None]) == known.history.status.shape[0]
    order = jnp.concatenate([jnp.full((1,), 2.0), jax.random.uniform(key, is_open.shape)])
    order = jnp.where(jnp.concatenate([is_new, is_open]), order, -1.0)
    scores, at = jax.lax.top_k(order, min(count, order.shape[0]))
    missing = count - at.shape[0]
    return jnp.pad(around[at], ((0, missing), (0, 0))), jnp.pad(scores >= 0, (0, missing))


def _neighbors(space, known, centre):
    """The neighbours int32[K, L], which of them are new (once each), and their fitness, -inf unless measured."""
    around, is_valid = space.neighbors(centre[None])
    around = jnp.where(is_valid[0][:, None], around[0], -1)
    is_new = unseen.find(known, around) == known.history.status.shape[0]
    return around, is_valid[0] & is_new & ~rows.is_repeat(around), _fitness(known, around)


def _fitness(known, archs):
    """The fitness float32[B] of the rows that the history holds measured, else -inf."""
    at = unseen.find(known, archs)
    is_measured = history_lib.is_measured(known.history).at[at].get(mode="fill", fill_value=False)
    return jnp.where(is_measured, known.history.fitness.at[at].get(mode="fill", fill_value=0.0), -jnp.inf)


ALGORITHM = types.Algorithm(
    "local_search", Config(), {"local_search": Config()}, searcher, max_objectives=objectives_lib.MOST
)
