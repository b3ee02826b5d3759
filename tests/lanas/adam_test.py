"""Regressor of the released code: steps computed by hand, and convergence on its recorded data."""

import functools

import chex
import jax
import numpy as np
from absl.testing import parameterized

from lanas_jax import adam
from lanas_jax import config as configs


@jax.jit
def _fit_node(state, features, values, is_member, num_steps):
    return adam.fit_node(state, features, values, is_member, num_steps=num_steps)


def _state(seed=0, num_features=3):
    return jax.tree.map(lambda x: x[0], adam.init(jax.random.key(seed), 1, num_features))


def _by_hand(weights, bias, features, values, num_steps):
    """Full-batch Adam on the mean squared error in double precision, clipped at a global norm of 5."""
    params = np.append(weights, bias).astype(np.float64)
    inputs = np.column_stack([features, np.ones(len(features))]).astype(np.float64)
    first, second = np.zeros_like(params), np.zeros_like(params)
    norms = []
    for step in range(1, num_steps + 1):
        gradient = 2 * inputs.T @ (inputs @ params - values) / len(values)
        norms.append(np.linalg.norm(gradient))
        gradient *= min(1.0, 5.0 / norms[-1])
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        params -= 1e-5 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return params[:-1], params[-1], first, second, norms


class FitNodeTest(parameterized.TestCase):
    @parameterized.parameters((1, 1.0, False), (3, 1.0, False), (1, 60.0, True), (3, 60.0, True))
    def test_steps_by_hand(self, num_steps, scale, is_clipped):
        rng = np.random.default_rng(0)
        features, values = rng.normal(size=(8, 3)).astype(np.float32), (scale * rng.random(8)).astype(np.float32)
        state = _state()
        after = _fit_node(state, features, values, np.ones(8, bool), num_steps)
        weights, bias, first, second, norms = _by_hand(
            state.params["weights"], state.params["bias"], features, values, num_steps
        )
        assert all((norm > 5) == is_clipped for norm in norms)
        # A step is about 1e-5, of which float32 weights below 1 keep three digits.
        np.testing.assert_allclose(after.params["weights"], weights, atol=1.5e-7)
        np.testing.assert_allclose(after.params["bias"], bias, atol=1.5e-7)
        moments = after.optimizer[1][0]
        assert moments.count == num_steps
        np.testing.assert_allclose(np.append(moments.mu["weights"], moments.mu["bias"]), first, rtol=1e-3)
        np.testing.assert_allclose(np.append(moments.nu["weights"], moments.nu["bias"]), second, rtol=1e-3)

    def test_goes_on_where_it_stopped(self):
        features, values = np.random.default_rng(0).random((8, 3)), np.arange(8.0)
        member = np.ones(8, bool)
        once = _fit_node(_state(), features, values, member, 5)
        chex.assert_trees_all_equal(
            _fit_node(_fit_node(_state(), features, values, member, 2), features, values, member, 3), once
        )

    def test_without_members_untouched_and_others_do_not_matter(self):
        features, values = np.random.default_rng(0).random((8, 3)), np.arange(8.0)
        chex.assert_trees_all_equal(_fit_node(_state(), features, values, np.zeros(8, bool), 5), _state())
        member = np.arange(8) < 5
        nans = np.where(member[:, None], features, np.nan), np.where(member, values, np.nan)
        chex.assert_trees_all_equal(
            _fit_node(_state(), *nans, member, 5), _fit_node(_state(), features[:5], values[:5], member[:5], 5)
        )

    def test_init_is_within_its_bounds_and_fills_them(self):
        params = adam.init(jax.random.key(0), 200, 159).params
        for name, bound in (("weights", np.sqrt(6 / 160)), ("bias", 1 / np.sqrt(159))):
            assert np.abs(params[name]).max() <= bound
            np.testing.assert_allclose(np.std(params[name]), bound / np.sqrt(3), rtol=0.15)


class FitTest(parameterized.TestCase):
    @parameterized.parameters("greedy", "uniform")
    def test_whole_tree(self, acquisition):
        """Of three nodes the leaves are fitted only where an acquisition asks for them; the state keeps its shapes."""
        config = configs.Config(
            height=2,
            regressor="adam",
            threshold="mean_prediction",
            train_routing="value",
            target="fitness",
            acquisition=acquisition,
        )
        rng = np.random.default_rng(0)
        features, values = rng.random((9, 3)).astype(np.float32), np.append(60 + rng.random(8), np.nan)
        is_measured = np.arange(9) < 8
        state = adam.init(jax.random.key(0), 3, 3)
        fit = jax.jit(functools.partial(adam.fit, num_steps=3, config=config))
        tree, leaves, after = fit(state, features, values.astype(np.float32), is_measured)
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
        # Far from converged, predictions are below all values: everything is good, the bad leaf is empty.
        np.testing.assert_array_equal(leaves, [1] * 8 + [-1])
        root = _fit_node(
            jax.tree.map(lambda x: x[0], state), features[:8], values[:8].astype(np.float32), np.ones(8, bool), 3
        )
        np.testing.assert_allclose(tree.weights[0], root.params["weights"], atol=1e-6)
        shown = features[:8] @ np.asarray(tree.weights[0]) + float(tree.bias[0])
        np.testing.assert_allclose(tree.threshold[0], shown.mean(), rtol=1e-5)
        assert after.optimizer[1][0].count.tolist() == ([3, 3, 0] if acquisition == "greedy" else [3, 0, 0])
        chex.assert_trees_all_equal(
            jax.tree.map(lambda x: x[2], after.params), jax.tree.map(lambda x: x[2], state.params)
        )
