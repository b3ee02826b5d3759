"""The tree's regressions, targets and splits against NumPy in double precision."""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from lanas_jax import config as configs
from lanas_jax import partition
from lanas_jax import tree as trees

_QUICK = {"xla_backend_optimization_level": 0}


@functools.cache
def _fit_node(ridge):
    """Fits one node: (features, values, is_member, prior) -> (weights, bias)."""

    @jax.jit
    def fit(features, values, is_member, prior):
        node = jnp.where(jnp.asarray(is_member), 0, 1)
        weights, bias = partition.fit_nodes(features, values, node, jnp.asarray(prior)[None], ridge=ridge)
        return weights[0], bias[0]

    return fit


def _problem(num_rows, num_features, seed=0, share=0.7):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(num_rows, num_features)).astype(np.float32)
    values = (features @ rng.normal(size=num_features) + 3.0 + rng.normal(size=num_rows)).astype(np.float32)
    return features, values, rng.random(num_rows) < share


def _closed_form(features, values, is_member, prior, ridge):
    features, values = features[is_member].astype(np.float64), values[is_member].astype(np.float64)
    centered = features - features.mean(axis=0)
    right = centered.T @ (values - values.mean()) + ridge * prior
    weights = np.linalg.solve(centered.T @ centered + ridge * np.eye(len(prior)), right)
    return weights, values.mean() - features.mean(axis=0) @ weights


@functools.cache
def _program(**settings):
    # Running is short here and compiling long.
    return jax.jit(
        functools.partial(partition.fit, config=configs.Config(**{"regressor": "ridge", **settings})),
        compiler_options=_QUICK,
    )


def _fit(features, values, is_measured=None, **settings):
    """The fitted tree and the leaves as NumPy; a change of settings compiles."""
    is_measured = np.ones(len(values), bool) if is_measured is None else is_measured
    fit = _program(**{"prior": "zero", "ridge": 1e-3, "min_samples": 1, "target": "fitness", **settings})
    tree, leaves = fit(jnp.asarray(features, jnp.float32), jnp.asarray(values, jnp.float32), is_measured)
    return tree, np.asarray(leaves)


class FitNodesTest(parameterized.TestCase):
    @parameterized.parameters((40, 5, 1.0), (40, 5, 1e-3), (8, 12, 0.5), (200, 30, 20.0))
    def test_equals_the_closed_form(self, num_rows, num_features, ridge):
        features, values, is_member = _problem(num_rows, num_features)
        for prior in (np.zeros(num_features, np.float32), np.linspace(-1, 2, num_features, dtype=np.float32)):
            weights, bias = _fit_node(ridge)(features, values, is_member, prior)
            expected_weights, expected_bias = _closed_form(features, values, is_member, prior, ridge)
            np.testing.assert_allclose(weights, expected_weights, atol=1e-4)
            np.testing.assert_allclose(bias, expected_bias, atol=1e-4)

    def test_one_feature_by_hand(self):
        # Members (0, 1), (2, 5): centred products 2 and 4, so w = 4 / (2 + 2) = 1, b = 3 - 1.
        weights, bias = _fit_node(2.0)(
            jnp.array([[0.0], [2.0], [50.0]]), jnp.array([1.0, 5.0, 7.0]), jnp.array([True, True, False]), jnp.zeros(1)
        )
        np.testing.assert_allclose((weights[0], bias), (1.0, 2.0), rtol=1e-6)

    @parameterized.parameters(3, 300)
    def test_many_nodes_at_once(self, num_rows):
        # 300 rows fill several groups of a node, the last one partly; node 2 is empty, rows of node 4 are in none.
        features, values, _ = _problem(num_rows, 5)
        node = np.random.default_rng(1).choice([0, 0, 0, 1, 3, 4], num_rows)
        prior = np.linspace(-1, 1, 20, dtype=np.float32).reshape(4, 5)
        weights, bias = jax.jit(functools.partial(partition.fit_nodes, ridge=1.0))(features, values, node, prior)
        for k in range(4):
            expected = _closed_form(features, values, node == k, prior[k], 1.0) if np.any(node == k) else (prior[k], 0)
            np.testing.assert_allclose(weights[k], expected[0], atol=1e-4)
            np.testing.assert_allclose(bias[k], expected[1], atol=1e-4)

    def test_without_members_the_prior_and_zero(self):
        features, values, _ = _problem(40, 5)
        weights, bias = _fit_node(1.0)(features, values, np.zeros(40, bool), jnp.arange(5.0))
        np.testing.assert_array_equal(weights, np.arange(5.0))
        assert bias == 0.0

    def test_rows_of_others_may_hold_anything(self):
        features, values, is_member = _problem(40, 5)
        expected = _fit_node(1.0)(features, values, is_member, jnp.zeros(5))
        for filler in (np.nan, np.inf, 1e30):
            filled = np.where(is_member[:, None], features, filler), np.where(is_member, values, filler)
            chex.assert_trees_all_equal(_fit_node(1.0)(*filled, is_member, jnp.zeros(5)), expected)


