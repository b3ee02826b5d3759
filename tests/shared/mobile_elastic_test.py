"""Elastic weights of `ofa_mobile`: parts of them are the networks of its architectures."""

import dataclasses
import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.genotypes.genotype import ChainGenotype
from common.networks import costs, counting, mobile, mobile_elastic, mobile_extraction
from common.networks.kernels import compile_options
from common.spaces import ofa_mobile
from common.supernets import presets
from tests.shared import networks_mobile_test, random_params

SIDE = 20
CONFIG = mobile_elastic.elastic(
    dataclasses.replace(
        networks_mobile_test.CONFIG, activations=("relu", "hard_swish"), num_classes=3, dropout_keep=0.5
    )
)
SHORT = dataclasses.replace(CONFIG, widths=(4,), strides=(2,), activations=("hard_swish",), squeezes=(True,))
# The resolution; depth, then kernel and expansion of four blocks of each stage.
ROWS = (
    (3, *(0, 2, 0, 0, 1, 0, 0, 0, 0), *(2, 1, 2, 0, 1, 2, 0, 1, 1)),
    (24, *(2, 2, 2, 2, 2, 2, 2, 2, 2), *(2, 2, 2, 2, 2, 2, 2, 2, 2)),
)


def _compiled(function):
    return jax.jit(function, compiler_options=compile_options.quick("once"))


@functools.cache
def _elastic(config=CONFIG):
    """The elastic network, random parameters, images, and the program that collects."""
    network = mobile_elastic.Network("ofa_mobile", config)
    images = _images()
    row = jnp.array(ROWS[0][: 1 + 9 * len(config.widths)])
    shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), images, row)
    params = random_params.of_shapes(shapes["params"])
    collect = functools.partial(network.apply, train=False, statistics="collect", mutable=["batch_stats"])
    return network, params, images, _compiled(collect)


def _images():
    return jax.random.normal(jax.random.key(1), (3, SIDE, SIDE, 2))


def _alone(row, config=CONFIG, **changes):
    """The network of an architecture, and images of its resolution."""
    resolution, stages = ofa_mobile.to_stages(np.array(row))
    config = dataclasses.replace(config.stand_alone(), **changes)
    side = mobile_elastic.sizes(SIDE)[row[0]]
    images = jax.image.resize(_images(), (3, side, side, 2), "linear")
    return mobile.Network(ChainGenotype(stages, resolution), config), images


class NetworkTest(parameterized.TestCase):
    def shorten(self, num_stages):
        length = 1 + num_stages * (1 + 2 * ofa_mobile.MAX_DEPTH)
        values = {"NUM_STAGES": num_stages, "LARGEST": ofa_mobile.LARGEST[:length]}
        self.enter_context(mock.patch.multiple(ofa_mobile, **values))

    def test_a_part_of_the_weights_is_the_network(self):
        self.shorten(1)
        row = ROWS[0][:10]
        _, params, images, collect = _elastic(SHORT)
        found, collected = collect({"params": params}, images, jnp.array(row))
        network, images = _alone(row, SHORT)
        variables = mobile_extraction.parts({"params": params, **jax.device_get(collected)}, network)
        expected = _compiled(functools.partial(network.apply, train=False))(variables, images)
        np.testing.assert_allclose(found.main, expected.main, rtol=1e-5, atol=1e-5)
        shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), images)
        assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes)

    @pytest.mark.slow  # compiles for half a minute
    def test_gradients_are_those_of_the_network(self):
        self.shorten(2)
        made, params, images, _ = _elastic()
        style = dataclasses.replace(CONFIG.style, statistics="batch")

        def loss(logits):
            return -jnp.mean(jax.nn.log_softmax(logits.main)[jnp.arange(3), jnp.arange(3)])

        def of_elastic(params, row):
            return loss(made.apply({"params": params}, images, row, train=False))

        of_elastic = _compiled(jax.value_and_grad(of_elastic))
        for row in ROWS:
            value, gradient = of_elastic(params, jnp.array(row))
            network, small = _alone(row, style=style)
            own = mobile_extraction.parts({"params": params}, network)["params"]
            run = functools.partial(network.apply, images=small, train=False)
            expected_value, expected = _compiled(jax.value_and_grad(lambda own, run=run: loss(run({"params": own}))))(
                own
            )
            np.testing.assert_allclose(value, expected_value, rtol=1e-5)
            found = mobile_extraction.parts({"params": gradient}, network)["params"]
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)
            # Nothing else has a gradient.
            norms = [sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(tree)) for tree in (gradient, found)]
            np.testing.assert_allclose(*norms, rtol=1e-5)


class PartsTest(parameterized.TestCase):
    def test_transforms_of_kernels(self):
        """The centre of 5x5 transformed, and its centre of 3x3 transformed again, as Once-for-all does."""
        rng = np.random.default_rng(0)
        kernel = rng.normal(size=(7, 7, 1, 2)).astype(np.float32)
        five, three = (rng.normal(size=(size**2,) * 2).astype(np.float32) for size in (5, 3))
        found = mobile_extraction._smaller(kernel, 3, {"5": five, "3": three})
        for channel in range(2):
            middle = (five @ kernel[1:6, 1:6, 0, channel].ravel()).reshape(5, 5)
            expected = (three @ middle[1:4, 1:4].ravel()).reshape(3, 3)
            np.testing.assert_allclose(found[:, :, 0, channel], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(mobile_extraction._smaller(kernel, 3, {}), kernel[2:5, 2:5])

    def test_resolutions_are_those_of_the_space_scaled(self):
        np.testing.assert_array_equal(mobile_elastic.sizes(224), ofa_mobile.RESOLUTIONS)
        assert mobile_elastic.sizes(32)[[0, 1, -1]].tolist() == [18, 19, 32]
        images = jax.random.normal(jax.random.key(0), (2, 32, 28, 1))
        found, mask = jax.jit(mobile_elastic.resized)(images, jnp.int32(0))
        expected = jax.image.resize(images, (2, 18, 16, 1), "linear")
        np.testing.assert_allclose(found[:, :18, :16], expected, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(mask, np.pad(np.ones((18, 16)), ((0, 14), (0, 12))))
        np.testing.assert_array_equal(found * (1 - mask[None, :, :, None]), np.zeros((2, 32, 28, 1)))

    def test_padding_must_be_symmetric(self):
        with pytest.raises(ValueError, match=r"padding must be 'symmetric'.*got 'same'"):
            dataclasses.replace(CONFIG, style=dataclasses.replace(CONFIG.style, padding="same"))

    def test_costs_are_those_of_the_networks_at_their_resolution(self):
        config = presets.get("elastic", "ofa_mobile", width=8, num_classes=10).network
        assert config.widths == (8, 13, 27, 37, 53)
        rows = np.asarray(spaces.get("ofa_mobile").sample(jax.random.key(0), 1))
        found = costs.of_space("ofa_mobile", config, image_size=48)
        network = mobile.Network(ChainGenotype(ofa_mobile.to_stages(rows[0])[1]), config.stand_alone())
        side = mobile_elastic.sizes(48)[rows[0, 0]]
        assert found["params"](rows)[0] == counting.num_params(network, (side, side, 3))[0]
        assert found["macs"](rows)[0] == counting.num_multiply_adds(network, (side, side, 3))
