"""Training of elastic weights: the sandwich rule, its sampler, and the spaces that have them."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import config as configs
from common import spaces
from common.networks import convnet, convnet_elastic, elastic
from common.spaces import convnet as convnet_space
from common.spaces import ofa_mobile
from common.spaces import small_images as space
from common.supernets import presets, sampling, scoring, training
from common.training import loop, sandwich

CONFIG = convnet.Config()
IMAGES = jax.random.uniform(jax.random.key(1), (4, 8, 8, 1))


class SandwichTest(parameterized.TestCase):
    def test_the_sum_of_gradients_distilled_from_the_first(self):
        """Logits are the parameters times the factors of the architecture: the gradient is factor (p - targets)."""
        params, archs = jnp.array([0.5, -1.0, 2.0]), jnp.array([[3], [1], [2]])
        targets = jnp.array([[0.0, 1.0, 0.0]])

        def loss(params, arch, targets, is_predicted):
            logits = (params * arch)[None]
            return -jnp.sum(targets * jax.nn.log_softmax(logits)), (logits, arch * ~is_predicted)

        (value, (logits, arch)), gradient = jax.jit(functools.partial(sandwich.value_and_grad, loss))(
            params, archs, targets
        )
        largest, others = jax.nn.softmax(3 * params), [jax.nn.softmax(params), jax.nn.softmax(2 * params)]
        expected = 3 * (largest - targets[0]) + (others[0] - largest) + 2 * (others[1] - largest)
        np.testing.assert_allclose(gradient, expected, rtol=1e-5)
        np.testing.assert_allclose(value, -jnp.log(largest[1]), rtol=1e-5)
        np.testing.assert_allclose(logits, 3 * params[None])
        assert int(arch[0]) == 3

    def test_the_adaptive_divergence_is_the_larger_one(self):
        """The first image is predicted too surely, the second too unsurely."""
        p, q = np.array([[0.4, 0.6], [0.9, 0.1]]), np.array([[0.1, 0.9], [0.3, 0.7]])
        value, gradient = jax.value_and_grad(sandwich.adaptive_divergence)(jnp.log(q), jnp.float32(p))
        too_large = np.sum(q * (np.minimum(q / p, 5.0) - 1) / 2, axis=1)
        too_small = np.sum(p * np.log(p / q), axis=1)
        assert (too_large > too_small).tolist() == [False, True]
        np.testing.assert_allclose(value, np.mean(np.maximum(too_large, too_small)), rtol=1e-5)
        # Of alpha 1: q - p; of alpha -1 with weights w of log q: q sum(w) - w.
        weights = q[1] * (0.5 - np.minimum(q[1] / p[1], 5.0))
        expected = np.stack([q[0] - p[0], q[1] * weights.sum() - weights]) / 2
        np.testing.assert_allclose(gradient, expected, rtol=1e-4)

    @parameterized.parameters(*elastic.FAMILIES)
    def test_the_sampler_gives_the_largest_the_smallest_and_two_random_ones(self, name):
        draw = jax.jit(jax.vmap(sampling.sandwich(name), in_axes=(None, 0)))
        found = np.asarray(draw(jax.random.key(0), jnp.arange(50)))
        made = spaces.get(name)
        rows = found.reshape(-1, found.shape[-1])
        assert np.all(made.is_valid(rows))
        np.testing.assert_array_equal(made.canonicalize(rows), rows)
        if name == "convnet":
            np.testing.assert_array_equal(found[:, :2], [[[4] * 5, [1, 0, 0, 0, 0]]] * 50)
        elif name == "nasbench201":
            np.testing.assert_array_equal(found[:, :2], [[[3] * 6, [1] * 6]] * 50)
        elif name == "nasbench_macro":
            np.testing.assert_array_equal(found[:, :2], [[[2] * 8, [0] * 8]] * 50)
        elif name == "ofa_mobile":
            np.testing.assert_array_equal(found[:, :2], [[[24, *[2] * 45], [0] * 46]] * 50)
        else:
            largest, smallest = (space.Stages(*values) for values in map(space.decoded, (found[:, 0], found[:, 1])))
            assert np.all((largest.depth == 3) & (largest.width == 2) & (smallest.depth == 0) & (smallest.width == 0))
            is_inverted = largest.kind == space.INVERTED
            assert np.all((largest.kernel == is_inverted) & (largest.expansion == is_inverted))
            assert {*largest.kind.ravel()} == {0, 1, 2}
        assert len(np.unique(found[:, 2:].reshape(-1, found.shape[-1]), axis=0)) > 50

    def test_shrinking_frees_kernels_then_depths_then_expansions(self):
        draw = jax.jit(jax.vmap(sampling.shrinking("ofa_mobile", 60), in_axes=(None, 0)))
        found = np.asarray(draw(jax.random.key(0), jnp.arange(90)))
        made = spaces.get("ofa_mobile")
        np.testing.assert_array_equal(made.canonicalize(found.reshape(-1, 46)), found.reshape(-1, 46))
        np.testing.assert_array_equal(found[:, 0], [[24, *[2] * 45]] * 90)
        depths, blocks, exists = map(np.asarray, ofa_mobile.decoded(found.reshape(-1, 46)))
        of_steps = [slice(4 * first, 4 * last) for first, last in ((0, 20), (20, 40), (40, 60), (60, 90))]
        smallest = [(depths[at].min(), *(blocks[at][exists[at]][:, kind].min() for kind in (0, 1))) for at in of_steps]
        assert smallest == [(2, 2, 2), (2, 0, 2), (0, 0, 2), (0, 0, 0)]
        assert len({*found[:20, 2:, 0].ravel()}) > 10  # resolutions vary from the start
        np.testing.assert_array_equal(found[60:, 1], np.zeros((30, 46)))

    def test_other_spaces_have_no_elastic_weights(self):
        with pytest.raises(ValueError, match=r"sandwich.*convnet.*small_images"):
            sampling.sandwich("nao_small")
        with pytest.raises(ValueError, match=r"shrinking.*convnet.*ofa_mobile"):
            sampling.shrinking("convnet", 10)


def _logits(kinds, params):
    """The logits of the network of some kinds of layers."""
    state = IMAGES
    for at, kind in enumerate(kinds):
        layer, width = params["layers"][at], CONFIG.widths[kind > 2]
        kernel = layer.weights.reshape(8, 3, 3, -1)[:width, ..., : state.shape[-1]].transpose(1, 2, 3, 0)
        kernel = kernel if kind % 2 == 0 else kernel[1:2, 1:2]
        state = jax.lax.conv_general_dilated(state, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        if at + 1 in CONFIG.pooled:
            state = nn.max_pool(state, (2, 2), (2, 2))
        mean, variance = jnp.mean(state, axis=(0, 1, 2)), jnp.var(state, axis=(0, 1, 2))
        scale = params["scales"][at, kind - 1, :width] / jnp.sqrt(variance + 1e-5)
        shift = params["offsets"][at, kind - 1, :width] - mean * scale
        state = jax.nn.relu(state * scale[None, None, None] + shift[None, None, None])
    last = len(kinds) - 1
    return jnp.mean(state, axis=(1, 2)) @ params["kernels"][last, :width] + params["biases"][last][None]


class ConvnetTest(parameterized.TestCase):
    @parameterized.parameters((1, 0, 0, 0, 0), (2, 4, 1, 3, 4))
    def test_elastic_logits_are_those_of_a_network_of_its_own_size(self, *row):
        network = convnet_elastic.Network("convnet", CONFIG)
        init = functools.partial(network.init, train=True)
        params = jax.eval_shape(init, jax.random.key(0), IMAGES, jnp.array(row))["params"]
        rng = np.random.default_rng(0)
        params = jax.tree.map(lambda leaf: jnp.asarray(0.5 * rng.normal(size=leaf.shape), jnp.float32), params)
        found = jax.jit(functools.partial(network.apply, train=False))({"params": params}, IMAGES, jnp.array(row))
        expected = jax.jit(functools.partial(_logits, [kind for kind in row if kind]))(params)
        np.testing.assert_allclose(found.main, expected, rtol=1e-4, atol=1e-5)

    def test_shared_weights_train_and_score(self):
        preset = presets.get("elastic", "convnet")
        preset = preset._replace(training=configs.replace(preset.training, {"learning_rate": 0.1}))
        about = training.describe("convnet", "digits", preset, held_out=100, num_images=640, seed=1)
        run = training.build(about)
        chunks = loop.train(run.steps, run.init(), run.keys, run.data("train"), run.config, stop=60, draw=run.draw())
        params, losses = [], []
        for state, chunk in chunks:
            params, losses = state.params, [*losses, np.mean(chunk.metrics.loss)]
        assert losses[-1] < losses[0]
        rows = np.array([convnet_space.LARGEST, convnet_space.SMALLEST], np.int32)
        found = scoring.of(run, params).evaluate(jax.random.key(0), rows)
        assert np.all(found.ok)
        assert found.fitness[0] > 0.2
        np.testing.assert_array_equal(run.costs["params"](rows), run.num_params(rows))

    def test_settings_of_cells_are_refused(self):
        with pytest.raises(ValueError, match=r"num_cells is not a setting of the networks of convnet"):
            presets.get("elastic", "convnet", num_cells=3)
