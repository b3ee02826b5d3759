"""Halving while a search still proposes: order and cost of the trainings that continue."""

import numpy as np
from absl.testing import parameterized

from benchmarks import halving_tables
from common.runs import halving

FITNESS = np.array([1, 5, 3, 9, 2, 4, 7])


class InOrderTest(parameterized.TestCase):
    def test_order(self):
        # One of three results: after 3 the 5, after 6 the 9, and after all the others, the best first.
        expected = [(3, 1), (6, 3), (7, 6), (7, 5), (7, 2), (7, 4), (7, 0)]
        assert halving.in_order(FITNESS, count=3, factor=3) == expected
        assert halving.in_order(FITNESS, count=7, factor=7) == [(7, at) for at in (3, 6, 1, 5, 2, 4, 0)]
        assert halving.in_order(FITNESS, count=1, factor=1) == [(at + 1, at) for at in range(7)]

    @parameterized.parameters((8, "got 8"), (0.5, "got 0.5"))
    def test_factors_that_leave_nobody(self, factor, message):
        with self.assertRaisesRegex(ValueError, f"factor must be from 1 to 7.*or none continues; {message}"):
            halving.in_order(FITNESS, count=5, factor=factor)

    def test_cost_of_a_search_on_a_table(self):
        # In rounds of 5: after 5 results the 9, after all 6 the 7 and then the 5.
        cost = halving_tables.cost(FITNESS[[0, 1, 2, 3, 4, 6]], np.arange(6) == 1, 6, 5)
        self.assertAlmostEqual(cost, 6 * 0.06 + 3)
        self.assertAlmostEqual(halving_tables.cost(FITNESS, np.arange(7) == 3, 7, 5), 5 * 0.06 + 1)
        self.assertAlmostEqual(halving_tables.cost(FITNESS, np.arange(7) == 6, 6, 5), 6 * 1.06)  # never proposed
