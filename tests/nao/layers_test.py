"""Dropout: rate, scale, odd sizes."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from nao_jax import layers


class DropoutTest(chex.TestCase, parameterized.TestCase):
    @parameterized.parameters(0.1, 0.5)
    def test_share_and_scale(self, rate):
        found = np.asarray(layers.drop(jax.random.key(0), jnp.ones((400, 501)), rate=rate))
        kept = found[found != 0]
        np.testing.assert_allclose(kept, np.full(kept.shape, 1 / (1 - rate)), rtol=2e-5)
        # Five standard deviations of a share of 200,400 independent units, in each half of the random words too.
        for part in (found, found[:200], found[200:]):
            assert abs(np.mean(part == 0) - rate) < 5 * np.sqrt(rate * (1 - rate) / part.size)
