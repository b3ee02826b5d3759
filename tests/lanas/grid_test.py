"""Predictions for a pool as combinations of parts, against predictions of its rows one by one."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import spaces
from common.spaces import factory
from lanas_jax import grid, kernel
from lanas_jax import process as processes

_PREDICT = jax.jit(grid.predict)


def _product():
    space = factory.product("product", (3, 2, 4, 3))
    return np.asarray(space.features(space.enumerate()))


class GridTest(parameterized.TestCase):
    def _posterior(self, features):
        rng = np.random.default_rng(0)
        measured = jnp.asarray(features[rng.choice(len(features), 40, replace=False)])
        values = jnp.asarray(rng.normal(size=40), jnp.float32)
        process = jax.jit(processes.update)(processes.empty(40, 40), measured, values, jnp.arange(40) < 37)
        return jax.jit(kernel.posterior)(process, measured, values)

    def _assert_as_row_by_row(self, features, found):
        posterior = self._posterior(features)
        expected = jax.jit(kernel.predict)(posterior, features)
        assert np.ptp(expected) > 0.5
        np.testing.assert_allclose(_PREDICT(posterior, found), expected, atol=1e-4)

    def test_one_hot_rows_are_combinations_of_two_parts(self):
        features = _product()
        found = grid.of_features(features)
        assert {len(found.left), len(found.right)} == {6, 12}
        self._assert_as_row_by_row(features, found)

    def test_a_part_of_the_combinations_in_any_order(self):
        features = np.random.default_rng(1).permutation(_product())[:50]
        found = grid.of_features(features)
        assert len(found.right) > 1
        self._assert_as_row_by_row(features, found)

    def test_rows_that_are_no_combinations_are_predicted_once_each(self):
        rng = np.random.default_rng(2)
        features = rng.normal(size=(600, 5)).astype(np.float32)[rng.integers(600, size=900)]  # more than one tile
        found = grid.of_features(features)
        assert found.left.shape == (len(np.unique(features, axis=0)), 5)
        assert found.right.shape == (1, 0)
        self._assert_as_row_by_row(features, found)

    def test_equal_features_of_different_cells_are_one_row(self):
        space = spaces.get("nasbench201")
        found = grid.of_features(np.asarray(space.features(space.enumerate())))
        assert found.left.shape == (9445, 60)
        assert found.at.shape == (15625,)

    def test_an_empty_pool(self):
        features = np.zeros((0, 4), np.float32)
        posterior = self._posterior(np.random.default_rng(3).normal(size=(50, 4)).astype(np.float32))
        assert _PREDICT(posterior, grid.of_features(features)).shape == (0,)
