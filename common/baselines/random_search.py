"""Random search without replacement: the first baseline of every comparison."""

import dataclasses
from typing import Annotated

import chex
import jax
import jax.numpy as jnp

from common import history as history_lib
from common import types
from common import unseen as fresh


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of random search."""

    count: Annotated[int, "architectures proposed a round"] = 1

    def __post_init__(self):
        fresh.check_at_least_one(count=self.count)


def searcher(space: types.SearchSpace, **config) -> types.Searcher:
    """Returns random search without replacement.

    Where the space can be listed each round is uniform over its networks not yet proposed, so the
    position of any one network in the order is uniform: (size + 1) / 2 queries to the optimum on
    average. Elsewhere rows are drawn by `space.sample` and again where they are known.

    Args:
      space: the search space.
      **config: fields of `Config`.

    Raises:
      ValueError: if a setting is out of range.
    """
    settings = Config(**config)

    def init(pool: chex.Array, key: chex.PRNGKey, history: history_lib.History) -> fresh.Index:
        del key
        return fresh.empty_index(pool, history)

    def propose(
        pool: chex.Array, key: chex.PRNGKey, state: fresh.Index, history: history_lib.History, *, count: int
    ) -> tuple[chex.Array, fresh.Index]:
        known = fresh.know(pool, state, history, count=count)
        free = jnp.zeros((count, len(space.num_choices)), jnp.int32)
        archs = fresh.complete(key, space, known, free, jnp.zeros((count,), bool))
        return archs, known.index

    pool = fresh.pool_of(space)
    return types.Searcher(
        name="random",
        count=settings.count,
        init=jax.tree_util.Partial(init, pool),
        propose=jax.tree_util.Partial(propose, pool),
    )
