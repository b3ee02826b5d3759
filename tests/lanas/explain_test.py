"""Partition refitted from a history: equal to that of the search, and its numbers computed by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import history as history_lib
from common import types
from common.spaces import factory
from lanas_jax import config as configs
from lanas_jax import explain, search

SPACE = factory.search_space("grid", (3, 4, 2), size=24, describe=str)
CONFIG = configs.Config(height=3, num_initial=8, num_select=4, count=4)
CAPACITY = 20


def _searched():
    """Returns (the state after the last round's proposal, the history with its results)."""
    searcher = search.searcher(SPACE, CONFIG)
    propose = jax.jit(lambda key, state, history: searcher.propose(key, state, history, count=4))
    history, append = history_lib.empty(CAPACITY, 3), jax.jit(history_lib.append)
    state = jax.jit(searcher.init)(jax.random.key(0), history)
    for round_ in range(5):
        archs, state = propose(jax.random.fold_in(jax.random.key(1), round_), state, history)
        fitness = jnp.sum(archs * jnp.array([[0.2, 0.1, 0.05]]), axis=1)
        ok = jnp.arange(4) != round_  # one of each round but the last fails
        history = append(history, archs, types.Evaluation(fitness=fitness, cost=fitness, ok=ok))
    return state, history


class ExplainTest(chex.TestCase):
    def test_it_is_the_tree_that_the_last_round_was_drawn_by(self):
        state, history = _searched()
        got = explain.explain(SPACE, CONFIG, history)
        np.testing.assert_array_equal(got.selected, state.leaves[16:])
        is_member = np.asarray(history.status[:16]) == types.MEASURED
        np.testing.assert_array_equal(got.leaf, np.asarray(state.leaves[:16])[is_member])
        np.testing.assert_array_equal(got.fitness, np.asarray(history.fitness[:16])[is_member])
        assert got.count[0] == is_member.sum() == 12
        np.testing.assert_array_equal(got.count[:3], got.count[1:7:2] + got.count[2:7:2])
        assert got.bound.shape == got.mean.shape == (7,)
        assert np.all(got.bound[1:3] > -1)
        rows = set(map(tuple, history.archs.tolist()))
        free = [tuple(row) not in rows for row in SPACE.enumerate().tolist()]
        np.testing.assert_array_equal(
            got.num_unseen[3:], np.bincount(np.asarray(state.pool_leaves)[free], minlength=7)[3:]
        )
        np.testing.assert_array_equal(got.num_unseen[:3], [24 - 20, *(got.num_unseen[3::2] + got.num_unseen[4::2])])

    def test_too_little_was_measured(self):
        history = history_lib.empty(CAPACITY, 3)
        assert explain.explain(SPACE, CONFIG, history) is None
        _, history = jax.tree.map(np.asarray, _rows(11))
        assert explain.explain(SPACE, CONFIG, history) is None

    def test_figures_by_hand(self):
        """Leaves 3 and 4 are good, 5 and 6 bad; 4 is empty."""
        leaf, fitness = np.array([3, 3, 5, 6]), np.array([0.5, 0.75, 0.5, 0.25])
        bound, selected = np.arange(7.0), np.array([3])
        got = explain._partition(leaf, fitness, bound, selected)
        np.testing.assert_array_equal(got.count, [4, 2, 2, 2, 0, 1, 1])
        np.testing.assert_array_equal(got.mean, [0.5, 0.625, 0.375, 0.625, np.nan, 0.5, 0.25])
        # At the root: 0.5 against 0.5 and 0.25, 0.75 against both.
        np.testing.assert_array_equal(got.quality, [3.5 / 4, np.nan, 1.0])
        np.testing.assert_array_equal(got.gap, [0.25, np.nan, 0.25])


def _rows(count):
    """Returns (None, a history of `count` measured rows)."""
    history = history_lib.empty(CAPACITY, 3)
    archs = jnp.asarray(SPACE.enumerate()[:count])
    ones = jnp.ones(count)
    return None, history_lib.append(history, archs, types.Evaluation(fitness=ones / 2, cost=ones, ok=ones > 0))
