"""The space `small_images`: rows, plain networks, elastic weights, extraction and costs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.genotypes import conversion, json_text
from common.networks import costs, counting, small_images, small_images_elastic, small_images_extraction
from common.networks.kernels import compile_options
from common.spaces import ofa_mobile
from common.spaces import small_images as space
from common.supernets import config as supernet_config
from common.supernets import members, presets, scoring, training
from common.training import models
from tests.shared import random_params

CONFIG = small_images.Config(width=4, num_classes=3)
SHAPE = (8, 8, 2)
# Every kind of block, width, kernel, expansion and squeeze, and a stage without blocks.
ROWS = ((1, 2, 0, 0, 0, 1, 0, 1, 1, 0, 0, 0, 2, 1, 2, 1, 1, 1), (2, 3, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 3, 0, 0, 0, 0))


def _compiled(function):
    return jax.jit(function, compiler_options=compile_options.quick("once"))


@functools.cache
def _elastic():
    """The elastic network, random parameters, images, and its program that collects statistics."""
    network = small_images_elastic.Network("small_images", CONFIG)
    images = jax.random.normal(jax.random.key(1), (6, *SHAPE))
    init = functools.partial(network.init, train=True)
    params = random_params.of_shapes(jax.eval_shape(init, jax.random.key(0), images, jnp.array(ROWS[0]))["params"])
    collect = functools.partial(network.apply, train=False, statistics="collect", mutable=["batch_stats"])
    return network, params, images, _compiled(collect)


class RowTest(parameterized.TestCase):
    def test_decisions_without_effect_are_zero(self):
        given = np.array([[*(1, 0, 2, 1, 1, 1), *(0, 2, 1, 1, 1, 1), *(1, 3, 0, 1, 1, 1)]], np.int32)
        expected = [[*(0, 0, 2, 0, 0, 0), *(0, 2, 1, 0, 0, 0), *(1, 3, 0, 0, 0, 1)]]
        np.testing.assert_array_equal(space.canonicalize(given), expected)

    def test_the_size_is_the_number_of_canonical_rows(self):
        stages = np.array(list(np.ndindex(space.STAGE_CHOICES)), np.int32)
        rows = np.tile(stages, (1, space.NUM_STAGES))
        distinct = len(np.unique(np.asarray(space.canonicalize(rows)), axis=0))
        assert space.space().size == distinct**3 == 102**3

    def test_members_and_their_genotypes(self):
        texts = {name: space.describe(np.array(row)) for name, row in space.MEMBERS.items()}
        assert texts == {
            "three_convolutions": "conv_x4 | conv_x4 | conv_x4",
            "resnet": " | ".join(["conv_x2 residual residual"] * 3),
            "se_resnet": " | ".join(["conv_x2 residual_se residual_se"] * 3),
            "wide_resnet": " | ".join(["conv_x4 residual"] * 3),
            "mobilenet": " | ".join(["conv_x2 inverted_k3_e4 inverted_k3_e4"] * 3),
        }
        for row in (*space.MEMBERS.values(), *ROWS):
            genotype = conversion.from_arch("small_images", np.array(row))
            read = json_text.from_text(json_text.to_text(genotype))
            np.testing.assert_array_equal(conversion.to_arch(read, "small_images"), row)
            made = models.network(genotype, CONFIG)
            assert models.from_dict(models.to_dict(made)) == made

    def test_other_chains_are_named(self):
        genotype = conversion.from_arch("small_images", np.array(ROWS[0]))
        mixed = dataclasses.replace(genotype, stages=(("conv_x2", "plain", "residual"), *genotype.stages[1:]))
        with pytest.raises(ValueError, match=r"stage 0 is 'conv_x2 plain residual'.*equal blocks"):
            conversion.to_arch(mixed, "small_images")


class NetworkTest(parameterized.TestCase):
    @parameterized.parameters((8, 3, 1), (24, 3, 1), (32, 3, 2), (48, 3, 2), (64, 7, 4), (96, 7, 4))
    def test_the_first_convolution_follows_the_size_of_images(self, side, kernel, stride):
        assert small_images.stem(CONFIG, side) == (kernel, stride)

    def test_the_width_is_even(self):
        with pytest.raises(ValueError, match=r"width must be even.*got 5"):
            small_images.Config(width=5)

    @parameterized.parameters(8, 33, 64)
    def test_costs_are_those_of_the_networks(self, side):
        rows = np.concatenate([space.space().sample(jax.random.key(side), 1), ROWS])
        found = costs.of_space("small_images", CONFIG, image_size=side, num_channels=2)
        for row, params, macs in zip(rows, found["params"](rows), found["macs"](rows), strict=True):
            network = small_images.Network(conversion.from_arch("small_images", row), CONFIG)
            counted = counting.num_params(network, (side, side, 2))[0]
            assert (params, macs) == (counted, counting.num_multiply_adds(network, (side, side, 2)))

    def test_a_chain_of_another_space(self):
        network = small_images.Network(conversion.from_arch("ofa_mobile", np.array(ofa_mobile.LARGEST)), CONFIG)
        with pytest.raises(
            ValueError, match="'mb6_k7' is not a block of small_images; choose a preset for other chains"
        ):
            network.init(jax.random.key(0), jnp.zeros((1, *SHAPE)), train=False)


class ElasticTest(parameterized.TestCase):
    def test_the_network_extracted_has_the_same_outputs(self):
        row = ROWS[0]  # the test of gradients, a slow one, has the other
        _, params, images, collect = _elastic()
        logits, collected = collect({"params": params}, images, jnp.array(row))
        shared = {"params": params, **jax.device_get(collected)}
        network, variables = small_images_extraction.extract(shared, CONFIG, np.array(row))
        alone = _compiled(functools.partial(network.apply, train=False))(variables, images)
        np.testing.assert_allclose(alone.main, logits.main, rtol=2e-4, atol=2e-5)
        shapes = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), images)
        assert variables["params"].keys() == shapes["params"].keys()

    @pytest.mark.slow  # compiles for 20 seconds
    def test_gradients_are_those_of_the_network_extracted(self):
        elastic, params, images, _ = _elastic()
        config = dataclasses.replace(CONFIG, style=dataclasses.replace(CONFIG.style, statistics="batch"))
        labels = jnp.arange(len(images)) % 3

        def loss(logits):
            return -jnp.mean(jax.nn.log_softmax(logits.main)[jnp.arange(len(images)), labels])

        def of_elastic(params, row):
            return loss(elastic.apply({"params": params}, images, row, train=True))

        of_elastic = _compiled(jax.value_and_grad(of_elastic))
        for row in ROWS:
            value, gradient = of_elastic(params, jnp.array(row))
            network, variables = small_images_extraction.extract({"params": params}, config, np.array(row))
            run = functools.partial(network.apply, images=images, train=True)
            of_network = _compiled(jax.value_and_grad(lambda params, run=run: loss(run({"params": params}))))
            expected_value, expected = of_network(variables["params"])
            np.testing.assert_allclose(value, expected_value, rtol=1e-4)
            _, found = small_images_extraction.extract({"params": gradient}, config, np.array(row))
            jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5), found["params"], expected)
            # Nothing else has a gradient.
            assert np.count_nonzero(jax.flatten_util.ravel_pytree(gradient)[0]) <= sum(
                leaf.size for leaf in jax.tree.leaves(expected)
            )

    @pytest.mark.slow
    def test_given_statistics_are_used(self):
        elastic, params, images, collect = _elastic()
        logits, collected = collect({"params": params}, images, jnp.array(ROWS[0]))
        given = _compiled(functools.partial(elastic.apply, train=False, statistics="given"))
        again = given({"params": params, **collected}, images[:2], jnp.array(ROWS[0]))
        np.testing.assert_allclose(again.main, logits.main[:2], rtol=2e-4, atol=2e-5)


class MembersTest(parameterized.TestCase):
    @pytest.mark.slow  # compiles for 20 seconds
    def test_a_member_read_off_has_the_score_of_its_architecture(self):
        preset = presets.get("elastic", "small_images", width=4)
        run = training.build(training.describe("small_images", "digits", preset, held_out=60, num_images=64))
        params = run.init().params
        config = supernet_config.Scoring(statistics="recalibrated", batch_size=32, num_calibration=2)
        evaluator = scoring.of(run, params, config)
        for row in ROWS:
            network, variables = members.read_off(run, params, np.array(row), config)
            split = run.parts["validation"]
            logits = jax.jit(functools.partial(network.apply, train=False))(
                variables, run.inputs.normalize(split.images)
            )
            found = evaluator.evaluate(jax.random.key(0), np.array([row], np.int32))
            np.testing.assert_allclose(np.mean(np.argmax(logits.main, axis=1) == split.labels), found.fitness[0])

    def test_rows_are_checked(self):
        run = training.build(training.describe("convnet", "digits", presets.get("elastic", "convnet")))
        with pytest.raises(ValueError, match=r"convnet cannot be read off elastic weights"):
            members.read_off(run, {}, np.array([1, 0, 0, 0, 0]))
        with pytest.raises(ValueError, match=r"not a valid canonical architecture of convnet"):
            members.read_off(run, {}, np.array([0, 1, 0, 0, 0]))


class SpaceTest(parameterized.TestCase):
    def test_features_tell_all_rows_apart(self):
        rows = np.asarray(spaces.get("small_images").sample(jax.random.key(0), 500))
        features = np.asarray(space.features(rows))
        assert features.shape == (500, 51)
        assert len(np.unique(features, axis=0)) == len(np.unique(rows, axis=0))
