"""Both sides of `benchmarks.recurrent` compute the same losses and gradients."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common.language import config as configs
from common.language import recurrent
from common.language import step as language_step

V, H, B, T = 6, 4, 3, 3


class RecurrentBenchmarkTest(chex.TestCase):
    def test_both_sides_compute_the_same(self):
        self.compare("cell")

    @pytest.mark.slow
    def test_both_sides_compute_the_same_on_shared_weights(self):
        self.compare("supernet")

    def compare(self, what):
        torch = pytest.importorskip("torch")
        from benchmarks import recurrent as benchmark
        from benchmarks import recurrent_torch

        config = dataclasses.replace(benchmark.make_config(H, B, T), dropout=configs.Dropout(0.0, 0.0, 0.0, 0.0, 0.0))
        network, arch = benchmark.make_network(what, config, V)
        state = language_step.create(jax.random.key(0), network, config, arch=arch)
        params = jax.tree.map(lambda p: 20 * p, state.params)
        words = np.random.default_rng(0).integers(0, V, (T + 1, B)).astype(np.int32)
        length = jnp.int32(T)

        def loss(params):
            reading = network.apply({"params": params}, words[:-1], state.hidden, arch=arch)
            losses, _ = language_step.score(reading, words[1:], state.hidden, length)
            return jnp.mean(losses) + language_step._penalty(reading, length, config.optimizer)

        value, gradient = jax.jit(jax.value_and_grad(loss))(params)
        reference = recurrent_torch.Model(what, config, V)
        own = params if what == "cell" else recurrent.extract(params, arch)
        gradient = gradient if what == "cell" else recurrent.extract(gradient, arch)
        with torch.no_grad():
            for name in ("table", "bias", "first"):
                getattr(reference, name).copy_(torch.from_numpy(np.array(own[name])))
            for at, weights in enumerate(np.asarray(own["cell"]["nodes"])):
                reference.weights(at).copy_(torch.from_numpy(weights.copy()))
        hidden, torch_words = torch.zeros(B, H), torch.from_numpy(words).long()
        expected = recurrent_torch.loss(reference, torch_words, hidden, config)
        expected.backward()
        np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
        for name in ("table", "bias", "first"):
            np.testing.assert_allclose(gradient[name], getattr(reference, name).grad, rtol=1e-3, atol=1e-5)
        for at, node in enumerate(np.asarray(gradient["cell"]["nodes"])):
            got = reference.nodes[at].grad.numpy()
            if what == "supernet":
                got = got[np.any(got, axis=1)]
            np.testing.assert_allclose(node, got, rtol=1e-3, atol=1e-5)
