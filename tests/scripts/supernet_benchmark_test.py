"""The shared weights in PyTorch that speed is measured against are ours: the same logits, gradients, and steps."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.networks import supernet

torch = pytest.importorskip("torch", reason="the reference of the benchmark needs PyTorch, the extra [bench]")

from benchmarks import supernet_torch, supernet_training  # noqa: E402

IMAGES = (3, 12, 12, 3)
PRESETS = ("nao_v2", "lanas_oneshot")  # nao_v1 is the same network
# For programs that are compiled for longer than they run.
_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def config(preset):
    return dataclasses.replace(supernet.PRESETS[preset], num_cells=3, width=4, auxiliary=False, drop_path_keep=1.0)


def network(preset):
    return supernet.Network(supernet_torch.SPACES[preset], config(preset))


@functools.cache
def problem(preset):
    """Returns images and parameters that are all different."""
    init = functools.partial(network(preset).init, train=True)
    shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros(IMAGES), archs(preset, 1)[0])["params"]
    rng = np.random.default_rng(1)
    images = rng.normal(size=IMAGES).astype(np.float32)
    return images, jax.tree.map(lambda leaf: rng.uniform(-0.6, 0.9, leaf.shape).astype(np.float32), shapes)


def archs(preset, count):
    return np.asarray(spaces.get(supernet_torch.SPACES[preset]).sample(jax.random.key(1), count))


def reference(preset, params):
    made = supernet_torch.Network(supernet_torch.SPACES[preset], config(preset))
    supernet_torch.copy(made, params)
    return made


def run(made, preset, images, arch):
    # Not channels last: of fewer than 8 channels oneDNN's gradient of strided 1x1 kernels is wrong (oneDNN #6035).
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return made(pixels, 0.0, supernet_torch.branches(supernet_torch.SPACES[preset], arch))[0]


class SupernetTorchTest(parameterized.TestCase):
    @parameterized.parameters(*PRESETS)
    def test_the_same_logits_with_the_same_weights(self, preset):
        images, params = problem(preset)

        @functools.partial(jax.jit, compiler_options=_QUICK)
        def ours(params, arch):
            return network(preset).apply({"params": params}, images, arch, train=False).main

        made = reference(preset, params)
        for arch in archs(preset, 4):
            with torch.no_grad():
                found = run(made, preset, images, arch).numpy()
            np.testing.assert_allclose(found, ours(params, arch), rtol=1e-3, atol=1e-3)

    @parameterized.parameters(*PRESETS)
    @pytest.mark.slow
    def test_the_same_gradients(self, preset):
        images, params = problem(preset)

        @functools.partial(jax.jit, compiler_options=_QUICK)
        @jax.grad
        def differentiate(params, arch):
            return jnp.sum(jnp.sin(network(preset).apply({"params": params}, images, arch, train=True).main))

        for arch in archs(preset, 3):
            made = reference(preset, params)
            torch.sin(run(made, preset, images, arch)).sum().backward()
            expected = dict(reference(preset, differentiate(params, arch)).named_parameters())
            largest = max(float(leaf.detach().abs().max()) for leaf in expected.values())
            for name, parameter in made.named_parameters():
                found = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                error = float((found - expected[name]).detach().abs().max())
                self.assertLess(error, 1e-3 * largest, name)

    @parameterized.parameters(*PRESETS)
    def test_the_same_number_of_parameters(self, preset):
        _, params = problem(preset)
        made = reference(preset, params)
        expected = sum(leaf.size for leaf in jax.tree.leaves(params))
        self.assertEqual(sum(parameter.numel() for parameter in made.parameters()), expected)


class SupernetTrainingTest(parameterized.TestCase):
    @pytest.mark.slow
    def test_both_sides_take_the_same_step(self):
        preset = "lanas_oneshot"
        rng = np.random.default_rng(2)
        images, labels = rng.integers(0, 256, IMAGES, dtype=np.uint8), rng.integers(0, 10, IMAGES[0], dtype=np.int32)
        arch = archs(preset, 1)[0]
        params, ours, _ = supernet_training.our_training(network(preset), images, labels, arch)
        theirs = supernet_training.reference_training(
            network(preset), params, images, labels, layout=torch.contiguous_format, is_lazy=False
        )
        first = dict(reference(preset, params).named_parameters())
        expected = dict(reference(preset, ours(arch)).named_parameters())
        for name, parameter in theirs(arch).named_parameters():
            # All of them move.
            self.assertGreater(float((expected[name] - first[name]).detach().abs().max()), 0.0, name)
            np.testing.assert_allclose(parameter.detach(), expected[name].detach(), rtol=1e-4, atol=1e-5, err_msg=name)
