import chex
import jax.numpy as jnp
import numpy as np
import pytest

from common.spaces import factory


class TokensTest(chex.TestCase):
    def test_defaults_by_hand(self):
        space = factory.search_space("two", (2, 3), size=6, describe=str)
        archs = jnp.array([[0, 2], [1, 0]])
        np.testing.assert_array_equal(space.tokens(archs), [[1, 3], [2, 1]])
        np.testing.assert_array_equal(space.from_tokens(space.tokens(archs)), archs)
        after_any = np.array([[[0, 1, 1, 0]], [[0, 1, 1, 1]]], bool)
        np.testing.assert_array_equal(space.legal_tokens, np.repeat(after_any, 4, axis=1))
        assert space.symmetries == ()

    def test_tokens_are_given_together(self):
        with pytest.raises(ValueError, match="'half' belong together"):
            factory.search_space("half", (2,), size=2, describe=str, tokens=lambda archs: archs)

    def test_large_products_are_not_listed(self):
        assert factory.search_space("large", (10,) * 8, size=10**8, describe=str).enumerate is None
        assert factory.search_space("small", (10,) * 3, size=10**3, describe=str).enumerate().shape == (1000, 3)

    def test_small_products_are_filtered(self):
        """Unordered pairs that are not equal, of three choices."""
        settings = {
            "describe": str,
            "is_valid": lambda archs: archs[:, 0] != archs[:, 1],
            "canonicalize": lambda archs: jnp.sort(archs, axis=1),
        }
        space = factory.search_space("unordered", (3, 3), size=3, **settings)
        np.testing.assert_array_equal(space.enumerate(), [[0, 1], [0, 2], [1, 2]])
        for rows in (None, lambda: np.array([[0, 1], [0, 2], [1, 2]])):
            space = factory.search_space("unordered", (3, 3), size=4, enumerate_rows=rows, **settings)
            with pytest.raises(ValueError, match="'unordered' lists 3 rows, but its size is 4; they must agree"):
                space.enumerate()

    def test_listed_rows_are_in_order(self):
        for rows, message in (
            ([[0, 1], [0, 0]], r"row 1, \[0, 0\], follows \[0, 1\]; sort them with np.unique"),
            ([[0, 1], [0, 1]], "must be distinct rows in lexicographic order; row 1"),
        ):
            space = factory.search_space(
                "pair", (2, 2), size=2, describe=str, enumerate_rows=lambda r=rows: np.array(r)
            )
            with pytest.raises(ValueError, match=message):
                space.enumerate()
            with pytest.raises(ValueError, match=message):
                factory.listed(factory.product("pairs", (2, 2)), rows)

    def test_size_is_at_most_the_product(self):
        with pytest.raises(ValueError, match="'two' has 6 combinations of choices; its size must not be 7"):
            factory.search_space("two", (2, 3), size=7, describe=str)
