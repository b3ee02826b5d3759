"""Fronts, ranks, crowding distances and hypervolumes of hand-made points, in NumPy and in JAX."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import fronts

# Ranks by hand: (1, 5), (3, 3), (5, 1) and (4, 2) are the front; (1, 5) again and (2, 3) next; (1, 1) last.
POINTS = np.array([(1, 5), (3, 3), (1, 5), (5, 1), (2, 3), (1, 1), (4, 2), (9, np.nan)], np.float32)
RANKS = [0, 0, 1, 0, 1, 2, 0, 8]
CUBES = np.array([(3, 1, 1), (1, 3, 1), (1, 1, 3), (2, 2, 2), (4, -1, 4)], float)


def counted(values, reference):
    """The hypervolume of whole numbers: the unit cells that a point covers."""
    axes = [range(low, int(np.nanmax(values))) for low in reference]
    return sum(any(np.all(point > cell) for point in values) for cell in itertools.product(*axes))


class FrontsTest(parameterized.TestCase):
    @parameterized.parameters(fronts.non_dominated, jax.jit(fronts.non_dominated))
    def test_non_dominated_points_and_of_equal_ones_the_first(self, non_dominated):
        np.testing.assert_array_equal(non_dominated(POINTS), np.equal(RANKS, 0))
        where = np.arange(8) > 0
        np.testing.assert_array_equal(np.flatnonzero(non_dominated(POINTS, where)), [1, 2, 3, 6])
        assert not np.any(non_dominated(POINTS, where & False))

    def test_numpy_equals_jax_on_random_points_with_ties(self):
        random = np.random.default_rng(0)
        for num_objectives in (2, 3):
            values = random.integers(0, 6, (60, num_objectives)).astype(np.float32)
            found = fronts.non_dominated(values)
            np.testing.assert_array_equal(found, jax.jit(fronts.non_dominated)(values))
            for at, value in enumerate(values):
                others = values[~found] if found[at] else values[found]
                is_covered = np.any(np.all(others >= value, axis=1) & np.any(others > value, axis=1))
                assert is_covered <= (not found[at])

    def test_ranks(self):
        np.testing.assert_array_equal(jax.jit(fronts.ranks)(POINTS), RANKS)
        single = jax.jit(fronts.ranks)(np.array([[2.0], [3], [2], [np.nan], [1]], np.float32))
        np.testing.assert_array_equal(single, [1, 0, 2, 5, 3])
        batch = jax.jit(jax.vmap(fronts.ranks))(np.stack([POINTS, POINTS[::-1]]))
        np.testing.assert_array_equal(batch[0], RANKS)

    def test_crowding_distances(self):
        # Of the front, by the first objective: 1, 3, 4, 5, by the second 5, 3, 2, 1; both have the range 4.
        found = np.asarray(jax.jit(fronts.crowding)(POINTS, jnp.array(RANKS)))
        np.testing.assert_allclose(found[[1, 6]], [(4 - 1) / 4 + (5 - 2) / 4, (5 - 3) / 4 + (3 - 1) / 4])
        np.testing.assert_array_equal(np.isinf(found[:6]), [True, False, True, True, True, True])

    def test_points_spread_along_a_front(self):
        at = np.array(
            [0, 1, 2, 3, 10, 11, 20]
        )  # 1, then 2 is the most crowded, then 10 and 11, of which the later goes
        values = np.stack([-at, at], axis=1)
        np.testing.assert_array_equal(at[fronts.spread(values, 9)], at)
        np.testing.assert_array_equal(at[fronts.spread(values, 4)], [0, 3, 11, 20])
        np.testing.assert_array_equal(at[fronts.spread(values, 1)], [0])

    def test_hypervolume_in_two_dimensions(self):
        # Columns of width 1 from the reference (0, 0): 5, 3, 3, 2, 1.
        assert fronts.hypervolume(POINTS, np.zeros(2)) == 14
        assert float(jax.jit(fronts.hypervolume)(jnp.asarray(POINTS), jnp.zeros(2))) == 14
        # From (2, 1): columns 2 (of (3, 3)) and 1 (of (4, 2)).
        assert fronts.hypervolume(POINTS, np.array([2.0, 1.0])) == 3
        assert fronts.hypervolume(POINTS, np.array([5.0, 5.0])) == 0
        assert fronts.hypervolume(POINTS[:0], np.zeros(2)) == 0

    def test_hypervolume_in_three_dimensions(self):
        # The cube of side 2, and for each of the three arms one cell beyond it.
        assert fronts.hypervolume(CUBES, np.zeros(3)) == 8 + 3
        assert float(jax.jit(fronts.hypervolume)(jnp.asarray(CUBES, jnp.float32), jnp.zeros(3))) == 11

    @parameterized.parameters(2, 3, 4)
    def test_hypervolume_equals_the_count_of_cells(self, num_objectives):
        values = np.random.default_rng(num_objectives).integers(-1, 6, (12, num_objectives)).astype(float)
        reference = [0, 1, -1, 0][:num_objectives]
        assert fronts.hypervolume(values, np.array(reference)) == counted(values, reference)
        found = jax.jit(fronts.hypervolume)(jnp.asarray(values), jnp.array(reference))
        assert float(found) == counted(values, reference)
