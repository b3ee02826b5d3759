"""NSGA-II and Pareto local search: the population of a hand-made history, its children, its generations."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import history as history_lib
from common import objectives, types
from common.baselines import local_search, nsga2
from common.spaces import factory

SPACE = factory.product("grid", (5, 5, 5))
# As in fronts_test: ranks 0, 0, 1, 0, 1, 2, 0; crowding on the first front infinite at the ends, then 6 / 4, then 1.
VALUES = np.array([(1, 5), (3, 3), (1, 5), (5, 1), (2, 3), (1, 1), (4, 2)], np.float32) / 8
ARCHS = np.array(np.unravel_index(np.arange(7) * 17, (5, 5, 5))).T.astype(np.int32)


_best = jax.jit(nsga2._best, static_argnums=1)


@functools.cache
def history(capacity=40, ok=True):
    ones = jnp.ones(7)
    evaluation = types.Evaluation(
        fitness=jnp.asarray(VALUES[:, 0]), cost=ones, ok=jnp.broadcast_to(jnp.asarray(ok), (7,))
    )
    empty = history_lib.empty(capacity, 3, 2)
    return history_lib.append(empty, jnp.asarray(ARCHS), evaluation, jnp.asarray(VALUES[:, 1:]))


class Nsga2Test(parameterized.TestCase):
    def test_the_population_is_ordered_by_rank_then_by_crowding(self):
        best = np.asarray(_best(history(), 6))
        np.testing.assert_array_equal(best, ARCHS[[0, 3, 1, 6, 2, 4]])
        best = _best(history(ok=(*[True] * 3, False, *[True] * 3)), 3)  # without (5, 1), which is infeasible
        np.testing.assert_array_equal(best, ARCHS[[0, 6, 1]])

    def test_children_take_each_decision_from_a_parent_and_are_mutated_at_most_once(self):
        population = jnp.array([[0, 0, 0], [4, 4, 4]])
        settings = nsga2.Config(crossover=1.0, mutation=0.0)
        children = jax.jit(lambda key: nsga2._children(key, SPACE, population, 200, settings))(jax.random.key(0))
        children = np.asarray(children)
        num_others = np.sum((children != 0) & (children != 4), axis=1)
        assert set(num_others.tolist()) == {0, 1}  # a child that equals a parent is mutated
        mixed = children[num_others == 0]
        assert not np.any(np.all(mixed == mixed[:, :1], axis=1))
        assert {tuple(row) for row in mixed.tolist()} >= {(0, 4, 0), (4, 0, 4), (0, 0, 4), (4, 4, 0)}

    def test_generations(self):
        settings = nsga2.Config(count=5, population_size=6, mutation=0.0)
        chosen = objectives.Objectives(("fitness", "cost"), (1.0, -1.0), (None,))
        searcher = nsga2.searcher(SPACE, settings, objectives=chosen)
        assert searcher.objectives is chosen
        state = searcher.init(jax.random.key(0), history())
        archs, _ = jax.jit(searcher.propose, static_argnames="count")(jax.random.key(1), state, history(), count=5)
        archs, best = np.asarray(archs), np.asarray(_best(history(), 6))
        assert len(np.unique(np.concatenate([archs, ARCHS]), axis=0)) == 12
        is_of_parents = np.any(archs[:, None] == best[None], axis=1)  # decisions that some parent has at the place
        assert np.all(is_of_parents.sum(axis=1) >= 2)


class LocalSearchTest(parameterized.TestCase):
    def test_neighbours_of_the_front(self):
        chosen = objectives.Objectives(("fitness", "cost"), (1.0, -1.0), (None,))
        searcher = local_search.searcher(SPACE, objectives=chosen)
        state = searcher.init(jax.random.key(0), history())
        archs, _ = jax.jit(searcher.propose, static_argnames="count")(jax.random.key(1), state, history(), count=30)
        front = ARCHS[[0, 1, 3, 6]]
        distance = np.sum(np.asarray(archs)[:, None] != front[None], axis=2)
        np.testing.assert_array_equal(distance.min(axis=1), 1)
        assert len(np.unique(np.concatenate([archs, ARCHS]), axis=0)) == 37
