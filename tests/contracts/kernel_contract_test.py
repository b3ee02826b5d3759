"""Every kernel for CPU equals the XLA operation that it replaces: value, gradient, type and platform."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.networks import layers
from common.networks.kernels import convolution, depthwise, max_pooling


@dataclasses.dataclass(frozen=True)
class Case:
    kernel: Any  # module
    shapes: tuple[tuple[int, ...], ...]
    settings: dict[str, Any]
    is_exact: bool = False

    def arguments(self, dtype=jnp.float32):
        """Few different whole numbers if sums must be exact, so that many pixels are equal too."""
        arrays = [jax.random.normal(jax.random.key(at), shape) for at, shape in enumerate(self.shapes)]
        return [(jnp.round(2 * array) if self.is_exact else array).astype(dtype) for array in arrays]


def _paddings(sides, size, stride, padding, dilation=1):
    return tuple(
        layers.window_padding(side, step, extent, dilation=dilation, padding=padding)
        for side, step, extent in zip(sides, stride, size)
    )


def _cases():
    for size, strides, padding in (
        *(((3, 3), (1, 1), "symmetric"), ((3, 3), (2, 2), "same"), ((1, 7), (1, 2), "symmetric")),
        *(((7, 1), (2, 1), "same"), ((2, 2), (3, 3), "symmetric"), ((2, 3), (3, 2), None)),
    ):
        paddings = ((0, 0), (0, 0)) if padding is None else _paddings((8, 9), size, strides, padding)
        yield Case(convolution, ((6, 8, 9, 3), (*size, 3, 4)), {"strides": strides, "paddings": paddings})
    for size, stride, dilation in itertools.product((3, 5), (1, 2), (1, 2)):
        padding = ("symmetric", "same")[(size // 2 + stride + dilation) % 2 == 0]
        paddings = _paddings((5, 6), (size,) * 2, (stride,) * 2, padding, dilation)
        settings = {"stride": stride, "dilation": dilation, "paddings": paddings}
        yield Case(depthwise, ((2, 5, 6, 3), (size, size, 1, 3)), settings)
    for size, stride, padding in itertools.product((2, 3), (1, 2), ("symmetric", "same")):
        paddings = _paddings((5, 6), (size,) * 2, (stride,) * 2, padding)
        settings = {"size": size, "stride": stride, "paddings": paddings}
        yield Case(max_pooling, ((4, 5, 6, 3),), settings, is_exact=True)


CASES = tuple(_cases())
SMALL = tuple(next(case for case in CASES if case.kernel is kernel) for kernel in (convolution, depthwise, max_pooling))


def _value_and_gradients(function: Callable, case: Case, dtype=jnp.float32):
    def run(*arguments):
        output, pull_back = jax.vjp(lambda *arrays: function(*arrays, **case.settings), *arguments)
        change = jnp.arange(output.size) if case.is_exact else jnp.cos(jnp.arange(output.size))
        return output, pull_back(change.reshape(output.shape).astype(output.dtype))

    return jax.jit(run)(*case.arguments(dtype))


class KernelContractTest(parameterized.TestCase):
    @parameterized.parameters(*CASES)
    def test_value_and_gradients(self, case):
        found, wanted = (_value_and_gradients(one, case) for one in (case.kernel.for_cpu, case.kernel.by_xla))
        tolerance = {} if case.is_exact else {"rtol": 1e-3, "atol": 2e-5}
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **{"rtol": 0, **tolerance}), found, wanted)

    @parameterized.parameters(*SMALL)
    def test_half_precision(self, case):
        found, wanted = (
            _value_and_gradients(case.kernel.for_cpu, case, dtype) for dtype in (jnp.bfloat16, jnp.float32)
        )
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
        np.testing.assert_allclose(found[0].astype(jnp.float32), wanted[0], rtol=0.05, atol=0.1)

    @parameterized.parameters(
        (SMALL[0], "stablehlo.dot_general", True),
        (SMALL[1], "stablehlo.convolution", False),
        (SMALL[2], "stablehlo.reduce_window", False),
    )
    def test_each_platform_has_its_own(self, case, operation, is_on_cpu):
        function = getattr(case.kernel, "convolve", None) or case.kernel.pool

        def run(*arguments):
            output, pull_back = jax.vjp(lambda *arrays: function(*arrays, **case.settings), *arguments)
            return output, pull_back(output)

        traced = jax.jit(run).trace(*case.arguments())
        for platform in ("cpu", "cuda", "tpu"):
            text = traced.lower(lowering_platforms=(platform,)).as_text()
            self.assertEqual(operation in text, is_on_cpu == (platform == "cpu"), platform)

    @parameterized.parameters(*SMALL[:2])
    def test_a_batch_in_parts(self, case):
        case = dataclasses.replace(case, shapes=((6, *case.shapes[0][1:]), case.shapes[1]))
        wanted = _value_and_gradients(case.kernel.by_xla, case)
        size = max(wanted[0][0].size, case.arguments()[0][0].size)
        with mock.patch.object(depthwise, "_CACHED", 2 * size):
            assert depthwise.images_at_once(6, size) == 2
            found = _value_and_gradients(case.kernel.for_cpu, case)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5), found, wanted)


class MaxPoolingTest(parameterized.TestCase):
    def test_gradient_goes_to_the_first_maximum(self):
        images = jnp.array([[1.0, 3.0, 3.0], [0.0, 2.0, 5.0]])[None, :, :, None]
        settings = {"size": 2, "stride": 1, "paddings": ((0, 0), (0, 1))}
        pooled, pull_back = jax.vjp(lambda images: max_pooling.for_cpu(images, **settings), images)
        np.testing.assert_array_equal(pooled[0, :, :, 0], [[3, 5, 5]])
        (gradient,) = pull_back(jnp.array([[1.0, 2.0, 4.0]])[None, :, :, None])
        np.testing.assert_array_equal(gradient[0, :, :, 0], [[0, 1, 0], [0, 0, 6]])
