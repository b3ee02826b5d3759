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
