"""Stages of successive halving; and halving while a search still proposes: order and cost of what continues."""

import numpy as np
from absl.testing import parameterized

from benchmarks import halving_tables
from common.runs import halving

FITNESS = np.array([1, 5, 3, 9, 2, 4, 7])


class StopsTest(parameterized.TestCase):
    @parameterized.parameters(
        (9, 9, 3, (1, 3, 9), (9, 3, 1)),
        (10, 20, 3, (2, 6, 20), (10, 4, 2)),
        (8, 3, 3, (1, 3), (8, 3)),
        (3, 3, 3, (1, 3), (3, 1)),
        (4, 7, 2, (1, 3, 7), (4, 2, 1)),
        (5, 10, 5, (2, 10), (5, 1)),
    )
    def test_stages(self, num, num_epochs, factor, stops, counts):
        assert halving.stops(num, num_epochs=num_epochs, factor=factor) == stops
        first = {(at,): float(at) for at in range(num)}
        stages = halving.successive_halving(first, stops, lambda rows, _: {row: first[row] for row in rows}, factor)
        assert [(stop, len(found)) for stop, found in stages] == list(zip(stops, counts))
        assert (num - 1,) in stages[-1][1]

    @parameterized.parameters(
        (9, 9, 1, "the factor of a halving must be at least 2, as one of so many continues; got 1"),
        (2, 9, 3, "a halving by 3 needs at least 3 trainings, or none is dropped; got 2"),
        (9, 8, 3, "begins with 1/9 of the epochs, less than one of 8; train for at least 9 epochs"),
    )
    def test_what_cannot_be_halved(self, num, num_epochs, factor, message):
        with self.assertRaisesRegex(ValueError, message):
            halving.stops(num, num_epochs=num_epochs, factor=factor)


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
