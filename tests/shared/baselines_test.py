"""Baselines: properties beyond the contract of every searcher."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import baselines, spaces, types, unseen
from common import history as history_lib
from common.baselines import regularized_evolution
from common.spaces import factory

GRID = factory.search_space("grid", (3, 4), size=12, describe=str)  # row number = 4 * row[0] + row[1]

_append = jax.jit(history_lib.append)
_append_pending = jax.jit(history_lib.append_pending)
_know = jax.jit(unseen.know, static_argnames="count")
_find = jax.jit(unseen.find)


@jax.jit
def _init(init, key, history):
    return init(key, history)


@functools.partial(jax.jit, static_argnames="count")
def _proposals(propose, keys, state, history, count):
    return jax.vmap(lambda key: propose(key, state, history, count=count)[0])(keys)


def _propose(searcher, history, *, seed=0, num_keys=None, count=1):
    """Proposals of a fresh state: int32[count, L], or int32[num_keys, count, L] for that many keys."""
    init_key, propose_key = jax.random.split(jax.random.key(seed))
    state = _init(searcher.init, init_key, history)
    archs = _proposals(searcher.propose, jax.random.split(propose_key, num_keys or 1), state, history, count)
    return np.asarray(archs if num_keys else archs[0])


def _measured(archs, fitness=0.5, ok=True, capacity=None):
    archs = np.asarray(archs, np.int32)
    evaluation = types.Evaluation(
        fitness=np.broadcast_to(np.float32(fitness), len(archs)),
        cost=np.ones(len(archs), np.float32),
        ok=np.broadcast_to(ok, len(archs)),
    )
    return _append(history_lib.empty(capacity or len(archs), archs.shape[1]), archs, evaluation)


def _chi_square(counts):
    """Standard deviations by which the chi-square statistic of uniformity exceeds its mean."""
    expected = np.sum(counts) / len(counts)
    degrees = len(counts) - 1
    return (np.sum((counts - expected) ** 2 / expected) - degrees) / np.sqrt(2 * degrees)


class RegistryTest(parameterized.TestCase):
    def test_settings_and_name_reach_the_searcher(self):
        for name, algorithm in baselines.ALGORITHMS.items():
            assert algorithm.searcher(GRID).name == name
            assert algorithm.presets == {name: algorithm.config}
            config = dataclasses.replace(algorithm.config, count=3)
            searcher = algorithm.searcher(GRID, config, name="other")
            assert (searcher.count, searcher.name) == (3, "other")

    @parameterized.parameters(*baselines.ALGORITHMS)
    def test_more_than_the_space_has_cannot_be_proposed(self, name):
        searcher, history, key = baselines.ALGORITHMS[name].searcher(GRID), history_lib.empty(20, 2), jax.random.key(0)
        state = jax.eval_shape(searcher.init, key, history)
        with pytest.raises(ValueError, match="count must be at most 12 architectures of grid; got 13"):
            jax.eval_shape(functools.partial(searcher.propose, count=13), key, state, history)


class FreshTest(parameterized.TestCase):
    def test_index_finds_rows_however_the_history_grew(self):
        pool = unseen.pool_of(GRID)
        history = _measured(np.asarray(pool)[[7, 0, 11, 4]], capacity=6)
        none = unseen.empty_index(pool, history)
        for count in (1, 3, 10):
            known = _know(pool, none, history, count=count)
            np.testing.assert_array_equal(known.index.places, [1, 6, 6, 6, 3, 6, 6, 0, 6, 6, 6, 2])
            assert known.index.num_indexed == 4
        grown = _append_pending(history, pool[2:3])
        known = _know(pool, known.index, grown, count=1)
        np.testing.assert_array_equal(_find(known, pool[:5]), [1, 6, 4, 6, 3])

    def test_without_a_pool_rows_are_found_as_well(self):
        pool = unseen.pool_of(GRID)
        history = _measured(np.asarray(pool)[[7, 0, 11, 4]], capacity=6)
        no_pool = unseen.pool_of(GRID._replace(enumerate=None))
        known = _know(no_pool, unseen.empty_index(no_pool, history), history, count=2)
        np.testing.assert_array_equal(_find(known, pool), [1, 6, 6, 6, 3, 6, 6, 0, 6, 6, 6, 2])

    def test_rows_that_are_no_networks_are_nowhere(self):
        pool = unseen.pool_of(GRID)
        history = _measured(pool, capacity=12)
        known = _know(pool, unseen.empty_index(pool, history), history, count=1)
        np.testing.assert_array_equal(_find(known, jnp.array([[0, 4], [-1, -1]])), [12, 12])


class RandomSearchTest(parameterized.TestCase):
    @parameterized.named_parameters(("by_rejection", [0, 5, 6, 11]), ("by_looking_through", list(range(9))))
    def test_ordered_pairs_are_uniform_over_the_unused_pool(self, used):
        pool = np.asarray(GRID.enumerate())
        archs = _propose(baselines.ALGORITHMS["random"].searcher(GRID), _measured(pool[used]), num_keys=6000, count=2)
        first, second = (archs @ np.array([4, 1])).T
        unused = [at for at in range(12) if at not in used]
        pairs = [(i, j) for i in unused for j in unused if i != j]
        counts = np.array([np.sum((first == i) & (second == j)) for i, j in pairs])
        assert counts.sum() == 6000
        assert _chi_square(counts) < 5

    def test_a_nearly_used_pool_gives_its_rest_evenly(self):
        # 20 of 1,364 are left: after 16 samples the whole unseen pool is ranked.
        space = spaces.get("convnet")
        pool = np.random.default_rng(0).permutation(space.enumerate())
        archs = _propose(baselines.ALGORITHMS["random"].searcher(space), _measured(pool[20:]), num_keys=4000, count=3)
        for slot in range(3):
            at = np.argmax(np.all(archs[:, slot, None] == pool[None, :20], axis=-1), axis=1)
            assert _chi_square(np.bincount(at, minlength=20)) < 5


class RegularizedEvolutionTest(parameterized.TestCase):
    """On a space of 20 decisions of 3, where the neighbours of different rows hardly meet."""

    space = factory.search_space("long", (3,) * 20, size=3**20, describe=str)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.drawn = np.asarray(jax.jit(cls.space.sample, static_argnums=1)(jax.random.key(1), 60))

    def _rows(self, count):
        return self.drawn[:count]

    def _parents(self, archs, children):
        """bool[B, P]: of which rows each child is one decision away."""
        return np.sum(archs[None] != children[:, None], axis=-1) == 1

    @classmethod
    @functools.cache  # one program for all tests of the same settings
    def _searcher(cls, **config):
        return regularized_evolution.searcher(cls.space, regularized_evolution.Config(**config))

    def test_random_until_the_population_is_grown(self):
        archs = self._rows(50)
        for num_measured, is_bred in ((49, False), (50, True)):
            children = _propose(self._searcher(), _measured(archs[:num_measured], capacity=60), num_keys=50)[:, 0]
            assert np.all(self._parents(archs, children).any(axis=1)) == is_bred
            assert np.any(self._parents(archs, children)) == is_bred

    def test_old_infeasible_and_pending_rows_are_no_parents(self):
        archs = self._rows(60)
        fitness = np.linspace(0.9, 0.1, 60)  # the oldest is the best
        ok = np.arange(60) % 10 != 5  # row 55 and five before it fail
        history = _append_pending(_measured(archs[:57], fitness[:57], ok[:57], capacity=64), archs[57:])
        searcher = self._searcher(population_size=20, sample_size=400)
        children = _propose(searcher, history, num_keys=30)[:, 0]
        # The last 20 measured rows of 0 to 56 without 35, 45 and 55 begin with 34, and it is their best.
        np.testing.assert_array_equal(self._parents(archs, children), np.tile(np.arange(60) == 34, (30, 1)))

    def test_a_tournament_of_two_among_two_is_won_by_the_better_three_times_in_four(self):
        archs = self._rows(2)
        searcher = self._searcher(population_size=2, sample_size=2)
        children = _propose(searcher, _measured(archs, [0.2, 0.8], capacity=4), num_keys=2000)[:, 0]
        wins = self._parents(archs, children)
        np.testing.assert_array_equal(wins.sum(axis=1), np.ones(2000))
        assert abs(wins[:, 1].mean() - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 2000)

    def test_several_children_have_parents_of_their_own(self):
        archs = self._rows(50)
        children = _propose(self._searcher(sample_size=1), _measured(archs, capacity=60), count=16)
        parents = self._parents(archs, children)
        assert np.all(parents.any(axis=1))
        assert np.sum(parents.any(axis=0)) > 5

    def test_a_known_child_is_drawn_again(self):
        # All but one of the 40 neighbours of the only parent are known (and infeasible): the last is found.
        parent = self._rows(1)
        around = np.asarray(self.space.neighbors(parent)[0][0])
        known = np.concatenate([parent, around[:39]])
        searcher = self._searcher(population_size=1, sample_size=1)
        children = _propose(searcher, _measured(known, 0.5, np.arange(40) == 0, capacity=50), num_keys=20)[:, 0]
        assert np.mean(np.all(children == around[39], axis=1)) > 0.7  # 1 - (39/40)^100 = 0.92 are expected

    def test_without_new_children_rows_are_random(self):
        parent = self._rows(1)
        around = np.asarray(self.space.neighbors(parent)[0][0])
        history = _measured(np.concatenate([parent, around]), 0.5, np.arange(41) == 0, capacity=50)
        searcher = self._searcher(population_size=1, sample_size=1)
        children = _propose(searcher, history, num_keys=20)[:, 0]
        assert np.mean(np.sum(children != parent, axis=1)) > 10  # 13.3 of 20 decisions differ by chance


class LocalSearchTest(parameterized.TestCase):
    def _around(self, arch):
        rows_ = [(i, j) for i in range(3) for j in range(4)]
        return {row for row in rows_ if (row[0] != arch[0]) + (row[1] != arch[1]) == 1}

    def test_a_round_of_several_is_a_start_and_its_neighbors(self):
        searcher = baselines.ALGORITHMS["local_search"].searcher(GRID)
        whole = _propose(searcher, history_lib.empty(12, 2), num_keys=20, count=8)
        for start, *others in whole.tolist():  # 5 neighbours, then 2 of the other 6 rows
            around = self._around(tuple(start))
            assert [tuple(row) in around for row in others] == [True] * 5 + [False] * 2

    def test_an_infeasible_start_is_left_at_once(self):
        searcher = baselines.ALGORITHMS["local_search"].searcher(GRID)
        starts = []
        for seed in range(20):
            history = history_lib.empty(12, 2)
            state = _init(searcher.init, jax.random.key(seed), history)
            archs, state = _step(searcher.propose, jax.random.key(seed + 100), state, history)
            failed = types.Evaluation(fitness=jnp.array([0.9]), cost=jnp.ones(1), ok=jnp.array([False]))
            history = _append(history, archs, failed)
            second, _ = _step(searcher.propose, jax.random.key(seed + 200), state, history)
            starts.append(tuple(second[0].tolist()) in self._around(tuple(archs[0].tolist())))
        assert not all(starts)  # 5 of the 11 other rows are neighbours
        assert 2 <= sum(starts) <= 16


@jax.jit
def _step(propose, key, state, history):
    return propose(key, state, history, count=1)
