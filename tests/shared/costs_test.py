"""Costs as functions of the row: equal to those of the network itself, and to published ones."""

import dataclasses
import json
import os
import pathlib

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.evaluators import benchmark
from common.genotypes import conversion
from common.networks import child, costs, counting, styles, supernet
from common.networks.of_space import NETWORKS
from common.spaces import nasbench101
from common.training import models

DATA = os.environ.get("NAS_DATA_DIR")
needs_data = pytest.mark.skipif(not DATA, reason="NAS_DATA_DIR is not set")


def counted(space, config, arch, image_size):
    genotype = conversion.from_arch(space, arch)
    shape = (getattr(genotype, "resolution", None) or image_size,) * 2 + (3,)
    network = models.network(genotype, config)
    return counting.num_params(network, shape)[0], counting.num_multiply_adds(network, shape)


class CostsTest(parameterized.TestCase):
    def check(self, space, config, image_size, count):
        archs = np.asarray(spaces.get(space).sample(jax.random.key(0), count))
        found = costs.of_space(space, config, image_size=None if space == "ofa_mobile" else image_size)
        expected = np.array([counted(space, config, arch, image_size) for arch in archs])
        for at, name in enumerate(costs.NAMES):
            np.testing.assert_array_equal(found[name](archs), expected[:, at], err_msg=name)
            np.testing.assert_allclose(jax.jit(found[name])(archs), expected[:, at], rtol=2e-7)

    @parameterized.parameters(
        ("nao_small", {"stem": "imagenet", "style": styles.NAO_WS_TF, "has_bias": False}, 72),
        ("lanas_oneshot", {}, 20),
    )
    def test_cells(self, space, changes, image_size):
        config = dataclasses.replace(NETWORKS[space], num_cells=3, width=4, auxiliary=False, **changes)
        self.check(space, config, image_size, 1)

    @pytest.mark.slow
    def test_many_networks_at_the_default_settings(self):
        for space, config in NETWORKS.items():
            small = dataclasses.replace(config, num_cells=8) if isinstance(config, child.Config) else config
            self.check(space, small, 32 if isinstance(config, child.Config) else 128, 300)

    def test_published_networks(self):
        found = costs.of_space("nasbench201")
        arch = np.array([[3, 2, 4, 3, 1, 0]])
        self.assertEqual(found["params"](arch).tolist(), [73306 + 2 * 243040 + 28000])
        self.assertEqual(found["macs"](arch).tolist(), [7943872 + 2 * 35819520 + 4362240 + 1290240])

    def test_one_size_of_images_for_all_rows(self):
        archs = np.asarray(spaces.get("ofa_mobile").sample(jax.random.key(0), 3))
        sized = archs.copy()
        sized[:, 0] = 0  # 128 pixels
        np.testing.assert_array_equal(
            costs.of_space("ofa_mobile", image_size=128)["macs"](archs), costs.of_space("ofa_mobile")["macs"](sized)
        )

    @needs_data
    def test_published_tables(self):
        archive = np.load(pathlib.Path(DATA, "nasbench201_costs", "nasbench201_costs.npz"))
        archs, found = archive["ops"].astype(np.int32), costs.of_space("nasbench201")
        names = archive["proxy_columns_cifar10"].tolist()
        for name, published in (("params", "params"), ("macs", "flops")):
            values = archive["proxies_cifar10"][:, names.index(published)]
            is_known = np.isfinite(values)
            np.testing.assert_allclose(found[name](archs)[is_known], 1e6 * values[is_known], rtol=1e-6)
        table = json.loads(pathlib.Path(DATA, "nasbench_macro", "nas-bench-macro_cifar10.json").read_text())
        archs, found = np.array([list(map(int, key)) for key in table]), costs.of_space("nasbench_macro")
        for name, published in (("params", "params"), ("macs", "flops")):
            self.assertEqual(found[name](archs).tolist(), [entry[published] for entry in table.values()])

    @needs_data
    def test_published_networks_of_nasbench101(self):
        archive = np.load(pathlib.Path(DATA, "nasbench101_sample", "nasbench101_500.npz"))
        names = {
            0: nasbench101.INPUT,
            1: nasbench101.OUTPUT,
            2: "maxpool3x3",
            3: "conv1x1-bn-relu",
            4: "conv3x3-bn-relu",
        }
        cells = zip(archive["pruned_adjacency"], archive["pruned_ops"], archive["n_vertices"])
        archs = [nasbench101.from_matrix(edges[:n, :n], [names[at] for at in kinds[:n]]) for edges, kinds, n in cells]
        found = {name: cost(np.stack(archs)) for name, cost in costs.of_space("nasbench101").items()}
        np.testing.assert_array_equal(found["params"], np.round(1e6 * archive["params"]))
        # The published multiply-adds count norms, activations and pools as well, which no convolution is without.
        share = found["macs"] / (1e6 * archive["flops"])
        self.assertTrue(np.all((share > 0.86) & (share < 1)))

    def test_a_cell_of_nasbench101_by_hand(self):
        """A 3x3 and a 1x1 convolution of the input, both to the output, and the input to the output."""
        arch = nasbench101.from_matrix(
            [[0, 1, 1, 1], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
            [nasbench101.INPUT, "conv3x3-bn-relu", "conv1x1-bn-relu", nasbench101.OUTPUT],
        )[None]
        params, macs = 128 * (27 + 2) + 512 * 10 + 10, 128 * 27 * 32**2 + 512 * 10
        for width, inputs, side in ((128, 128 + 2 * 128, 32), (256, 128 + 2 * 256, 16), (512, 256 + 2 * 512, 8)):
            half = width // 2
            weights = 3 * 10 * half**2 + inputs * (half + half + width)
            params += weights + 2 * 3 * (2 * half + half + half + width)
            macs += weights * side**2
        found = costs.of_space("nasbench101")
        self.assertEqual([int(found[name](arch)[0]) for name in costs.NAMES], [params, macs])
        np.testing.assert_allclose([jax.jit(found[name])(arch)[0] for name in costs.NAMES], [params, macs], rtol=3e-7)

    def test_columns_of_the_table_that_ships_with_the_package(self):
        made = benchmark.evaluator("digits_convnet")
        archs = made.space.enumerate()
        np.testing.assert_array_equal(made.costs["params"](archs), made.costs["parameters"](archs))
        np.testing.assert_array_equal(made.costs["macs"](archs), made.costs["multiply_adds"](archs))
        self.assertTrue(np.isnan(made.costs["parameters"](np.zeros((1, 5), np.int32))))

    @parameterized.parameters(("nao_rnn", None), ("nao_small", supernet.PRESETS["nao_v1"]))
    def test_unknown_networks_are_refused(self, space, config):
        if config is not None:
            config = dataclasses.replace(config, style=styles.NAO_TF)
        with self.assertRaisesRegex(ValueError, f"networks of {space} are not known; those of convnet"):
            costs.of_space(space, config)