class FitTest(parameterized.TestCase):
    # x = 0 to 3 with v = x^2: least squares gives w = 3, b = -1, predictions -1, 2, 5, 8, mean 3.5.
    LINE, SQUARES = np.arange(4.0)[:, None], np.array([0.0, 1.0, 4.0, 9.0])

    @parameterized.parameters(
        ("mean", 3.5, [2, 2, 1, 1]), ("mean_prediction", 3.5, [2, 2, 1, 1]), ("median", 2.5, [2, 2, 1, 1])
    )
    def test_root_by_hand(self, threshold, expected, leaves):
        tree, found = _fit(self.LINE, self.SQUARES, height=2, threshold=threshold)
        np.testing.assert_allclose((tree.weights[0, 0], tree.bias[0]), (3, -1), atol=2e-3)
        np.testing.assert_allclose(tree.threshold[0], expected, atol=1e-4)
        np.testing.assert_array_equal(found, leaves)

    def test_routing_by_prediction_or_by_value(self):
        values = np.array([0.0, 5.0, 0.0, 9.0])  # mean 3.5; predictions .2, 2.4, 4.6, 6.8
        assert _fit(self.LINE, values, height=2, train_routing="prediction")[1].tolist() == [2, 2, 1, 1]
        assert _fit(self.LINE, values, height=2, train_routing="value")[1].tolist() == [2, 1, 2, 1]

    def test_leaves_are_where_the_fitted_tree_routes(self):
        features, values, is_measured = _problem(120, 4)
        tree, leaves = _fit(features, values, is_measured, height=4)
        routed = np.asarray(trees.route(tree, jnp.asarray(features)))
        np.testing.assert_array_equal(leaves, np.where(is_measured, routed, -1))
        assert len(set(leaves)) > 4

    def test_every_node_is_the_ridge_of_its_members(self):
        features, values, _ = _problem(120, 4)
        tree, leaves = _fit(features, values, height=3, prior="parent", ridge=1.0)
        for node in range(7):
            ways = np.asarray(jax.vmap(lambda leaf: trees.path(leaf, 3))(jnp.asarray(leaves)))
            is_member = np.any(ways == node, axis=1)
            prior = np.asarray(tree.weights[(node - 1) // 2]) if node else np.zeros(4)
            weights, bias = _closed_form(features, values, is_member, prior, 1.0)
            np.testing.assert_allclose(tree.weights[node], weights, atol=1e-3)
            np.testing.assert_allclose(tree.bias[node], bias, atol=1e-3)
            if node < 3:
                np.testing.assert_allclose(tree.threshold[node], values[is_member].mean(), atol=1e-4)

    def test_rows_not_measured_do_not_matter(self):
        features, values, is_measured = _problem(60, 4)
        expected = _fit(features, values, is_measured, height=3)
        filled = np.where(is_measured[:, None], features, np.nan), np.where(is_measured, values, np.nan)
        chex.assert_trees_all_equal(_fit(*filled, is_measured, height=3), expected)

    def test_small_nodes_take_their_parents_model(self):
        # Leaf 1 gets two rows of four, below min_samples = 3; so does leaf 2.
        tree, _ = _fit(self.LINE, self.SQUARES, height=2, min_samples=3)
        np.testing.assert_array_equal(tree.weights, np.broadcast_to(tree.weights[:1], (3, 1)))
        np.testing.assert_array_equal(tree.bias, np.broadcast_to(tree.bias[:1], 3))
        tree, _ = _fit(self.LINE, self.SQUARES, height=2, min_samples=2)
        np.testing.assert_allclose(tree.weights[:, 0], [3, 5, 1], atol=2e-2)  # (2, 4), (3, 9) and (0, 0), (1, 1)

    def test_empty_nodes_and_equal_fitness(self):
        for settings in ({}, {"prior": "parent"}, {"threshold": "median"}, {"min_samples": 2}):
            tree, leaves = _fit(self.LINE, np.full(4, 0.5), height=3, **settings)
            chex.assert_tree_all_finite(tree)
            np.testing.assert_array_equal(leaves, 3, err_msg="ties go good")
            np.testing.assert_array_equal(trees.route(tree, jnp.asarray(self.LINE, jnp.float32)), 3)
            assert tree.threshold[2] in (0.0, 0.5)
        tree, leaves = _fit(self.LINE, self.SQUARES, np.zeros(4, bool), height=3)
        chex.assert_trees_all_equal(tree, trees.empty(3, 1))
        np.testing.assert_array_equal(leaves, -1)

    @parameterized.parameters(0, 1, 2)
    def test_partition_guarantee(self, seed):
        # A node's error is how far from half its split is; the leftmost leaf of N rows holds at most
        # 2 max(error) (1 - 2^-h) + N / 2^h after h splits (arXiv:1906.06832v1, section 3.1).
        features, values, _ = _problem(256, 6, seed)
        _, leaves = _fit(features, values, height=4)
        ways = np.asarray(jax.vmap(lambda leaf: trees.path(leaf, 4))(jnp.asarray(leaves)))
        counts = [np.sum(np.any(ways == node, axis=1)) for node in (0, 1, 3, 7)]
        error = max(abs(child - parent / 2) for parent, child in itertools.pairwise(counts))
        assert counts[-1] <= 2 * error * (1 - 2**-3) + 256 / 2**3
        assert 0 < counts[-1] < 128
        assert values[leaves == 7].mean() > values.mean()
