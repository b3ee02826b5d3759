"""The two ways of a convolution over all channels are one function, with one derivative."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.networks import layers
from common.networks.kernels import convolution as dense
from common.networks.kernels import depthwise


class DenseTest(parameterized.TestCase):
    @parameterized.parameters(
        ((3, 3), (1, 1), "symmetric"),
        ((3, 3), (2, 2), "same"),
        ((1, 7), (1, 2), "symmetric"),
        ((7, 1), (2, 1), "same"),
        ((2, 2), (3, 3), "symmetric"),
        ((2, 3), (3, 2), None),
    )
    def test_derivatives_by_products_like_those_of_xla(self, kernel, strides, padding):
        keys = jax.random.split(jax.random.key(0), 2)
        images = jax.random.normal(keys[0], (6, 8, 9, 3))
        weights = jax.random.normal(keys[1], (*kernel, 3, 4))
        paddings = ((0, 0), (0, 0))
        if padding is not None:
            paddings = tuple(
                layers.window_padding(side, stride, size, padding=padding)
                for side, stride, size in zip(images.shape[1:3], strides, kernel)
            )

        def value_and_gradients(convolve):
            def loss(images, weights):
                output = convolve(images, weights, strides=strides, paddings=paddings)
                return jnp.sum(jnp.sin(output)), output

            return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(images, weights)

        found, wanted = jax.jit(lambda: (value_and_gradients(dense.by_products), value_and_gradients(dense.plain)))()
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5), found, wanted)

    def test_a_few_images_at_a_time(self):
        keys = jax.random.split(jax.random.key(0), 3)
        images, kernel, change = (
            jax.random.normal(key, shape) for key, shape in zip(keys, ((6, 4, 5, 2), (3, 3, 2, 2), (6, 2, 3, 2)))
        )
        settings = {"strides": (2, 2), "paddings": ((1, 1), (1, 1))}

        def gradients(convolve):
            return jax.jit(lambda kernel: jax.vjp(lambda w: convolve(images, w, **settings), kernel)[1](change)[0])(
                kernel
            )

        with mock.patch.object(depthwise, "_NUMBERS", 2 * 2 * 3 * 2):
            self.assertEqual(depthwise.images_at_once(6, 2 * 3 * 2), 2)
            found = gradients(dense.by_products)
        np.testing.assert_allclose(found, gradients(dense.plain), rtol=1e-4, atol=1e-5)

    def test_half_precision(self):
        images, kernel = jnp.ones((1, 4, 4, 2), jnp.bfloat16), jnp.ones((3, 3, 2, 1), jnp.bfloat16)
        settings = {"strides": (1, 1), "paddings": ((1, 1), (1, 1))}

        def loss(images, kernel):
            return dense.by_products(images, kernel, **settings).sum(dtype=jnp.float32)

        gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(images, kernel)
        self.assertEqual([gradient.dtype for gradient in gradients], [jnp.bfloat16] * 2)
        np.testing.assert_array_equal(gradients[1][1, 1, :, 0], [16, 16])
        np.testing.assert_array_equal(gradients[0][0, :2, :2, 0], [[4, 6], [6, 9]])

    def test_each_platform_has_its_own(self):
        settings = {"strides": (1, 1), "paddings": ((1, 1), (1, 1))}

        def gradients(images, kernel):
            return jax.grad(lambda kernel: dense.convolve(images, kernel, **settings).sum())(kernel)

        traced = jax.jit(gradients).trace(jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 3)))
        for platform, is_product in (("cpu", True), ("cuda", False), ("tpu", False)):
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            self.assertEqual("stablehlo.dot_general" in text, is_product, platform)
