"""Networks of NAS-Bench-201 and NAS-Bench-Macro: counts, shared weights and extraction."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common.genotypes import conversion
from common.networks import costs, counting, elastic, nasbench201, nasbench_macro
from common.networks.kernels import compile_options
from common.networks.of_space import NETWORKS
from common.spaces import nasbench201 as cells
from common.supernets import config as supernet_config
from common.supernets import members, presets, scoring, training
from common.training import models
from tests.shared import random_params

CONFIGS = {
    "nasbench201": nasbench201.Config(num_cells=6, width=3, num_classes=4),
    "nasbench_macro": nasbench_macro.Config(width=2, last_width=7, num_classes=4),
}
# Every operation, and no path to one of the states.
ROWS = {
    "nasbench201": ((3, 2, 4, 1, 0, 3), (0, 3, 2, 4, 3, 1)),
    "nasbench_macro": ((0, 1, 2, 0, 1, 2, 2, 0), (1, 2, 0, 1, 1, 0, 0, 2)),
}
PAIRS = [(space, row) for space, rows in ROWS.items() for row in rows]


def alone(space, row, config):
    return models.network(conversion.from_arch(space, np.array(row)), config)


@functools.cache
def shared(space):
    """The network of all, random parameters, images, and its program that collects statistics."""
    network = elastic.FAMILIES[space].network(space, CONFIGS[space])
    images = jax.random.normal(jax.random.key(1), (6, 8, 8, 2))
    init = functools.partial(network.init, train=True)
    shapes = jax.eval_shape(init, jax.random.key(0), images, jnp.array(ROWS[space][0]))
    return network, random_params.of_shapes(shapes["params"]), images


def run(network, images, **settings):
    function = functools.partial(network.apply, images=images, train=False, **settings)
    return jax.jit(function, compiler_options=compile_options.quick("once"))


@functools.cache
def collecting(space):
    network, _, images = shared(space)
    return run(network, images, statistics="collect", mutable=["batch_stats"])


class NetworkTest(parameterized.TestCase):
    @parameterized.parameters(*PAIRS)
    def test_costs_are_those_of_the_network(self, space, row):
        network, archs = alone(space, row, CONFIGS[space]), np.array([row])
        side = 7 if row == ROWS[space][0] else 16
        found = costs.of_space(space, CONFIGS[space], image_size=side, num_channels=2)
        shape = (side, side, 2)
        counted = counting.num_params(network, shape)[0], counting.num_multiply_adds(network, shape)
        assert (int(found["params"](archs)[0]), int(found["macs"](archs)[0])) == counted

    @parameterized.parameters(*ROWS)
    @pytest.mark.slow
    def test_the_published_number_of_parameters_is_that_of_the_network(self, space):
        published = costs.of_space(space)["params"]
        choices = len(cells.OPERATIONS) if space == "nasbench201" else 3
        for row in np.random.default_rng(0).integers(0, choices, (10, len(ROWS[space][0]))):
            counted = counting.num_params(alone(space, row, NETWORKS[space]), (32, 32, 3))[0]
            assert int(published(row[None])[0]) == counted

    def test_a_cell_by_hand(self):
        """Skips to states 1 and 2, their sums averaged over 3x3 windows of four pixels, all of which they hold."""
        genotype = conversion.from_arch("nasbench201", np.array([1, 1, 1, 4, 0, 1]))
        images = jnp.array([[1.0, 2.0], [3.0, 4.0]])[None, :, :, None]
        found = nasbench201.Cell(genotype, 1, nasbench201.STYLE).apply({}, images, False)
        np.testing.assert_allclose(found, 2.5 + 2 * images)

    def test_few_cells_are_refused(self):
        with pytest.raises(ValueError, match=r"num_cells must be at least 5; got 4"):
            nasbench201.Config(num_cells=4)


class SharedTest(parameterized.TestCase):
    @parameterized.parameters(PAIRS[0], PAIRS[2])  # the test of gradients, a slow one, has the others
    def test_the_network_extracted_has_the_same_outputs(self, space, row):
        _, params, images = shared(space)
        logits, collected = collecting(space)({"params": params}, arch=jnp.array(row))
        variables = {"params": params, **jax.device_get(collected)}
        network, variables = elastic.FAMILIES[space].extract(variables, CONFIGS[space], row)
        np.testing.assert_allclose(run(network, images)(variables).main, logits.main, rtol=1e-4, atol=1e-4)
        shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), images)
        assert jax.tree.map(jnp.shape, dict(variables)) == jax.tree.map(jnp.shape, dict(shapes))

    @parameterized.parameters(*PAIRS)
    @pytest.mark.slow
    def test_gradients_are_those_of_the_network_extracted(self, space, row):
        network, params, images = shared(space)
        config = CONFIGS[space]
        config = dataclasses.replace(config, style=dataclasses.replace(config.style, statistics="batch"))

        def loss(network, params, **arch):
            return jnp.sum(jnp.sin(network.apply({"params": params}, images, train=True, **arch).main))

        value, gradient = jax.jit(jax.value_and_grad(functools.partial(loss, network)))(params, arch=jnp.array(row))
        extract = elastic.FAMILIES[space].extract
        made, variables = extract({"params": params}, config, row)
        expected_value, expected = jax.jit(jax.value_and_grad(functools.partial(loss, made)))(variables["params"])
        np.testing.assert_allclose(value, expected_value, rtol=1e-4)
        _, found = extract({"params": gradient}, config, row)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), found["params"], expected)
        num = sum(leaf.size for leaf in jax.tree.leaves(expected))  # nothing else has a gradient
        assert np.count_nonzero(jax.flatten_util.ravel_pytree(gradient)[0]) <= num

    @parameterized.parameters(*ROWS)
    @pytest.mark.slow
    def test_a_member_read_off_has_the_score_of_its_architecture(self, space):
        sizes = {"num_cells": 5} if space == "nasbench201" else {"last_width": 16}
        preset = presets.get("digits", space, width=4, **sizes)
        made = training.build(training.describe(space, "digits", preset, held_out=60, num_images=64))
        params, row = made.init().params, np.array(ROWS[space][0])
        config = supernet_config.Scoring(statistics="recalibrated", batch_size=32, num_calibration=2)
        network, variables = members.read_off(made, params, row, config)
        split = made.parts["validation"]
        logits = run(network, made.inputs.normalize(split.images))(variables).main
        found = scoring.of(made, params, config).evaluate(jax.random.key(0), row[None])
        np.testing.assert_allclose(np.mean(np.argmax(logits, axis=1) == split.labels), found.fitness[0])

    def test_unknown_statistics_are_refused(self):
        network, params, images = shared("nasbench_macro")
        with pytest.raises(ValueError, match=r"unknown statistics 'running'; choose one of batch, collect, given"):
            network.apply({"params": params}, images, jnp.zeros(8, int), train=False, statistics="running")
