"""Random search without replacement: the first baseline of every comparison."""

import dataclasses
from typing import Annotated

import chex
import jax
import jax.numpy as jnp

from common import compilation, types, unseen
from common import config as configs
from common import history as history_lib
from common import objectives as objectives_lib


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of random search."""

    count: Annotated[int, "architectures proposed a round", configs.Range(at_least=1)] = 1

    def __post_init__(self):
        configs.validate(self)


@compilation.in_32_bits
def searcher(
    space: types.SearchSpace,
    config: Config | None = None,
    *,
    name: str = "random",
    objectives: objectives_lib.Objectives | None = None,
) -> types.Searcher:
    """Returns random search without replacement.

    If the space can be listed, each round is uniform over the unseen networks, so the position of any one network in
    the order is uniform: (size + 1) / 2 queries to the optimum on average. Otherwise rows come from `space.sample`,
    repeated for seen ones.

    Args:
      space: the search space.
      config: the settings.
      name: its name in results.
      objectives: any, as the search does not depend on them.

    Returns:
      The searcher.
    """
    config = config or Config()

    @compilation.in_32_bits
    def init(pool: chex.Array, key: chex.PRNGKey, history: history_lib.History) -> unseen.Index:
        del key
        return unseen.empty_index(pool, history)

    @compilation.in_32_bits
    def propose(
        pool: chex.Array, key: chex.PRNGKey, state: unseen.Index, history: history_lib.History, *, count: int
    ) -> tuple[chex.Array, unseen.Index]:
        known = unseen.know(pool, state, history, count=count)
        free = jnp.zeros((count, len(space.num_choices)), jnp.int32)
        archs = unseen.complete(key, space, known, free, jnp.zeros((count,), bool))
        return archs, known.index

    pool = unseen.pool_of(space)
    return types.Searcher(
        name=name,
        count=config.count,
        init=jax.tree_util.Partial(init, pool),
        propose=jax.tree_util.Partial(propose, pool),
        objectives=objectives,
    )


ALGORITHM = types.Algorithm("random", Config(), {"random": Config()}, searcher, max_objectives=objectives_lib.MOST)
