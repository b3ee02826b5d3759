"""Regression targets, against values computed by hand."""

import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import regression_targets as targets


class TargetsTest(parameterized.TestCase):
    FITNESS = (0.5, np.nan, 0.9, 0.5, 0.1, 7.0)
    IS_MEASURED = (True, False, True, True, True, False)
    # Of four, .1 has quantile 1/8, the two .5 share 1/2 (of 3/8 and 5/8), .9 has 7/8.

    def _targets(self, target, fitness=FITNESS, is_measured=IS_MEASURED):
        return np.asarray(targets.targets(jnp.array(fitness), jnp.array(is_measured), target=target))

    def test_exponential_scores(self):
        expected = [-np.log(0.5) - 1, 0, -np.log(0.125) - 1, -np.log(0.5) - 1, -np.log(0.875) - 1, 0]
        np.testing.assert_allclose(self._targets("exponential_scores"), expected, rtol=1e-5)

    def test_normal_scores(self):
        # The standard normal quantile of 7/8 is 1.150349.
        np.testing.assert_allclose(self._targets("normal_scores"), [0, 0, 1.150349, 0, -1.150349, 0], atol=1e-5)

    def test_fitness(self):
        np.testing.assert_allclose(self._targets("fitness"), [0.5, 0, 0.9, 0.5, 0.1, 0])

    def test_min_max(self):
        np.testing.assert_allclose(self._targets("min_max"), [0.5, 0, 1, 0.5, 0, 0], atol=1e-6)

    def test_z_score(self):
        # Mean 0.5, variance (0.16 + 0.16) / 4.
        np.testing.assert_allclose(self._targets("z_score"), np.array([0, 0, 2**0.5, 0, -(2**0.5), 0]), atol=1e-6)

    @parameterized.parameters("min_max", "z_score")
    def test_equal_values_have_no_scale(self, target):
        np.testing.assert_array_equal(self._targets(target, (0.3,) * 5, (True,) * 5), [0] * 5)

    @parameterized.parameters("exponential_scores", "normal_scores")
    def test_equal_values_get_equal_scores_and_order_is_kept(self, target):
        equal = self._targets(target, (0.3,) * 5, (True,) * 5)
        np.testing.assert_allclose(equal, equal[0])
        fitness = np.random.default_rng(0).random(300)
        scores = self._targets(target, fitness, (True,) * 300)
        np.testing.assert_array_equal(np.argsort(scores), np.argsort(fitness))
        np.testing.assert_allclose([scores.mean(), scores.std()], [0, 1], atol=0.03)

    @parameterized.parameters(*targets.TARGETS)
    def test_nothing_measured(self, target):
        np.testing.assert_array_equal(self._targets(target, (np.nan,) * 3, (False,) * 3), [0, 0, 0])
