"""The two ways of a max pool are one function, with one derivative, where pixels are equal too."""

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.networks import layers
from common.networks.kernels import max_pooling


class MaxPoolingTest(parameterized.TestCase):
    @parameterized.product(size=(2, 3), stride=(1, 2), padding=("symmetric", "same"))
    def test_moves_like_windows(self, size, stride, padding):
        # Few different values, whole numbers: many are equal, and all sums exact.
        images = jnp.round(2 * jax.random.normal(jax.random.key(0), (2, 5, 6, 3)))
        images = jnp.stack([images, -jax.nn.relu(images), jnp.zeros_like(images)])
        paddings = tuple(layers.window_padding(side, stride, size, padding=padding) for side in images.shape[2:4])

        def value_and_gradient(pool, images):
            pooled, pull = jax.vjp(lambda images: pool(images, size=size, stride=stride, paddings=paddings), images)
            return pooled, pull(jnp.arange(float(pooled.size)).reshape(pooled.shape))

        found, wanted = (
            jax.jit(lambda images, pool=pool: [value_and_gradient(pool, some) for some in images])(images)
            for pool in (max_pooling.by_moves, max_pooling.by_windows)
        )
        jax.tree.map(np.testing.assert_array_equal, found, wanted)

    def test_by_hand(self):
        images = jnp.array([[1.0, 3.0, 3.0], [0.0, 2.0, 5.0]])[None, :, :, None].astype(jnp.bfloat16)
        pooled, pull = jax.vjp(
            lambda images: max_pooling.by_moves(images, size=2, stride=1, paddings=((0, 0), (0, 1))), images
        )
        np.testing.assert_array_equal(pooled[0, :, :, 0], [[3, 5, 5]])
        (gradient,) = pull(jnp.array([[1.0, 2.0, 4.0]])[None, :, :, None].astype(jnp.bfloat16))
        np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 1, 0], [0, 0, 6]])
        self.assertEqual(gradient.dtype, jnp.bfloat16)

    def test_each_platform_has_its_own(self):
        settings = {"size": 3, "stride": 1, "paddings": ((1, 1), (1, 1))}
        traced = jax.jit(lambda images: max_pooling.pool(images, **settings)).trace(jnp.ones((1, 4, 4, 2)))
        for platform, is_moved in (("cpu", True), ("cuda", False), ("tpu", False)):
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            self.assertEqual("stablehlo.reduce_window" in text, not is_moved, platform)
