"""Chains of inverted residuals."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.genotypes.genotype import ChainGenotype
from common.networks import inverted_residual, mobile

CHAIN = ChainGenotype((("mb3_k3", "mb6_k5"), ("mb4_k7",)))
CONFIG = mobile.Config(
    widths=(4, 6),
    strides=(2, 1),
    activations=("relu6", "hard_swish"),
    squeezes=(False, True),
    stem_width=3,
    first_width=3,
    first_is_residual=True,
    last_width=8,
    feature_width=5,
    num_classes=10,
    drop_path_keep=0.8,
)


def block(**fields):
    settings = {"features": 4, "expansion": 3, "size": 3, "stride": 1, "activation": "relu6"}
    return inverted_residual.Block(**{**settings, "style": mobile.SEMINAS_STYLE, **fields})


def shapes_of(network, shape):
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda images: network.init_with_output(jax.random.key(0), images, train=False), images)


class BlockTest(parameterized.TestCase):
    @parameterized.parameters(
        ({}, True), ({"stride": 2}, False), ({"features": 5}, False), ({"has_residual": False}, False)
    )
    def test_residual(self, fields, is_residual):
        """With drop-path factor zero, a block with a skip connection outputs its input."""
        images = jax.random.normal(jax.random.key(0), (2, 6, 6, 4))
        module = block(**fields)
        output, _ = module.init_with_output(jax.random.key(1), images, jnp.zeros(2), True)
        self.assertEqual(is_residual and np.array_equal(output, images), is_residual)
        self.assertEqual(output.shape[1], 6 // fields.get("stride", 1))

    @parameterized.parameters((1, ()), (3, (1, 1, 4, 12)))
    def test_expansion(self, expansion, wanted):
        module = block(expansion=expansion)
        shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), jnp.zeros((1, 4, 4, 4)), None, False))
        params = jax.tree.map(lambda leaf: leaf.shape, shapes["params"])
        self.assertEqual(params.get("expansion", {"kernel": ()})["kernel"], wanted)
        self.assertEqual(params["depthwise"]["kernel"], (3, 3, 1, 4 * expansion))
        self.assertEqual(params["projection"]["kernel"], (1, 1, 4 * expansion, 4))

    def test_squeeze_and_excitation(self):
        images = np.zeros((1, 2, 2, 8), np.float32)
        images[..., 0], images[..., 1] = 4.0, [[0.0, 1.0], [2.0, 3.0]]
        squeeze = np.zeros((8, 8), np.float32)
        squeeze[0, 0] = squeeze[1, 1] = 1.0
        variables = {
            "params": {
                "squeeze": {"kernel": squeeze, "bias": np.zeros(8, np.float32)},
                "excite": {"kernel": np.eye(8, dtype=np.float32), "bias": np.full(8, -1.5, np.float32)},
            }
        }
        found = inverted_residual.SqueezeExcitation(8, mobile.SEMINAS_STYLE).apply(variables, images)
        # Means 4 and 1.5; hard sigmoid of 2.5 and 0 is 5.5 / 6 and a half.
        np.testing.assert_allclose(found[..., 0], images[..., 0] * 5.5 / 6, rtol=1e-6)
        np.testing.assert_allclose(found[..., 1], images[..., 1] / 2, rtol=1e-6)

    @parameterized.parameters((40, 1, 40), (18, 8, 24), (64, 8, 64), (10, 8, 16), (3, 8, 8), (92, 8, 96))
    def test_make_divisible(self, width, divisor, wanted):
        self.assertEqual(inverted_residual.make_divisible(width, divisor), wanted)


class NetworkTest(parameterized.TestCase):
    @parameterized.parameters({"remat": True}, {"dtype": "bfloat16"})
    def test_options_keep_shapes(self, **fields):
        networks = [mobile.Network(CHAIN, config) for config in (CONFIG, dataclasses.replace(CONFIG, **fields))]
        chex.assert_trees_all_equal_shapes_and_dtypes(*(shapes_of(network, (2, 16, 16, 3)) for network in networks))

    def test_stages_of_unequal_lengths(self):
        with self.assertRaisesRegex(ValueError, "must have one item per stage; got {'widths': 1, 'strides': 2"):
            dataclasses.replace(CONFIG, widths=(4,))

    @parameterized.parameters(
        ((("mb3_k3",),), "the genotype has 1 stages, the widths 2"),
        ((("mb3_k3",), ("sep_conv",)), "stage 1, block 0: 'sep_conv' is not a block such as 'mb6_k5'"),
    )
    def test_bad_chains(self, stages, message):
        network = mobile.Network(ChainGenotype(stages), CONFIG)
        with self.assertRaisesRegex(ValueError, message):
            shapes_of(network, (1, 16, 16, 3))
