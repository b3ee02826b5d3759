"""Metrics by hand and against SciPy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from absl.testing import parameterized

from common import metrics


class KendallTauTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_by_hand(self):
        # Pairs (i, j): 01 and 02 agree, 12 disagrees.
        tau = self.variant(metrics.kendall_tau)(jnp.array([1.0, 3.0, 2.0]), jnp.array([1.0, 2.0, 3.0]))
        np.testing.assert_allclose(tau, 1 / 3, rtol=1e-6)

        # 01 is tied in the prediction, 12 in the truth, 02 agrees: 1 / sqrt(2 * 2).
        tau = metrics.kendall_tau(jnp.array([1.0, 1.0, 2.0]), jnp.array([1.0, 3.0, 3.0]))
        np.testing.assert_allclose(tau, 0.5, rtol=1e-6)

    def test_equals_scipy_with_and_without_ties(self):
        truth, kendall_tau = np.arange(10.0, dtype=np.float32), jax.jit(metrics.kendall_tau)
        found = [kendall_tau(prediction, truth) for prediction in (truth, -truth, np.zeros_like(truth))]
        np.testing.assert_allclose(found, [1, -1, np.nan], rtol=1e-6)
        random = np.random.default_rng(0)
        for num_values in (3, 8, 10_000):
            prediction = random.integers(num_values, size=200).astype(np.float32)
            truth = (prediction + random.integers(num_values, size=200)).astype(np.float32)
            expected = scipy.stats.kendalltau(prediction, truth, variant="b").statistic
            np.testing.assert_allclose(kendall_tau(prediction, truth), expected, rtol=1e-5)

    def test_masked_rows_do_not_count_even_if_nan(self):
        random = np.random.default_rng(1)
        prediction, truth = random.normal(size=(2, 50)).astype(np.float32)
        where = random.random(50) < 0.6
        expected = scipy.stats.kendalltau(prediction[where], truth[where]).statistic
        prediction[~where] = np.nan
        truth[~where] = np.nan
        found = jax.jit(metrics.kendall_tau)(prediction, truth, where=where)
        np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_counts_stay_exact_beyond_what_float32_holds(self):
        # 6,000 rows have 17,997,000 pairs, more than 2^24; one swap of neighbours changes one of them.
        truth = np.arange(6000, dtype=np.float32)
        prediction = truth.copy()
        prediction[[10, 11]] = prediction[[11, 10]]
        num_pairs = 6000 * 5999 // 2
        both = jax.jit(lambda *args: (metrics.pairwise_accuracy(*args), metrics.kendall_tau(*args)))
        right, tau = both(prediction, truth)
        np.testing.assert_allclose(right, (num_pairs - 1) / num_pairs, rtol=1e-7)
        np.testing.assert_allclose(tau, (num_pairs - 2) / num_pairs, rtol=3e-7)


class PairwiseAccuracyTest(parameterized.TestCase):
    @parameterized.parameters(
        ([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], 1.0),
        ([3.0, 2.0, 1.0], [0.1, 0.2, 0.3], 0.0),
        ([1.0, 3.0, 2.0], [0.1, 0.2, 0.3], 2 / 3),
        ([5.0, 5.0, 5.0], [0.1, 0.2, 0.3], 0.5),  # a constant predictor is at chance
        ([1.0, 1.0, 2.0], [0.1, 0.2, 0.3], 2.5 / 3),  # a tie counts half
        ([2.0, 1.0, 3.0], [0.1, 0.1, 0.3], 1.0),  # a pair tied in the truth does not count
        ([0.0, 1.0, 2.0], [0.0, 0.0, 0.0], np.nan),  # no pair does
    )
    def test_by_hand(self, prediction, truth, expected):
        accuracy = metrics.pairwise_accuracy(jnp.array(prediction), jnp.array(truth))
        np.testing.assert_allclose(accuracy, expected, rtol=1e-6)

    def test_masked_rows_do_not_count_even_if_nan(self):
        prediction, truth = jnp.array([1.0, jnp.nan, 3.0, 2.0]), jnp.array([0.1, 9.0, 0.2, jnp.nan])
        accuracy = metrics.pairwise_accuracy(prediction, truth, where=jnp.array([True, False, True, False]))
        assert accuracy == 1.0
