"""Metrics against pencil and paper, and against SciPy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from absl.testing import parameterized

from common import metrics

# Rows 0 and 3 are not measured; their fitness must not matter.
FITNESS = np.array([np.nan, 0.5, 0.25, 0.99, 0.75, 0.75], np.float32)
IS_MEASURED = np.array([False, True, True, False, True, True])


class CurveTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_best_so_far_by_hand(self):
        curve = self.variant(metrics.best_so_far)(FITNESS, IS_MEASURED)
        np.testing.assert_array_equal(curve, np.array([-np.inf, 0.5, 0.5, 0.5, 0.75, 0.75], np.float32))

    def test_vmap_equals_a_loop(self):
        fitness = np.stack([FITNESS, FITNESS[::-1]])
        is_measured = np.stack([IS_MEASURED, IS_MEASURED[::-1]])
        curves = jax.vmap(metrics.best_so_far)(fitness, is_measured)
        for at in range(2):
            np.testing.assert_array_equal(curves[at], metrics.best_so_far(fitness[at], is_measured[at]))

    def test_value_at_counts_queries_from_one(self):
        curve = metrics.best_so_far(FITNESS, IS_MEASURED)
        assert metrics.value_at(curve, 1) == -np.inf
        assert metrics.value_at(curve, 2) == 0.5
        np.testing.assert_array_equal(metrics.value_at(curve, jnp.array([4, 5, 6, 60])), [0.5, 0.75, 0.75, 0.75])

    def test_value_at_needs_a_query(self):
        with pytest.raises(ValueError, match="queries = 0"):
            metrics.value_at(jnp.zeros(3), 0)

    def test_simple_regret_by_hand(self):
        np.testing.assert_allclose(metrics.simple_regret(FITNESS, IS_MEASURED, 0.875), 0.125)
        assert metrics.simple_regret(FITNESS, np.zeros(6, bool), 0.875) == np.inf


class QueriesToOptimumTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_first_of_several_equal_ones_counts(self):
        count = self.variant(lambda *data: metrics.queries_to_optimum(*data, 0.75, budget=6))
        queries, is_found = count(FITNESS, IS_MEASURED)
        assert queries == 5
        assert is_found

    def test_rows_that_are_not_measured_never_are_the_optimum(self):
        queries, is_found = metrics.queries_to_optimum(FITNESS, IS_MEASURED, 0.99, budget=6)
        assert queries == 6
        assert not is_found

    def test_the_budget_cuts_off(self):
        for budget, expected in ((4, (4, False)), (5, (5, True)), (6, (5, True)), (100, (5, True))):
            queries, is_found = metrics.queries_to_optimum(FITNESS, IS_MEASURED, 0.75, budget=budget)
            assert (int(queries), bool(is_found)) == expected

    def test_the_optimum_at_once_is_one_query(self):
        queries, is_found = metrics.queries_to_optimum(jnp.array([0.9, 0.1]), jnp.ones(2, bool), 0.9, budget=2)
        assert (int(queries), bool(is_found)) == (1, True)

    def test_a_rounded_optimum_is_found_and_a_near_miss_is_not(self):
        optimum = 94.3733333 / 100  # a double; the table holds float32
        fitness = jnp.array([optimum - 1 / 30_000, optimum], jnp.float32)
        queries, is_found = metrics.queries_to_optimum(fitness, jnp.ones(2, bool), optimum, budget=2)
        assert (int(queries), bool(is_found)) == (2, True)


class KendallTauTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_by_hand(self):
        # Pairs (i, j): 01 and 02 agree, 12 disagrees.
        tau = self.variant(metrics.kendall_tau)(jnp.array([1.0, 3.0, 2.0]), jnp.array([1.0, 2.0, 3.0]))
        np.testing.assert_allclose(tau, 1 / 3, rtol=1e-6)

    def test_ties_by_hand(self):
        # 01 is tied in the prediction, 12 in the truth, 02 agrees: 1 / sqrt(2 * 2).
        tau = metrics.kendall_tau(jnp.array([1.0, 1.0, 2.0]), jnp.array([1.0, 3.0, 3.0]))
        np.testing.assert_allclose(tau, 0.5, rtol=1e-6)

    def test_perfect_reversed_and_constant(self):
        truth = jnp.arange(10.0)
        np.testing.assert_allclose(metrics.kendall_tau(truth, truth), 1, rtol=1e-6)
        np.testing.assert_allclose(metrics.kendall_tau(-truth, truth), -1, rtol=1e-6)
        assert np.isnan(metrics.kendall_tau(jnp.zeros(10), truth))

    def test_equals_scipy_with_and_without_ties(self):
        random = np.random.default_rng(0)
        for num_values in (3, 8, 10_000):
            prediction = random.integers(num_values, size=200).astype(np.float32)
            truth = (prediction + random.integers(num_values, size=200)).astype(np.float32)
            expected = scipy.stats.kendalltau(prediction, truth, variant="b").statistic
            np.testing.assert_allclose(metrics.kendall_tau(prediction, truth), expected, rtol=1e-5)

    def test_masked_rows_do_not_count_even_if_nan(self):
        random = np.random.default_rng(1)
        prediction, truth = random.normal(size=(2, 50)).astype(np.float32)
        where = random.random(50) < 0.6
        expected = scipy.stats.kendalltau(prediction[where], truth[where]).statistic
        prediction[~where] = np.nan
        truth[~where] = np.nan
        np.testing.assert_allclose(metrics.kendall_tau(prediction, truth, where=where), expected, rtol=1e-5)

    def test_counts_stay_exact_beyond_what_float32_holds(self):
        # 6,000 rows have 17,997,000 pairs, more than 2^24; one swap of neighbours changes one of them.
        truth = np.arange(6000, dtype=np.float32)
        prediction = truth.copy()
        prediction[[10, 11]] = prediction[[11, 10]]
        num_pairs = 6000 * 5999 // 2
        right = jax.jit(metrics.pairwise_accuracy)(prediction, truth)
        np.testing.assert_allclose(right, (num_pairs - 1) / num_pairs, rtol=1e-7)
        tau = jax.jit(metrics.kendall_tau)(prediction, truth)
        np.testing.assert_allclose(tau, (num_pairs - 2) / num_pairs, rtol=3e-7)


class PairwiseAccuracyTest(parameterized.TestCase):
    @parameterized.parameters(
        ([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], 1.0),
        ([3.0, 2.0, 1.0], [0.1, 0.2, 0.3], 0.0),
        ([1.0, 3.0, 2.0], [0.1, 0.2, 0.3], 2 / 3),
        ([5.0, 5.0, 5.0], [0.1, 0.2, 0.3], 0.5),  # a constant predictor is at chance
        ([1.0, 1.0, 2.0], [0.1, 0.2, 0.3], 2.5 / 3),  # a tie counts half
        ([2.0, 1.0, 3.0], [0.1, 0.1, 0.3], 1.0),  # a pair tied in the truth does not count
    )
    def test_by_hand(self, prediction, truth, expected):
        accuracy = metrics.pairwise_accuracy(jnp.array(prediction), jnp.array(truth))
        np.testing.assert_allclose(accuracy, expected, rtol=1e-6)

    def test_no_pair_gives_nan(self):
        assert np.isnan(metrics.pairwise_accuracy(jnp.arange(3.0), jnp.zeros(3)))

    def test_masked_rows_do_not_count_even_if_nan(self):
        prediction, truth = jnp.array([1.0, jnp.nan, 3.0, 2.0]), jnp.array([0.1, 9.0, 0.2, jnp.nan])
        accuracy = metrics.pairwise_accuracy(prediction, truth, where=jnp.array([True, False, True, False]))
        assert accuracy == 1.0
