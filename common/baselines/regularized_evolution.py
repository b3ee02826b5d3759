"""Regularized evolution: tournaments in a population whose oldest member dies (arXiv:1802.01548, algorithm 1)."""

from typing import Annotated

import jax
import jax.numpy as jnp

from common import compilation, types, unseen
from common import config as configs
from common import history as history_lib
from common.baselines import stateless

_MAX_DRAWS = 100
_AT_LEAST_1 = configs.Range(at_least=1)


@configs.dataclass
class Config:
    """Settings of regularized evolution.

    The defaults are those of the example that came with NAS-Bench-101 (arXiv:1902.09635), which many
    studies on tables use; Real et al. trained with a population of 100 and samples of 25.
    """

    count: Annotated[int, "architectures proposed a round", _AT_LEAST_1] = 1
    population_size: Annotated[int, "youngest measured architectures, the possible parents", _AT_LEAST_1] = 50
    sample_size: Annotated[int, "architectures sampled for a tournament, whose best is the parent", _AT_LEAST_1] = 10


@compilation.in_32_bits
def searcher(
    space: types.SearchSpace, config: Config | None = None, *, name: str = "regularized_evolution"
) -> types.Searcher:
    """Returns regularized evolution.

    The population is the last `population_size` measured rows of the history; infeasible rows are never in it. Until
    there are that many, rows are random. A parent is the best of `sample_size` samples with replacement, its child one
    mutation away.

    The original evaluates a child again that it has seen before. Here each query is a new architecture, as benchmarks
    count distinct ones: tournament and mutation are repeated until the child is unseen, and after 100 failures it is a
    random unseen architecture.
    """
    config = config or Config()

    def choose(key, known, count):
        num_measured = jnp.cumsum(history_lib.is_measured(known.history))

        def breed(key):
            tournament_key, mutation_key = jax.random.split(key)
            drawn = jax.random.randint(tournament_key, (count, config.sample_size), 0, config.population_size)
            return space.mutate(mutation_key, _winners(known.history, num_measured, drawn))

        max_draws = jnp.where(num_measured[-1] < config.population_size, 0, _MAX_DRAWS)
        return unseen.fill(key, known, *unseen.empty_batch(known, count), draw=breed, max_draws=max_draws)

    return stateless.searcher(space, choose, config=config, name=name)


def _winners(history, num_measured, drawn):
    """The best row, int32[B, L], of each tournament int32[B, S]: `drawn` is 0 for the youngest member, then older.

    The m-th measured row is the first where the running count `num_measured` is m; the search for it is
    cheaper than a list of the population.
    """
    at = jnp.searchsorted(num_measured, num_measured[-1] - drawn)
    winner = jnp.argmax(history.fitness[at], axis=1)
    return history.archs[jnp.take_along_axis(at, winner[:, None], axis=1)[:, 0]]


ALGORITHM = types.Algorithm("regularized_evolution", Config(), {"regularized_evolution": Config()}, searcher)
