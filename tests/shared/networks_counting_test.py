"""Parameters and multiply-adds, equal to those of the released networks."""

import dataclasses
import functools
from unittest import mock

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from absl.testing import parameterized

from common.genotypes import genotype, published
from common.networks import child, counting, mobile

IMAGENET = (224, 224, 3)
NODES = ((genotype.Branch("sep_conv_3x3", 0), genotype.Branch("max_pool_3x3", 1)),)
SMALL = genotype.CellGenotype(normal=genotype.Cell(NODES, (2,)), reduction=genotype.Cell(NODES, (1, 2)))
_shapes = functools.cache(counting._shapes)  # of a network once for both counts


def network(name, preset):
    return child.Network(published.get(name), child.PRESETS[preset])


class CountingTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(counting, "_shapes", _shapes))


class NumParamsTest(CountingTest):
    @parameterized.parameters(
        # TensorFlow's network has a second pointwise convolution of state 1: "2.5M". No bias in linear layers.
        ("nao_ws", "nao_ws_tf", 2_466_252, 476_416),
        ("darts_v2", "darts", 3_349_342, 476_426),
    )
    def test_cifar(self, name, preset, params, auxiliary):
        self.assertEqual(counting.num_params(network(name, preset), (32, 32, 3)), (params, auxiliary))

    @pytest.mark.slow
    def test_others(self):
        made = network("naonet_a", "nao_pytorch_large_imagenet")
        self.assertEqual(counting.num_params(made, IMAGENET), (11_353_831, 1_250_024))
        made = network("lanet", "lanas_proxy")
        self.assertEqual(counting.num_params(made, (32, 32, 3)), (2_568_810, 468_234))
        made = network("naonet_b", "nao_pytorch")
        self.assertEqual(counting.num_params(made, (32, 32, 3)), (2_921_302, 457_994))

    @parameterized.parameters(
        (published.get("seminasnet"), "seminas", 6_319_360, 598_952_544),  # published as 599M
        (genotype.ChainGenotype((("mb6_k7",) * 4,) * 5), "once_for_all", 7_664_760, 566_170_656),
    )
    def test_chains(self, chain, preset, params, multiply_adds):
        made = mobile.Network(chain, mobile.PRESETS[preset])
        self.assertEqual(counting.num_params(made, IMAGENET), (params, 0))
        self.assertEqual(counting.num_multiply_adds(made, IMAGENET), multiply_adds)


class Inner(nn.Module):
    """Multiply-adds that can be counted by hand, in every construct that a program may have."""

    @nn.compact
    def __call__(self, images, *, train, progress=0.0):
        del train, progress
        kernel = self.param("kernel", nn.initializers.ones, (3, 3, 2, 4))
        images = jax.lax.conv_general_dilated(
            images, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )  # 4 * 4 * 4 * 18
        square = self.param("square", nn.initializers.ones, (4, 4))
        rows = images.reshape(1, -1, 4)
        rows, _ = jax.lax.scan(lambda rows, _: (jax.jit(jnp.dot)(rows, square), None), rows, None, length=3)  # 3 * 256
        rows = jax.checkpoint(lambda rows: rows @ square)(rows)  # 256
        return jax.lax.cond(rows.sum() > 0, lambda rows: rows @ square, lambda rows: rows, rows)  # 256


class NumMultiplyAddsTest(CountingTest):
    def test_by_hand(self):
        self.assertEqual(counting.num_multiply_adds(Inner(), (8, 8, 2)), 4 * 4 * 4 * 18 + 5 * 16 * 16)

    def test_darts(self):
        self.assertEqual(counting.num_multiply_adds(network("darts_v2", "darts"), (32, 32, 3)), 528_359_040)

    def test_without_dropping_or_remat_or_auxiliary_head_it_is_the_same(self):
        shape, found = (32, 32, 3), set()
        for fields in ({}, {"remat": True}, {"auxiliary": False}, {"drop_path_keep": 1.0}, {"dtype": "bfloat16"}):
            settings = dataclasses.replace(child.PRESETS["lanas_proxy"], num_cells=3, **fields)
            found.add(counting.num_multiply_adds(child.Network(SMALL, settings), shape))
        self.assertLen(found, 1)
