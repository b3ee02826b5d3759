"""The two ways of a depthwise convolution are one function, with one derivative."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.networks import layers
from common.networks.kernels import depthwise


class DepthwiseTest(parameterized.TestCase):
    @parameterized.product(stride=(1, 2), dilation=(1, 2), padding=("symmetric", "same"))
    def test_sum_like_grouped_convolution(self, stride, dilation, padding):
        keys = jax.random.split(jax.random.key(0), 3)
        images = jax.random.normal(keys[0], (2, 5, 6, 3))
        weights = [jax.random.normal(key, (size, size, 1, 3)) for key, size in zip(keys[1:], (3, 5), strict=True)]

        def value_and_gradients(convolve):
            def loss(images, kernel):
                paddings = tuple(
                    layers.window_padding(side, stride, kernel.shape[0], dilation=dilation, padding=padding)
                    for side in images.shape[1:3]
                )
                output = convolve(images, kernel, stride=stride, dilation=dilation, paddings=paddings)
                return jnp.sum(jnp.sin(output)), output

            return [jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(images, kernel) for kernel in weights]

        found, wanted = jax.jit(
            lambda: (value_and_gradients(depthwise.by_weights), value_and_gradients(depthwise.grouped))
        )()
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5), found, wanted)

    def test_a_few_images_at_a_time(self):
        keys = jax.random.split(jax.random.key(0), 3)
        images, kernel, change = (
            jax.random.normal(key, shape) for key, shape in zip(keys, ((6, 4, 5, 2), (3, 3, 1, 2), (6, 2, 3, 2)))
        )
        settings = {"stride": 2, "dilation": 1, "paddings": ((1, 1), (1, 1))}

        def gradients(convolve):
            return jax.jit(lambda kernel: jax.vjp(lambda w: convolve(images, w, **settings), kernel)[1](change)[0])(
                kernel
            )

        with mock.patch.object(depthwise, "_NUMBERS", 2 * 2 * 3 * 2):
            self.assertEqual(depthwise.images_at_once(6, 2 * 3 * 2), 2)
            found = gradients(depthwise.by_weights)
        np.testing.assert_allclose(found, gradients(depthwise.grouped), rtol=1e-4, atol=1e-5)

    def test_half_precision(self):
        images, kernel = jnp.ones((1, 4, 4, 2), jnp.bfloat16), jnp.ones((3, 3, 1, 2), jnp.bfloat16)
        settings = {"stride": 1, "dilation": 1, "paddings": ((1, 1), (1, 1))}

        def loss(images, kernel):
            return depthwise.by_weights(images, kernel, **settings).sum(dtype=jnp.float32)

        gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(images, kernel)
        self.assertEqual([gradient.dtype for gradient in gradients], [jnp.bfloat16] * 2)
        np.testing.assert_array_equal(gradients[1][1, 1, 0], [16, 16])
        np.testing.assert_array_equal(gradients[0][0, :2, :2, 0], [[4, 6], [6, 9]])

    def test_each_platform_has_its_own(self):
        settings = {"stride": 1, "dilation": 1, "paddings": ((1, 1), (1, 1))}
        traced = jax.jit(lambda images, kernel: depthwise.convolve(images, kernel, **settings)).trace(
            jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 1, 2))
        )
        for platform, is_sum in (("cpu", True), ("cuda", False), ("tpu", False)):
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            self.assertEqual("stablehlo.convolution" in text, not is_sum, platform)
