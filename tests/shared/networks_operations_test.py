"""Operations of convolutional networks against loops in NumPy, and by hand; initial parameters."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.genotypes import operations as genotype_operations
from common.networks import initializers, layers, operations, styles

STYLES = (
    *(styles.NAO_PYTORCH, styles.NAO_PYTORCH_LARGE, styles.NAO_TF, styles.NAO_WS_TF),
    *(styles.DARTS, styles.LANAS, styles.LANAS_ONESHOT),
)


class Reference:
    """Operations as their papers and programs describe them, pixel by pixel."""

    def __init__(self, style, variables):
        self.style = style
        self.params, self.stats = variables.get("params", {}), variables.get("batch_stats", {})

    def operation(self, name, images, stride, features):
        kind, _, size = name.rpartition("_")
        if name in ("zero", "none"):
            return np.zeros((images.shape[0], *(-(-n // stride) for n in images.shape[1:3]), features))
        if name in ("identity", "skip_connect"):
            return self.identity(images, stride)
        if kind in ("avg_pool", "max_pool", "min_pool"):
            pooled = self.pool(kind[:3], images, int(size[0]), stride)
            return self.norm(pooled, "norm") if self.style.normalizes_pools else pooled
        if kind == "conv" and size[0] == size[2]:
            return self.relu_convolution(images, "convolution", (stride, stride))
        if kind in ("conv_1x3", "conv_1x7", "conv_7x1"):
            first = (1, stride) if self.style.factorized_strides == "split" else (stride, stride)
            second = (stride, 1) if self.style.factorized_strides == "split" else (1, 1)
            if kind == "conv_7x1":
                images = self.convolution(np.maximum(images, 0), "wide", first)
                return self.norm(self.convolution(images, "high", second), "norm")
            return self.relu_convolution(self.relu_convolution(images, "wide", first), "high", second)
        if kind == "sep_conv":
            return self.separable(images, stride, repeats=2, dilation=1)
        return self.separable(images, stride, repeats=self.style.dilated_repeats, dilation=2)

    def identity(self, images, stride):
        if stride == 1:
            return images
        if self.style.strided_identity == "relu_convolution":
            return self.relu_convolution(images, "projection", (2, 2))
        if self.style.strided_identity == "relu_reduction":
            images = np.maximum(images, 0)
        moved = np.zeros_like(images)
        moved[:, :-1, :-1] = images[:, 1:, 1:]
        params = self.params["reduction"]
        halves = [
            np.einsum("bhwi,io->bhwo", given[:, ::2, ::2], params[part]["kernel"][0, 0])
            for part, given in (("first", images), ("second", moved))
        ]
        return self.norm(np.concatenate(halves, axis=-1), "reduction", "norm")

    def separable(self, images, stride, *, repeats, dilation):
        for at in range(repeats):
            images = self.convolution(
                np.maximum(images, 0), f"depthwise_{at}", (stride if at == 0 else 1,) * 2, dilation=dilation
            )
            images = self.convolution(images, f"pointwise_{at}", (1, 1), standardized=self.style.is_standardized)
            images = self.norm(images, f"norm_{at}")
        return images

    def relu_convolution(self, images, part, strides):
        images = self.convolution(
            np.maximum(images, 0), part, strides, standardized=self.style.is_standardized, params=self.params[part]
        )
        return self.norm(images, part, "norm")

    def convolution(self, images, part, strides, *, dilation=1, standardized=False, params=None):
        kernel = np.asarray((params["convolution"] if params else self.params[part])["kernel"], float)
        if standardized:
            flat = kernel.reshape(-1, kernel.shape[-1])
            kernel = (kernel - flat.mean(0)) / (flat.std(0, ddof=1) + 1e-5)
        pads = [
            self.padding(n, s, k, dilation) for n, s, k in zip(images.shape[1:3], strides, kernel.shape, strict=False)
        ]
        padded = np.pad(images, ((0, 0), *pads, (0, 0)))
        sides = [-(-n // s) for n, s in zip(images.shape[1:3], strides, strict=True)]
        found = np.zeros((images.shape[0], *sides, kernel.shape[-1]))
        for row, column in itertools.product(*map(range, sides)):
            for i, j in itertools.product(*map(range, kernel.shape[:2])):
                pixel = padded[:, row * strides[0] + i * dilation, column * strides[1] + j * dilation]
                is_depthwise = part.startswith("depthwise")
                found[:, row, column] += pixel * kernel[i, j, 0] if is_depthwise else pixel @ kernel[i, j]
        return found

    def pool(self, kind, images, size, stride):
        fill = {"avg": 0.0, "max": -np.inf, "min": np.inf}[kind]
        sees_zeros = size == 2 and self.style.pads_2x2_with_zeros
        pads = [self.padding(n, stride, size, 1) for n in images.shape[1:3]]
        padded = np.pad(images, ((0, 0), *pads, (0, 0)), constant_values=0.0 if sees_zeros else fill)
        inside = np.pad(np.ones(images.shape[1:3]), pads)
        sides = [-(-n // stride) for n in images.shape[1:3]]
        found = np.zeros((images.shape[0], *sides, images.shape[-1]))
        for row, column in itertools.product(*map(range, sides)):
            place = slice(row * stride, row * stride + size), slice(column * stride, column * stride + size)
            window = padded[(slice(None), *place)]
            if kind == "avg":
                counts_all = sees_zeros or (self.style.counts_padding and size > 2)
                found[:, row, column] = window.sum((1, 2)) / (size**2 if counts_all else inside[place].sum())
            else:
                found[:, row, column] = window.max((1, 2)) if kind == "max" else window.min((1, 2))
        return found

    def padding(self, length, stride, size, dilation):
        if size == 2 and self.style.padding == "symmetric":
            return 0, 1
        if self.style.padding == "symmetric":
            return (size - 1) // 2 * dilation, (size - 1) // 2 * dilation
        total = max((math.ceil(length / stride) - 1) * stride + (size - 1) * dilation + 1 - length, 0)
        return total // 2, total - total // 2

    def norm(self, images, *path):
        params, stats = self.params, self.stats
        for part in (*path, "batch_norm"):
            params, stats = params.get(part, {}), stats[part]
        scale, bias = params.get("scale", 1.0), params.get("bias", 0.0)
        return (images - stats["mean"]) / np.sqrt(stats["var"] + self.style.epsilon) * scale + bias


def make(name, stride=1, style=styles.NAO_PYTORCH, features=4):
    return operations.OPERATIONS[name](features=features, stride=stride, style=style)


def fill(shapes, seed=0):
    """Returns NumPy arrays of the shapes; those of variances are positive."""
    generator = np.random.default_rng(seed)

    def draw(path, leaf):
        values = generator.normal(size=leaf.shape).astype(np.float32)
        return np.abs(values) + np.float32(0.1) if path[-1].key == "var" else values

    return jax.tree_util.tree_map_with_path(draw, shapes)


def variables_of(module, images, **kwargs):
    return fill(jax.eval_shape(lambda: module.init(jax.random.key(0), images, train=False, **kwargs)))


class OperationsTest(parameterized.TestCase):
    @parameterized.parameters(*operations.OPERATIONS)
    def test_like_loops(self, name):
        images = np.random.default_rng(1).normal(size=(2, 5, 6, 4)).astype(np.float32)
        cases, expected = [], []
        for stride, style in itertools.product((1, 2), STYLES):
            module = make(name, stride, style)
            variables = variables_of(module, images)
            cases.append((module, variables))
            expected.append(Reference(style, variables).operation(name, images, stride, 4))

        @jax.jit
        def run(all_variables, images):
            return [module.apply(v, images, train=False) for (module, _), v in zip(cases, all_variables, strict=True)]

        outputs = run([variables for _, variables in cases], images)
        for output, wanted in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(output, wanted, rtol=2e-4, atol=2e-4)

    def test_every_name_of_a_genotype_is_there(self):
        self.assertContainsSubset(genotype_operations.CONVOLUTIONAL, operations.OPERATIONS)

    def test_pools_see_zeros_or_not(self):
        images = -np.ones((1, 2, 2, 1), np.float32)
        for style, last in ((styles.NAO_PYTORCH, 0.0), (styles.NAO_TF, -1.0)):
            pooled = make("max_pool_2x2", style=style, features=1).apply({}, images, train=False)
            np.testing.assert_array_equal(pooled[0, :, :, 0], [[-1.0, last], [last, last]])
        images = np.ones((1, 3, 3, 1), np.float32)
        for style, corner, edge in ((styles.NAO_PYTORCH, 1.0, 1.0), (styles.NAO_PYTORCH_LARGE, 4 / 9, 6 / 9)):
            pooled = make("avg_pool_3x3", style=style, features=1).apply({}, images, train=False)[0, :, :, 0]
            wanted = [[corner, edge, corner], [edge, 1.0, edge], [corner, edge, corner]]
            np.testing.assert_allclose(pooled, wanted, rtol=1e-6)
        pooled = make("avg_pool_2x2", features=1).apply({}, images, train=False)[0, :, :, 0]
        np.testing.assert_allclose(pooled, [[1, 1, 0.5], [1, 1, 0.5], [0.5, 0.5, 0.25]])


class LayersTest(parameterized.TestCase):
    @parameterized.parameters(
        *((8, 1, 3, 1, (1, 1), (1, 1)), (8, 2, 3, 1, (1, 1), (0, 1)), (7, 2, 3, 1, (1, 1), (1, 1))),
        *((8, 2, 5, 1, (2, 2), (1, 2)), (8, 1, 2, 1, (0, 1), (0, 1)), (8, 2, 2, 1, (0, 1), (0, 0))),
        *((7, 2, 2, 1, (0, 1), (0, 1)), (8, 1, 5, 2, (4, 4), (4, 4)), (8, 2, 1, 1, (0, 0), (0, 0))),
    )
    def test_window_padding(self, size, stride, kernel, dilation, symmetric, same):
        for padding, wanted in (("symmetric", symmetric), ("same", same)):
            found = layers.window_padding(size, stride, kernel, dilation=dilation, padding=padding)
            self.assertEqual(found, wanted)

    @parameterized.parameters((4, [[5, 7], [13, 15]]), (3, [[4, 0], [0, 0]]))
    def test_factorized_reduction(self, side, moved):
        images = np.arange(side**2, dtype=np.float32).reshape(1, side, side, 1)
        one = {"kernel": np.ones((1, 1, 1, 1), np.float32)}
        style = dataclasses.replace(styles.LANAS_ONESHOT, epsilon=1e-12)
        variables = {
            "params": {"first": one, "second": one},
            "batch_stats": {"norm": {"batch_norm": {"mean": np.zeros(2, np.float32), "var": np.ones(2, np.float32)}}},
        }
        found = layers.FactorizedReduction(2, style).apply(variables, images, train=False)
        np.testing.assert_allclose(found[0, :, :, 0], images[0, ::2, ::2, 0])
        np.testing.assert_allclose(found[0, :, :, 1], np.float32(moved))

    def test_norm_when_training(self):
        images = np.random.default_rng(0).normal(2.0, 3.0, size=(4, 3, 3, 2)).astype(np.float32)
        style = styles.Style(epsilon=0.5, momentum=0.75)
        variables = {
            "params": {"batch_norm": {"scale": np.float32([2, 3]), "bias": np.float32([-1, 1])}},
            "batch_stats": {"batch_norm": {"mean": np.float32([4, 8]), "var": np.float32([16, 32])}},
        }
        found, new = layers.Norm(style).apply(variables, images, train=True, mutable=["batch_stats"])
        mean, variance = images.mean((0, 1, 2)), images.var((0, 1, 2))
        wanted = (images - mean) / np.sqrt(variance + 0.5) * [2, 3] + [-1, 1]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
        running = new["batch_stats"]["batch_norm"]
        np.testing.assert_allclose(running["mean"], 0.75 * np.array([4, 8]) + 0.25 * mean, rtol=1e-5)
        np.testing.assert_allclose(running["var"], 0.75 * np.array([16, 32]) + 0.25 * variance, rtol=1e-5)

    def test_standardized_weights(self):
        weights = np.random.default_rng(0).normal(3.0, 2.0, size=(1, 1, 6, 5)).astype(np.float32)
        found = layers.standardize(weights).reshape(6, 5)
        np.testing.assert_allclose(found.mean(0), np.zeros(5), atol=1e-6)
        np.testing.assert_allclose(found.std(0, ddof=1), np.ones(5), rtol=1e-4)
        gradients = jax.grad(lambda w: jnp.sum(layers.standardize(w) ** 2))(jnp.ones((1, 1, 6, 5)))
        np.testing.assert_array_equal(gradients, np.zeros((1, 1, 6, 5)))


class InitializersTest(parameterized.TestCase):
    @parameterized.parameters(
        *(("torch_he", (2 / 45, 2 / 9)), ("torch_uniform", (1 / 3 / 45, 1 / 3 / 9)), ("tf_he", (2 / 45, 2 / 576))),
        ("tf_fan_out", (1 / 63, 1 / 9)),
    )
    def test_variance(self, name, wanted):
        """3 by 3 from 5 channels to 7 has 45 inputs and 63 outputs; depthwise, PyTorch takes the 64 for outputs."""
        for shape, is_depthwise, variance in zip(((3, 3, 5, 7), (3, 3, 1, 64)), (False, True), wanted, strict=True):
            values = initializers.weights(name, is_depthwise=is_depthwise)(jax.random.key(3), shape)
            self.assertAlmostEqual(float(np.var(values)) / variance, 1, delta=0.3)  # over three standard errors

    def test_biases(self):
        drawn = np.abs(initializers.biases("torch_he", fan_in=16)(jax.random.key(0), (500,)))
        assert 0.24 < drawn.max() < 0.25  # within 1 / sqrt 16
        np.testing.assert_array_equal(initializers.biases("tf_he", fan_in=16)(jax.random.key(0), (3,)), np.zeros(3))
