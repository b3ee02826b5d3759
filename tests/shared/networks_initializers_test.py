"""Initial parameters: equal in compiled and eager code, with the documented scale."""

import jax
import numpy as np
from absl.testing import parameterized

from common.networks import initializers

SHAPE, DEPTHWISE = (3, 3, 5, 7), (3, 3, 1, 6)


def draw(name, shape, **kind):
    return initializers.weights(name, **kind)(jax.random.key(3), shape)


class WeightsTest(parameterized.TestCase):
    @parameterized.product(name=("torch_he", "torch_uniform", "tf_he", "tf_fan_out"), is_depthwise=(False, True))
    def test_eager_and_traced(self, name, is_depthwise):
        shape = DEPTHWISE if is_depthwise else SHAPE
        eager = draw(name, shape, is_depthwise=is_depthwise)
        init = initializers.weights(name, is_depthwise=is_depthwise)
        traced = jax.jit(lambda key: init(key, shape))(jax.random.key(3))
        assert eager.shape == traced.shape == shape
        assert eager.dtype == traced.dtype == np.float32
        np.testing.assert_allclose(eager, traced, rtol=1e-6, atol=1e-6)

    @parameterized.parameters(
        ("torch_he", (2 / 45, 2 / 9)),
        ("torch_uniform", (1 / 3 / 45, 1 / 3 / 9)),
        ("tf_he", (2 / 45, 2 / 576)),
        ("tf_fan_out", (1 / 63, 1 / 9)),
    )
    def test_variance(self, name, wanted):
        """3 by 3 from 5 channels to 7 has 45 inputs and 63 outputs; depthwise, PyTorch takes the 64 for outputs."""
        drawn = draw(name, SHAPE), draw(name, (3, 3, 1, 64), is_depthwise=True)
        for values, variance in zip(drawn, wanted, strict=True):
            self.assertAlmostEqual(float(np.var(values)) / variance, 1, delta=0.3)  # over three standard errors

    def test_biases(self):
        drawn = np.abs(initializers.biases("torch_he", fan_in=16)(jax.random.key(0), (500,)))
        assert 0.24 < drawn.max() < 0.25  # within 1 / sqrt 16
        np.testing.assert_array_equal(initializers.biases("tf_he", fan_in=16)(jax.random.key(0), (3,)), np.zeros(3))
