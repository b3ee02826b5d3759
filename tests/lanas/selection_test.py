"""UCB selection and backpropagation, computed by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from lanas_jax import selection
from lanas_jax import tree as trees


def _tree(visits, total, num_valued=None):
    return trees.empty(len(visits).bit_length(), 1).replace(
        visits=jnp.array(visits, jnp.float32),
        total=jnp.array(total, jnp.float32),
        num_valued=jnp.array(visits if num_valued is None else num_valued, jnp.float32),
    )


def _leaves(tree, *, is_open=None, exploration=0.0, num_keys=200, ucb="log"):
    is_open = jnp.ones(tree.bias.shape, bool) if is_open is None else jnp.array(is_open)

    @jax.jit
    @jax.vmap
    def descend(key):
        return selection.descend(key, tree, is_open, exploration=jnp.float32(exploration), ucb=ucb)

    return np.asarray(descend(jax.random.split(jax.random.key(0), num_keys)))


class UpperConfidenceBoundTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_values(self):
        def bound(value, visits, parent, exploration, ucb="log"):
            return self.variant(
                lambda *args: selection.upper_confidence_bound(*args[:3], exploration=args[3], ucb=ucb)
            )(jnp.float32(value), jnp.float32(visits), jnp.float32(parent), jnp.float32(exploration))

        np.testing.assert_allclose(bound(0.9, 25, 100, 0.1), 0.9 + 0.2 * np.sqrt(2 * np.log(100) / 25), rtol=1e-6)
        np.testing.assert_allclose(bound(0.9, 25, 100, 0.1), 1.0214, atol=5e-5)
        np.testing.assert_allclose(bound(0.9, 25, 100, 0.1, "sqrt"), 0.9 + 0.2 * np.sqrt(20 / 25), rtol=1e-6)
        np.testing.assert_allclose(bound(0.5, 4, 4, 0.0), 0.5)
        np.testing.assert_allclose(bound(0.5, 1, 1, 3.0), 0.5, err_msg="ln 1 = 0")
        for ucb in ("log", "sqrt"):
            assert (bound(0.9, 0, 100, 0.1, ucb), bound(0.9, 0, 0, 0.0, ucb)) == (np.inf, np.inf)


class DescendTest(parameterized.TestCase):
    def test_without_exploration_the_best_mean(self):
        # Means: good .6, bad .7; below bad: .9 and .5.
        tree = _tree([10, 5, 5, 3, 2, 3, 2], [6.5, 3.0, 3.5, 2.4, 0.6, 2.7, 1.0])
        assert set(_leaves(tree)) == {5}

    def test_exploration_prefers_the_rare(self):
        # Means .6 and .5. The bounds .6 + 2c sqrt(2 ln 100 / 90), .5 + 2c sqrt(2 ln 100 / 10) cross at c = .0782.
        tree = _tree([100, 90, 10], [59.0, 54.0, 5.0])
        assert (set(_leaves(tree, exploration=0.077)), set(_leaves(tree, exploration=0.079))) == ({1}, {2})
        # With the square root of the parent's count, 10 in place of ln 100 = 4.6, at c = .0530.
        assert set(_leaves(tree, exploration=0.0525, ucb="sqrt")) == {1}
        assert set(_leaves(tree, exploration=0.0540, ucb="sqrt")) == {2}

    def test_the_unvisited_come_first(self):
        assert set(_leaves(_tree([9, 9, 0], [8.0, 8.0, 0.0]))) == {2}

    def test_ties_go_both_ways(self):
        for tree in (_tree([4, 2, 2], [2.0, 1.0, 1.0]), _tree([0, 0, 0], [0.0, 0.0, 0.0])):
            counts = np.bincount(_leaves(tree, num_keys=400), minlength=3)[1:]
            assert counts.sum() == 400
            assert abs(counts[0] - 200) < 50, counts  # five standard deviations

    def test_ties_are_broken_apart_at_each_split(self):
        counts = np.bincount(_leaves(trees.empty(3, 1), num_keys=400), minlength=7)[3:]
        assert np.all(np.abs(counts - 100) < 44), counts

    def test_closed_nodes_are_avoided(self):
        tree = _tree([10, 5, 5, 3, 2, 3, 2], [6.5, 3.0, 3.5, 2.4, 0.6, 2.7, 1.0])
        assert set(_leaves(tree, is_open=[1, 1, 1, 1, 1, 0, 1])) == {6}
        assert set(_leaves(tree, is_open=[1, 1, 0, 0, 1, 0, 0])) == {4}
        unvisited = _tree([9, 9, 0], [8.0, 8.0, 0.0])
        assert set(_leaves(unvisited, is_open=[True, True, False])) == {1}

    def test_when_all_is_closed_it_still_ends_at_a_leaf(self):
        assert set(_leaves(trees.empty(3, 1), is_open=[False] * 7)) <= {3, 4, 5, 6}

    def test_a_lone_root(self):
        assert set(_leaves(trees.empty(1, 1))) == {0}


class BackPropagateTest(chex.TestCase):
    def test_visit(self):
        tree = selection.visit(_tree([3, 1, 2, 1, 0, 2, 0], [1.0] * 7), jnp.int32(5))
        np.testing.assert_array_equal(tree.visits, [4, 1, 3, 1, 0, 3, 0])
        np.testing.assert_array_equal(tree.total, [1.0] * 7)
        np.testing.assert_array_equal(tree.num_valued, [3, 1, 2, 1, 0, 2, 0])

    @chex.variants(with_jit=True, without_jit=True)
    def test_running_mean(self):
        # V <- (V n + v) / (n + 1) on the way: .5 with n = 1, then 1 makes .75.
        tree = selection.visit(_tree([1, 1, 0], [0.5, 0.5, 0.0]), jnp.int32(1))
        tree = self.variant(selection.back_propagate)(tree, jnp.array([1]), jnp.array([1.0]), jnp.array([True]))
        np.testing.assert_allclose(trees.means(tree), [0.75, 0.75, np.inf])
        np.testing.assert_array_equal(tree.visits, [2, 2, 0])

    @chex.variants(with_jit=True, without_jit=True)
    def test_failed_results_are_visits_without_a_value(self):
        tree = _tree([2, 1, 1, 1, 0, 0, 1], [1.0, 0.5, 0.5, 0.5, 0.0, 0.0, 0.5])
        for leaf in (3, 6, 4):
            tree = selection.visit(tree, jnp.int32(leaf))
        tree = self.variant(selection.back_propagate)(
            tree, jnp.array([3, 6, 4]), jnp.array([0.25, jnp.nan, jnp.inf]), jnp.array([True, False, False])
        )
        np.testing.assert_array_equal(tree.visits, [5, 3, 2, 2, 1, 0, 2])
        np.testing.assert_allclose(tree.total, [1.25, 0.75, 0.5, 0.75, 0.0, 0.0, 0.5])
        np.testing.assert_array_equal(tree.num_valued, [3, 2, 1, 2, 0, 0, 1])
        np.testing.assert_allclose(trees.means(tree), [1.25 / 3, 0.375, 0.5, 0.375, np.inf, np.inf, 0.5], rtol=1e-6)

    def test_a_pending_leaf_of_minus_one_counts_nowhere(self):
        tree = _tree([1, 1, 0], [0.5, 0.5, 0.0])
        after = selection.back_propagate(tree, jnp.array([-1]), jnp.array([1.0]), jnp.array([False]))
        chex.assert_trees_all_equal(after, tree)
