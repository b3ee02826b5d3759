"""Bayesian optimization: Gaussian process with a Hamming kernel, expected improvement."""

from collections.abc import Callable
from typing import Annotated, Literal

import chex
import jax
import jax.numpy as jnp

from common import compilation, regression_targets, types, unseen
from common import config as configs
from common import history as history_lib
from common.baselines import candidates, gaussian_process

_AT_LEAST_1 = configs.Range(at_least=1)
_MAX_CAPACITY = 4096


@configs.dataclass
class Config:
    """Settings of Bayesian optimization."""

    count: Annotated[int, "architectures proposed a round", _AT_LEAST_1] = 1
    num_initial: Annotated[int, "random architectures at the start", _AT_LEAST_1] = 10
    target: Annotated[
        Literal[tuple(regression_targets.TARGETS)],
        "regression target: scores of the ranks of fitness, or scaled fitness",
    ] = "normal_scores"
    num_parents: Annotated[int, "best architectures whose mutations are candidates", _AT_LEAST_1] = 10
    num_mutated: Annotated[int, "candidates by one mutation of a parent, and by two", _AT_LEAST_1] = 128
    num_random: Annotated[int, "random candidates", _AT_LEAST_1] = 256


@chex.dataclass(frozen=True)
class State:
    """State of a search: the index of the history and the factors of the Gaussian process."""

    index: unseen.Index
    factors: gaussian_process.Factors


@compilation.in_32_bits
def searcher(
    space: types.SearchSpace, config: Config | None = None, *, name: str = "bayesian_optimization"
) -> types.Searcher:
    """Returns Bayesian optimization.

    After `num_initial` random architectures each round proposes the candidates with the largest expected improvement
    (Jones et al., 1998). Candidates are mutations of the best architectures and random ones, as in the GP baseline of
    BANANAS (arXiv:1910.11858), whose code mutates the best five; the kernel is the exponential of the Hamming distance,
    its edit distance of the same number of decisions. In a round of several, they are the best of one ranking.
    """
    return within(space, config or Config(), None, name=name)


def within(
    space: types.SearchSpace,
    config: Config,
    in_region: Callable[[history_lib.History, chex.Array, chex.Array], chex.Array] | None,
    *,
    name: str,
) -> types.Searcher:
    """Returns Bayesian optimization in a region that each round learns.

    Args:
      in_region: (history, targets float32[N], candidates int32[C, L]) -> bool[C], those in the region; None for all.
    """

    def init(pool: chex.Array, key: chex.PRNGKey, history: history_lib.History) -> State:
        del key
        if (capacity := history.status.shape[0]) > _MAX_CAPACITY:
            num_models = len(gaussian_process.NOISES)
            raise ValueError(
                f"{name} keeps {num_models} matrices of the square of the budget, and takes at most {_MAX_CAPACITY} "
                f"evaluations; got {capacity}"
            )
        return State(index=unseen.empty_index(pool, history), factors=gaussian_process.empty(capacity))

    def propose(
        pool: chex.Array, key: chex.PRNGKey, state: State, history: history_lib.History, *, count: int
    ) -> tuple[chex.Array, State]:
        known = unseen.know(pool, state.index, history, count=count)
        factors = gaussian_process.update(state.factors, history)

        def guided(key):
            archs = _candidates(key, space, known, config)
            values = regression_targets.targets(history.fitness, factors.is_observed, target=config.target)
            mean, deviation = gaussian_process.posterior(factors, history, values, archs)
            best = jnp.max(jnp.where(factors.is_observed, values, -jnp.inf), initial=-1e9)
            scores = gaussian_process.expected_improvement(mean, deviation, best)
            if in_region:
                scores = jnp.where(in_region(history, values, archs), scores, -jnp.inf)
            return candidates.best_unseen(known, archs, scores, count=count)

        guided_key, rest_key = jax.random.split(key)
        free = unseen.empty_batch(known, count)
        archs, is_filled = jax.lax.cond(history.size >= config.num_initial, guided, lambda _: free, guided_key)
        archs = unseen.complete(rest_key, space, known, archs, is_filled)
        return archs, State(index=known.index, factors=factors)

    pool = unseen.pool_of(space)
    return types.Searcher(
        name=name,
        count=config.count,
        init=jax.tree_util.Partial(init, pool),
        propose=jax.tree_util.Partial(propose, pool),
    )


def _candidates(key, space, known, config):
    """Mutations of the best rows, mutations of those, random rows."""
    once_key, twice_key, random_key = jax.random.split(key, 3)
    once = candidates.mutations(
        once_key, space, known.history, num_parents=config.num_parents, count=config.num_mutated
    )
    twice = space.mutate(twice_key, once)
    return jnp.concatenate([once, twice, candidates.random(random_key, space, known, count=config.num_random)])


ALGORITHM = types.Algorithm("bayesian_optimization", Config(), {"bayesian_optimization": Config()}, searcher)
