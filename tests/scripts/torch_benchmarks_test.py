"""The PyTorch references of benchmarks compute what this project computes: logits, gradients and training steps."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.language import config as language_config
from common.language import recurrent as recurrent_networks
from common.language import step as language_step
from common.networks import child, supernet

torch = pytest.importorskip("torch", reason="the reference of a benchmark needs PyTorch, the extra [bench]")

from benchmarks import child_step, recurrent, recurrent_torch, supernet_torch, training_torch  # noqa: E402

IMAGES = (3, 12, 12, 3)
PRESETS = ("nao_v2", "lanas_oneshot")  # nao_v1 is the same network
# Fast compilation, for programs that compile longer than they run.
_QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


class ChildTest(parameterized.TestCase):
    @parameterized.parameters(*child_step.NETWORKS)
    def test_equal_logits(self, name):
        genotype, config = child_step.network(name, num_cells=3, width=4)
        config = dataclasses.replace(config, stem_multiplier=2, auxiliary=False)
        ours, reference = child.Network(genotype, config), training_torch.Network(genotype, config)
        images = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)
        shapes = jax.eval_shape(lambda key: ours.init(key, images[:1], train=False), jax.random.key(0))
        rng = np.random.default_rng(1)
        variables = jax.tree.map(lambda leaf: rng.uniform(0.1, 0.4, leaf.shape).astype(np.float32), shapes)
        training_torch.copy(reference, variables)
        with torch.no_grad():
            found, _ = reference.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2)))
        expected = jax.jit(lambda variables: ours.apply(variables, images, train=False).main)(variables)
        np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=2e-4)
        num_params = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
        assert sum(parameter.numel() for parameter in reference.parameters()) == num_params


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
    # Not channels last: oneDNN's gradient of strided 1x1 kernels is wrong for fewer than 8 channels (oneDNN #6035).
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return made(pixels, 0.0, supernet_torch.branches(supernet_torch.SPACES[preset], arch))[0]


class SupernetTest(parameterized.TestCase):
    @parameterized.parameters(*PRESETS)
    def test_equal_logits(self, preset):
        images, params = problem(preset)

        @functools.partial(jax.jit, compiler_options=_QUICK)
        def ours(params, arch):
            return network(preset).apply({"params": params}, images, arch, train=False).main

        made = reference(preset, params)
        for arch in archs(preset, 4):
            with torch.no_grad():
                found = run(made, preset, images, arch).numpy()
            np.testing.assert_allclose(found, ours(params, arch), rtol=1e-3, atol=1e-3)
        expected = sum(leaf.size for leaf in jax.tree.leaves(params))
        self.assertEqual(sum(parameter.numel() for parameter in made.parameters()), expected)

    @parameterized.parameters(*PRESETS)
    @pytest.mark.slow
    def test_equal_gradients(self, preset):
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


class RecurrentTest(parameterized.TestCase):
    def test_equal_loss_and_gradient(self):
        self.compare("cell")

    @pytest.mark.slow
    def test_equal_loss_and_gradient_on_shared_weights(self):
        self.compare("supernet")

    def compare(self, what, size=6, width=4, batch=3, length=3):
        dropout = language_config.Dropout(0.0, 0.0, 0.0, 0.0, 0.0)
        config = dataclasses.replace(recurrent.make_config(width, batch, length), dropout=dropout)
        network, arch = recurrent.make_network(what, config, size)
        state = language_step.create(jax.random.key(0), network, config, arch=arch)
        params = jax.tree.map(lambda p: 20 * p, state.params)
        words = np.random.default_rng(0).integers(0, size, (length + 1, batch)).astype(np.int32)

        def loss(params):
            reading = network.apply({"params": params}, words[:-1], state.hidden, arch=arch)
            losses, _ = language_step.score(reading, words[1:], state.hidden, jnp.int32(length))
            return jnp.mean(losses) + language_step._penalty(reading, jnp.int32(length), config.optimizer)

        value, gradient = jax.jit(jax.value_and_grad(loss))(params)
        reference = recurrent_torch.Model(what, config, size)
        if what == "supernet":
            params, gradient = (recurrent_networks.extract(tree, arch) for tree in (params, gradient))
        with torch.no_grad():
            for name in ("table", "bias", "first"):
                getattr(reference, name).copy_(torch.from_numpy(np.array(params[name])))
            for at, weights in enumerate(np.asarray(params["cell"]["nodes"])):
                reference.weights(at).copy_(torch.from_numpy(weights.copy()))
        expected = recurrent_torch.loss(reference, torch.from_numpy(words).long(), torch.zeros(batch, width), config)
        expected.backward()
        np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
        for name in ("table", "bias", "first"):
            np.testing.assert_allclose(gradient[name], getattr(reference, name).grad, rtol=1e-3, atol=1e-5)
        for at, node in enumerate(np.asarray(gradient["cell"]["nodes"])):
            got = reference.nodes[at].grad.numpy()
            if what == "supernet":
                got = got[np.any(got, axis=1)]
            np.testing.assert_allclose(node, got, rtol=1e-3, atol=1e-5)
