"""Kendall's tau and its interval, against scipy and by hand."""

import chex
import numpy as np
import pytest
from absl.testing import parameterized
from scipy import stats

from common.statistics import ranks


class KendallTauTest(chex.TestCase):
    def test_by_hand(self):
        # Of six pairs five are in one order, one is not.
        assert ranks.kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]).center == pytest.approx(4 / 6)
        # One pair is tied in the second row: 2 of 2 in order, over sqrt(3 * 2).
        assert ranks.kendall_tau([1, 2, 3], [1, 1, 2]).center == pytest.approx(2 / np.sqrt(6))

    def test_is_scipy_s_also_when_resampled(self):
        generator = np.random.default_rng(1)
        first, second = generator.integers(0, 6, (2, 12))
        band = ranks.kendall_tau(first, second, num_resamples=50)
        assert band.center == pytest.approx(stats.kendalltau(first, second).statistic)
        rows = np.random.default_rng(0).integers(0, 12, (50, 12))
        taus = [stats.kendalltau(first[row], second[row]).statistic for row in rows]
        np.testing.assert_allclose([band.low, band.high], np.nanpercentile(taus, (2.5, 97.5)), rtol=1e-12)

    def test_one_order_is_1_whatever_is_resampled(self):
        assert ranks.kendall_tau([1, 2, 3, 4, 5, 6], [2, 4, 6, 8, 10, 12]) == (1.0, 1.0, 1.0)

    def test_equal_numbers_have_none(self):
        assert np.all(np.isnan(ranks.kendall_tau([1, 1, 1], [1, 2, 3])))

    @parameterized.parameters(
        ([1], [1], "at least 2"),
        ([1, 2], [1, 2, 3], r"shapes \(2,\) and \(3,\)"),
        ([1, np.nan], [1, 2], "leave out what is not known"),
    )
    def test_bad_input(self, first, second, message):
        with pytest.raises(ValueError, match=message):
            ranks.kendall_tau(first, second)
