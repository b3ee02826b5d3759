"""Improvement of a front: dominance, scales, expected improvements by hand and by numerical integration."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import front_improvement, fronts, objectives, spaces
from common.spaces import factory

_OBSERVED = np.array([[0.2, 0.9], [0.5, 0.6], [0.4, 0.5], [0.8, 0.1], [0.0, 0.0]], np.float32)


def _goal(known=None):
    known = jax.tree_util.Partial(lambda archs: archs[:, 0] * 2.0) if known is None else known
    names = objectives.Objectives(("fitness", "params"), (1.0, -1.0), (known,))
    return front_improvement.goal(names, spaces.get("nasbench201"), np.array([[0] * 6, [4] * 6], np.int32))


class FrontImprovementTest(parameterized.TestCase):
    def test_dominance_by_hand(self):
        values = jnp.array([[1.0, 1.0], [2.0, 2.0], [3.0, 0.0], [1.0, 1.0], [9.0, 9.0]])
        is_measured = jnp.array([True, True, True, True, False])
        got = front_improvement.dominance(values, is_measured)
        np.testing.assert_allclose(got, [1 / 2, 1, 1, 1 / 2, 0])

    def test_scales_by_hand(self):
        goal = _goal()
        archs = np.array([[4, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
        values = np.array([[0.9, -8.0], [0.1, -2.0], [np.nan, 0.0]], np.float32)
        got = jax.jit(front_improvement.scaled)(goal, values, np.array([True, True, False]))
        np.testing.assert_allclose(got, [[2 / 3, 0.0], [0.0, 0.75], [0.0, 0.0]], rtol=1e-6)
        np.testing.assert_allclose(front_improvement.known(goal, archs), [[np.nan, 0.0], [np.nan, 0.75], [np.nan, 1.0]])
        np.testing.assert_array_equal(goal.ends, [[0] * 6])

    def test_ends_of_a_space_that_is_not_listed(self):
        names = ("fitness", "first", "sum")
        known = [
            jax.tree_util.Partial(lambda archs: archs[:, 0]),
            jax.tree_util.Partial(lambda archs: archs.sum(axis=1)),
        ]
        goal = front_improvement.goal(
            objectives.Objectives(names, (1.0, 1.0, -1.0), tuple(known)),
            factory.product("large", (10,) * 12),
            np.zeros((0, 12), np.int32),
        )
        self.assertEqual((goal.ends[0, 0], jnp.sum(goal.ends[1])), (9, 0))
        np.testing.assert_array_equal(goal.high, [np.nan, 9.0, 0.0])

    def test_rows_without_a_value_improve_nothing(self):
        def cost(archs):
            return jnp.where(archs[:, 0] < 2, jnp.nan, jnp.where(archs[:, 0] > 8, jnp.inf, archs[:, 0]))

        pool = np.array([[0] * 6, [3] * 6, [4] * 6, [9] * 6], np.int32)
        names = objectives.Objectives(("fitness", "x"), (1.0, -1.0), (jax.tree_util.Partial(cost),))
        goal = front_improvement.goal(names, factory.product("ten", (10,) * 6), pool)
        np.testing.assert_array_equal([goal.low, goal.high], [[np.nan, -4.0], [np.nan, -3.0]])
        np.testing.assert_array_equal(goal.ends, pool[1:2])
        means = front_improvement.known(goal, pool).at[:, 0].set(0.9)
        for observed in (jnp.array([[0.5, 0.5]]), jnp.array([[0.5, 0.5, 0.5]])):
            both = jnp.concatenate([means, means[:, 1:]], axis=1)[:, : observed.shape[1]]
            got = front_improvement.expected(both, jnp.full_like(both, 0.1), observed, (False,) * both.shape[1])
            np.testing.assert_array_equal(got > 0, [False, True, True, False])
            np.testing.assert_array_equal(got == -1, [True, False, False, True])
        np.testing.assert_allclose(
            front_improvement.margins(means, jnp.array([[0.5, 0.5]])), [-np.inf, 0.9, 0.4, -np.inf], rtol=1e-6
        )
        with self.assertRaisesRegex(ValueError, "no architecture of ten has a finite x; leave it out"):
            front_improvement.goal(names, factory.product("ten", (10,) * 6), pool[:1])
        large = front_improvement.goal(names, factory.product("ten", (10,) * 6), pool[:0])
        np.testing.assert_array_equal(large.ends[:, 0], [2])

    @parameterized.parameters((0.3, 0.2), (0.3, 0.0), (0.0, 0.2), (0.0, 0.0))
    def test_two_objectives_equal_numerical_integration(self, first, second):
        mean = np.array([0.55, 0.7])
        steps, weights = np.polynomial.hermite_e.hermegauss(60)
        weights = weights / weights.sum()
        before = fronts.hypervolume(_OBSERVED.astype(float), np.zeros(2))
        want = 0.0
        for at, weight in zip(steps, weights):
            for other, factor in zip(steps, weights):
                point = mean + np.array([first * at, second * other])
                both = np.concatenate([_OBSERVED, point[None]]).astype(float)
                want += weight * factor * (fronts.hypervolume(both, np.zeros(2)) - before)
        is_known = (False, not second)
        deviations = jnp.array([[first, second]])
        got = front_improvement.expected(jnp.array([mean]), deviations, jnp.asarray(_OBSERVED), is_known)
        np.testing.assert_allclose(got, [want], rtol=0.01)

    def test_margins_by_hand(self):
        means = jnp.array([[0.7, 0.6], [0.7, 0.61], [0.1, 0.95]])
        got = front_improvement.margins(means, jnp.asarray(_OBSERVED))
        np.testing.assert_allclose(got, [0.2, 0.5, 0.1], rtol=1e-6)

    def test_three_objectives_are_in_the_order_of_the_hypervolume(self):
        random = np.random.default_rng(0)
        observed, points = random.uniform(size=(6, 3)) * 0.7, random.uniform(size=(40, 3))
        before = fronts.hypervolume(observed, np.zeros(3))
        want = [fronts.hypervolume(np.concatenate([observed, point[None]]), np.zeros(3)) - before for point in points]
        got = front_improvement.expected(jnp.asarray(points), jnp.zeros((40, 3)), jnp.asarray(observed), (True,) * 3)
        self.assertGreater(np.corrcoef(want, got)[0, 1], 0.97)
