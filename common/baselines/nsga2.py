"""NSGA-II: evolution by non-dominated sorting and crowding distance (Deb et al., 2002)."""

from typing import Annotated

import jax
import jax.numpy as jnp

from common import compilation, fronts, types, unseen
from common import config as configs
from common import history as history_lib
from common import objectives as objectives_lib
from common.baselines import stateless

_MAX_DRAWS = 100
_AT_LEAST_1 = configs.Range(at_least=1)
_PROBABILITY = configs.Range(at_least=0, at_most=1)


@configs.dataclass
class Config:
    """Settings of NSGA-II."""

    count: Annotated[int, "architectures proposed a round, a generation", _AT_LEAST_1] = 20
    population_size: Annotated[int, "best measured architectures, the possible parents", _AT_LEAST_1] = 20
    crossover: Annotated[
        float, "probability that a child takes each decision from one of two parents", _PROBABILITY
    ] = 0.9
    mutation: Annotated[float, "probability that a child is mutated once", _PROBABILITY] = 0.7


@compilation.in_32_bits
def searcher(
    space: types.SearchSpace,
    config: Config | None = None,
    *,
    name: str = "nsga2",
    objectives: objectives_lib.Objectives | None = None,
) -> types.Searcher:
    """Returns NSGA-II: K. Deb et al., IEEE Transactions on Evolutionary Computation 6, 2002.

    The population are the best `population_size` of all measured rows by non-dominated rank, then by crowding distance;
    until there are that many, rows are random. (In the paper they are the best of the last population and its children:
    without new results from other sources the same, but for ties of crowding.) Each parent wins a tournament of two by
    rank, then by crowding distance. A child takes each decision from one of two parents with equal probability, if that
    is a valid architecture, else it equals the first; it is mutated in one decision with the probability `mutation`,
    about that of at least one change at rate 1 / L, and always if it equals its parent.

    Every query is a new architecture: tournaments are repeated for children that were seen, up to 100 times, then they
    are random unseen ones.

    Args:
      objectives: of the search; by default the fitness.
    """
    config = config or Config()

    def choose(key, known, count):
        population = _best(known.history, config.population_size)
        is_full = jnp.sum(history_lib.is_measured(known.history)) >= config.population_size
        return unseen.fill(
            key,
            known,
            *unseen.empty_batch(known, count),
            draw=lambda key: _children(key, space, population, count, config),
            max_draws=jnp.where(is_full, _MAX_DRAWS, 0),
        )

    return stateless.searcher(space, choose, config=config, name=name, objectives=objectives)


def _best(history, size):
    """The best rows int32[size, L], best first: by rank, then by crowding distance. Undefined if there are fewer."""
    values = objectives_lib.values(history)
    ranks = fronts.ranks(values, history_lib.is_measured(history))
    distance, order = fronts.crowding(jnp.nan_to_num(values), ranks), jnp.arange(ranks.shape[0])
    is_tie = (distance[:, None] == distance[None]) & (order[:, None] < order[None])
    is_first = (ranks[:, None] == ranks[None]) & ((distance[:, None] > distance[None]) | is_tie)
    place = jnp.sum(is_first | (ranks[:, None] < ranks[None]), axis=0)  # sorting takes long to compile
    return jnp.zeros((size, history.archs.shape[1]), jnp.int32).at[place].set(history.archs, mode="drop")


def _children(key, space, population, count, config):
    """Children int32[count, L] of a population, which is ordered, so that the winner of a tournament is the first."""
    parent_key, cross_key, decision_key, mutation_key, pick_key = jax.random.split(key, 5)
    parents = jnp.min(jax.random.randint(parent_key, (2, count, 2), 0, population.shape[0]), axis=2)
    first, second = population[parents]
    is_crossed = jax.random.bernoulli(cross_key, config.crossover, (count, 1))
    crossed = jnp.where(is_crossed & jax.random.bernoulli(decision_key, 0.5, first.shape), second, first)
    crossed = jnp.where(space.is_valid(crossed)[:, None], crossed, first)
    children = space.canonicalize(crossed)
    is_parent = jnp.all(children == first, axis=1) | jnp.all(children == second, axis=1)
    is_mutated = is_parent | jax.random.bernoulli(mutation_key, config.mutation, (count,))
    return jnp.where(is_mutated[:, None], space.mutate(pick_key, children), children)


ALGORITHM = types.Algorithm("nsga2", Config(), {"nsga2": Config()}, searcher, max_objectives=objectives_lib.MOST)
