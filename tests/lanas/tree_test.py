"""The partition tree: layout, routing and regions, by hand and against each other."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from lanas_jax import tree as trees


def _tree(weights, bias, threshold):
    zeros = jnp.zeros(len(bias))
    return trees.Tree(
        weights=jnp.array(weights, jnp.float32),
        bias=jnp.array(bias, jnp.float32),
        threshold=jnp.array(threshold, jnp.float32),
        visits=zeros,
        total=zeros,
        num_valued=zeros,
    )


def _height_three():
    """Node 0 asks x0 >= 1, node 1 x1 + 2 >= 5, node 2 -x1 >= 0; the leaves' models say nothing."""
    leaf = [0.0, 0.0]
    return _tree(
        weights=[[1, 0], [0, 1], [0, -1], leaf, leaf, leaf, leaf],
        bias=[0, 2, 0, 9, 9, 9, 9],
        threshold=[1, 5, 0, 7, 7, 7, 7],
    )


def _random(seed, height, num_features):
    """Small integers: all sums are exact in float32, and ties occur."""
    rng = np.random.default_rng(seed)
    num_nodes = 2**height - 1
    return _tree(
        rng.integers(-3, 4, (num_nodes, num_features)), rng.integers(-2, 3, num_nodes), rng.integers(-2, 3, num_nodes)
    )


_route = jax.jit(trees.route)  # op by op it takes seconds


@jax.jit
def _split(tree, features):
    """Where rows are routed, their predictions, and the constraints of all leaves."""
    leaves = jnp.arange(trees.num_inner(tree), 2 * trees.num_inner(tree) + 1)
    normals, offsets = jax.vmap(lambda leaf: trees.constraints(tree, leaf))(leaves)
    return trees.route(tree, features), features @ tree.weights.T + tree.bias[None], normals, offsets


class LayoutTest(parameterized.TestCase):
    @parameterized.parameters((1, 1, 0), (2, 3, 1), (3, 7, 3), (5, 31, 15), (8, 255, 127))
    def test_counts(self, height, num_nodes, num_inner):
        tree = trees.empty(height, 4)
        assert tree.weights.shape == (num_nodes, 4)
        for field in ("bias", "threshold", "visits", "total", "num_valued"):
            assert tree[field].shape == (num_nodes,)
        assert (trees.height(tree), trees.num_inner(tree)) == (height, num_inner)
        here = trees.level(height - 1)
        assert (here.start, here.stop) == (num_inner, num_nodes), "the leaves are the last level"

    def test_levels(self):
        levels = [list(range(7))[trees.level(depth)] for depth in range(3)]
        assert levels == [[0], [1, 2], [3, 4, 5, 6]]

    def test_path(self):
        expected = {3: [0, 1, 3], 4: [0, 1, 4], 5: [0, 2, 5], 6: [0, 2, 6]}
        for leaf, path in expected.items():
            np.testing.assert_array_equal(trees.path(jnp.int32(leaf), 3), path)
        np.testing.assert_array_equal(trees.path(jnp.int32(0), 1), [0])
        np.testing.assert_array_equal(trees.path(jnp.int32(22), 5), [0, 1, 4, 10, 22])


class RouteTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_by_hand_and_ties_go_good(self):
        features = jnp.array([[2, 4], [2, 2], [0, -1], [0, 1], [1, 3], [1, 2.5], [0.5, 0]], jnp.float32)
        leaves = self.variant(trees.route)(_height_three(), features)
        # Rows 4 and 6 are ties: x0 = 1 and x1 + 2 = 5; -x1 = 0.
        np.testing.assert_array_equal(leaves, [3, 4, 5, 6, 3, 4, 5])
        assert leaves.dtype == jnp.int32

    def test_a_lone_root(self):
        np.testing.assert_array_equal(_route(trees.empty(1, 2), jnp.ones((3, 2))), [0, 0, 0])

    def test_an_empty_tree_finds_everything_good(self):
        np.testing.assert_array_equal(_route(trees.empty(4, 2), jnp.ones((3, 2))), [7, 7, 7])

    def test_predict(self):
        np.testing.assert_array_equal(
            trees.predict(_height_three(), jnp.array([[3.0, 4.0], [5.0, 6.0]]), jnp.int32(1)), [6.0, 8.0]
        )


class ConstraintsTest(parameterized.TestCase):
    def test_by_hand(self):
        normals, offsets = trees.constraints(_height_three(), jnp.int32(3))
        np.testing.assert_array_equal(normals, [[1, 0], [0, 1]])
        np.testing.assert_array_equal(offsets, [1, 3])
        normals, offsets = trees.constraints(_height_three(), jnp.int32(6))
        np.testing.assert_array_equal(normals, [[-1, 0], [0, 1]])
        assert offsets[0] == np.nextafter(np.float32(-1), np.float32(np.inf)), "x0 < 1, strictly"
        assert offsets[1] == np.finfo(np.float32).tiny, "x1 > 0, strictly: smaller floats count as 0"

    @parameterized.parameters((0, 2), (1, 3), (2, 4), (3, 5), (4, 5))
    def test_a_row_is_in_a_leaf_if_and_only_if_all_constraints_hold(self, seed, height):
        tree = _random(seed, height, 3)
        features = np.random.default_rng(seed + 50).integers(-2, 3, (300, 3)).astype(np.float32)
        leaves, scores, normals, offsets = map(np.asarray, _split(tree, features))
        assert np.any(scores == np.asarray(tree.threshold)), "the rows should have ties"
        num_inner = trees.num_inner(tree)
        for at in range(num_inner + 1):
            is_inside = np.all(features @ normals[at].T >= offsets[at], axis=1)
            np.testing.assert_array_equal(is_inside, leaves == num_inner + at)

    def test_a_lone_root_has_none(self):
        normals, offsets = trees.constraints(trees.empty(1, 4), jnp.int32(0))
        assert (normals.shape, offsets.shape) == ((0, 4), (0,))


class StatisticsTest(chex.TestCase):
    def test_sum_up(self):
        np.testing.assert_array_equal(trees.sum_up(jnp.array([1.0, 2.0, 4.0, 8.0])), [15, 3, 12, 1, 2, 4, 8])

    @chex.variants(with_jit=True, without_jit=True)
    def test_count_leaves(self):
        leaves, weight = jnp.array([3, 3, 6, 5, 3]), jnp.array([1.0, 0.5, 2.0, 0.0, 1.0])
        np.testing.assert_array_equal(
            self.variant(trees.count_leaves)(_height_three(), leaves, weight), [4.5, 2.5, 2, 2.5, 0, 0, 2]
        )

    def test_means(self):
        tree = trees.empty(2, 1).replace(total=jnp.array([3.0, 3.0, 0.0]), num_valued=jnp.array([4.0, 4.0, 0.0]))
        np.testing.assert_array_equal(trees.means(tree), [0.75, 0.75, np.inf])
