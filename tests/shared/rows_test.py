"""Look-up of rows, against NumPy and by hand."""

import itertools
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import rows

SORTED = np.array([[0, 0, 2], [0, 1, 0], [1, 0, 0], [1, 0, 3], [4, 2, 1]], np.int32)


class FindTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_every_row_is_found(self):
        at = self.variant(rows.find)(jnp.asarray(SORTED), jnp.asarray(SORTED[::-1]))
        np.testing.assert_array_equal(at, [4, 3, 2, 1, 0])
        assert at.dtype == jnp.int32

    def test_equals_a_dictionary(self):
        # Binary search has its errors at the ends and beside powers of two.
        random = np.random.default_rng(0)
        everything = np.array(list(itertools.product(range(4), repeat=3)), np.int32)
        for num_rows in (1, 2, 3, 4, 5, 8, 9, 64):
            pool = everything[np.sort(random.choice(64, num_rows, replace=False))]
            places = {tuple(row): at for at, row in enumerate(pool.tolist())}
            asked = random.integers(0, 4, (30, 3)).astype(np.int32)
            expected = [places.get(tuple(row), len(pool)) for row in asked.tolist()]
            np.testing.assert_array_equal(rows.find(jnp.asarray(pool), jnp.asarray(asked)), expected)


class LexicographicOrderTest(parameterized.TestCase):
    def test_by_hand(self):
        unsorted = SORTED[[3, 0, 4, 2, 1]]
        order = rows.lexicographic_order(unsorted)
        np.testing.assert_array_equal(order, [1, 4, 3, 0, 2])
        np.testing.assert_array_equal(unsorted[order], SORTED)


class IsRepeatTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_only_later_copies_are_repeats(self):
        archs = jnp.array([[1, 2], [2, 1], [1, 2], [1, 2], [2, 1], [0, 0]], jnp.int32)
        repeat = self.variant(rows.is_repeat)(archs)
        np.testing.assert_array_equal(repeat, [False, False, True, True, True, False])

    def test_one_row(self):
        np.testing.assert_array_equal(rows.is_repeat(jnp.zeros((1, 4), jnp.int32)), [False])

    def test_many_rows_are_sorted_and_give_the_same(self):
        """Beyond a size rows are not compared all with all."""
        random = np.random.default_rng(0)
        for num_rows, num_values in ((1025, 9), (1500, 3), (2000, 60)):
            archs = random.integers(-1, num_values, (num_rows, 3)).astype(np.int32)
            seen, expected = set(), []
            for row in map(tuple, archs.tolist()):
                expected.append(row in seen)
                seen.add(row)
            assert 0 < sum(expected) < num_rows - 1
            jaxpr = str(jax.make_jaxpr(lambda archs: rows.is_repeat(archs))(archs))
            assert "sort" in jaxpr
            assert f"{num_rows},{num_rows}" not in jaxpr
            np.testing.assert_array_equal(rows.is_repeat(jnp.asarray(archs)), expected)
            with mock.patch.object(rows, "_MAX_COMPARED", num_rows):
                # A function that was not traced yet, as the size is read then.
                compare = jax.jit(lambda archs: rows.is_repeat.__wrapped__(archs))
                assert "sort" not in str(jax.make_jaxpr(compare)(archs))
                np.testing.assert_array_equal(compare(archs), expected)
