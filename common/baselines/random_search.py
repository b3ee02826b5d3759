"""Random search without replacement: the first baseline of every comparison."""

from typing import Annotated

from common import compilation, types
from common import config as configs
from common import objectives as objectives_lib
from common.baselines import stateless


@configs.dataclass
class Config:
    """Settings of random search."""

    count: Annotated[int, "architectures proposed a round", configs.Range(at_least=1)] = 1


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
      objectives: any, as the search does not depend on them.
    """
    return stateless.searcher(space, None, config=config or Config(), name=name, objectives=objectives)


ALGORITHM = types.Algorithm("random", Config(), {"random": Config()}, searcher, max_objectives=objectives_lib.MOST)
