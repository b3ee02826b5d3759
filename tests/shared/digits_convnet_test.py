import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from absl.testing import parameterized

from common import spaces, tables
from common.networks import convnet, costs
from common.runs import digits_convnet
from tests.shared import folders

CONFIG = convnet.Config()
FIRST = [[577, 1385, 940, 1302], [1442, 567, 18, 217], [6, 1244, 997, 909]]  # of each part of the data
SHALLOW = 597  # a row of the table of depth 2
# Narrow and wide, small and large: both masks, one pooling and two.
ARCHS = ((2, 3), (2, 4, 1, 4, 3))


@jax.jit
def plain_logits(params, images):
    """The network written out: [(weights OIHW, biases)] and images [B, 1, 8, 8]."""
    maps = images
    for at, (weights, biases) in enumerate(params[:-1], start=1):
        maps = jax.lax.conv(maps, weights, (1, 1), "SAME") + biases[None, :, None, None]
        maps = jnp.maximum(maps, 0)
        if at in (1, 3):
            maps = jax.lax.reduce_window(maps, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    weights, biases = params[-1]
    return jnp.mean(maps, axis=(2, 3)) @ weights.T + biases[None]


def true_size(params, arch):
    """Cuts [(weights OIHW, biases)] of a network's own size out of masked parameters."""
    cut, inputs = [], 1
    for kind, layer in zip(arch, params[:-1], strict=True):
        outputs = 8 if kind in (3, 4) else 4
        weights = np.asarray(layer.weights).reshape(8, 3, 3, -1)[:outputs, :, :, :inputs]
        if kind in (1, 3):
            weights = weights[:, 1:2, 1:2]
        cut.append((jnp.asarray(weights.transpose(0, 3, 1, 2)), layer.biases[:outputs]))
        inputs = outputs
    return [*cut, (params[-1].weights[:, 0, :inputs], params[-1].biases)]


# Of a depth one program each; op by op they take seconds.
_masks = jax.jit(lambda arch: convnet.masks(CONFIG, arch))
_init = jax.jit(lambda key, arch: convnet.init(key, CONFIG, arch))
_logits = jax.jit(lambda params, mask, images: convnet.logits(CONFIG, params, mask, images))


@jax.jit
def _gradient(params, mask, images, labels):
    def loss(params):
        logits = convnet.logits(CONFIG, params, mask, images)
        return jnp.mean(optax.softmax_cross_entropy(logits.T, labels))

    return jax.grad(loss)(params)


class MaskingTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.images = jax.random.normal(jax.random.key(0), (8, 8, 16))
        self.labels = jax.nn.one_hot(jnp.arange(16) % 10, 10)

    def noisy(self, arch, *, everywhere):
        """Initial parameters of a network plus noise, masked or not."""
        params = _init(jax.random.key(1), jnp.array(arch))
        leaves, tree = jax.tree.flatten(params)
        generator = np.random.default_rng(2)
        noise = [0.3 * generator.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
        mask = _masks(jnp.array(arch))
        noisy = jax.tree.map(np.add, params, jax.tree.unflatten(tree, noise))
        return noisy if everywhere else jax.tree.map(np.multiply, noisy, mask)

    @parameterized.parameters(*[(arch,) for arch in ARCHS])
    def test_outputs_and_gradients_equal_those_of_the_plain_network(self, arch):
        mask, images = _masks(jnp.array(arch)), jnp.moveaxis(self.images, -1, 0)[:, None]
        params = self.noisy(arch, everywhere=True)
        expected = plain_logits(true_size(params, arch), images)
        assert float(jnp.std(expected)) > 0.05
        np.testing.assert_allclose(_logits(params, mask, self.images).T, expected, rtol=1e-5, atol=1e-5)

        def plain_loss(params):
            return jnp.mean(optax.softmax_cross_entropy(plain_logits(params, images), self.labels))

        params = self.noisy(arch, everywhere=False)
        found = _gradient(params, mask, self.images, self.labels)
        expected = jax.jit(jax.grad(plain_loss))(true_size(params, arch))
        for one, other in zip(true_size(found, arch), expected, strict=True):
            assert float(jnp.max(jnp.abs(other[0]))) > 0.0001
            chex.assert_trees_all_close(one, other, rtol=1e-4, atol=1e-6)
        outside = jax.tree.map(lambda gradient, kept: np.abs(gradient * (1 - np.asarray(kept))).sum(), found, mask)
        assert sum(jax.tree.leaves(outside)) == 0.0

    def test_first_weights_follow_the_networks_own_fan_in(self):
        config = convnet.Config(widths=(64, 128))
        arch = jnp.array([4, 1, 2, 3])
        made = jax.jit(lambda key: (convnet.init(key, config, arch), convnet.masks(config, arch)))(jax.random.key(3))
        params, mask = jax.tree.map(np.asarray, made)
        # 3x3 on 1 channel; 1x1 on 128; 3x3 on 64; 1x1 on 64; then linear on 128.
        variances = (2 / 9, 2 / 128, 2 / (9 * 64), 2 / 64, 1 / 128)
        for layer, kept, variance in zip(params, mask, variances, strict=True):
            is_kept = kept.weights == 1
            np.testing.assert_allclose(np.mean(layer.weights[is_kept] ** 2), variance, rtol=0.2)
            assert (np.abs(layer.weights[~is_kept]).sum(), np.abs(layer.biases).max()) == (0, 0)


class CountTest(parameterized.TestCase):
    @parameterized.parameters(
        ("params", (1, 0, 0, 0, 0), 4 * (1 + 1) + 10 * (4 + 1)),
        ("params", (2, 3, 0, 0, 0), 4 * (9 + 1) + 8 * (4 + 1) + 10 * (8 + 1)),
        ("params", (4, 4, 4, 4, 4), 8 * (9 + 1) + 4 * 8 * (72 + 1) + 10 * (8 + 1)),
        ("macs", (1, 0, 0, 0, 0), 64 * 4 + 40),
        ("macs", (4, 1, 2, 0, 0), 64 * 8 * 9 + 16 * 4 * 8 + 16 * 4 * 9 * 4 + 40),
        ("macs", (4, 1, 2, 3, 0), 64 * 8 * 9 + 16 * 4 * 8 + 16 * 4 * 9 * 4 + 4 * 8 * 4 + 80),
    )
    def test_counts_by_hand(self, name, arch, expected):
        assert costs.of_space("convnet", CONFIG)[name](np.array([arch])) == [expected]

    def test_counts_of_other_settings_by_hand(self):
        config = convnet.Config(widths=(3, 7), pooled=(2,), kernels=(3, 5))
        found = costs.of_space("convnet", config)
        row = np.array([(4, 1, 2, 0, 0)])
        weights = (7 * 25, 3 * 9 * 7, 3 * 25 * 3)
        assert found["params"](row) == [sum(weights) + 7 + 3 + 3 + 10 * (3 + 1)]
        assert found["macs"](row) == [64 * weights[0] + 64 * weights[1] + 16 * weights[2] + 30]

    def test_the_mask_keeps_as_many_as_are_counted(self):
        for arch in spaces.get("convnet").enumerate()[::97]:
            mask = _masks(jnp.asarray(arch[arch > 0]))
            kept = sum(float(np.sum(leaf)) for leaf in jax.tree.leaves(mask))
            assert kept == costs.of_space("convnet", CONFIG)["params"](arch[None])

    @parameterized.parameters(
        ({"widths": (8, 4)}, "widths"), ({"kernels": (2, 3)}, "kernels"), ({"image_size": 6}, "image_size")
    )
    def test_what_cannot_be_built_is_refused(self, fields, name):
        with pytest.raises(ValueError, match=name):
            convnet.Config(**fields)


class DataTest(chex.TestCase):
    def test_the_split_is_disjoint_complete_and_fixed(self):
        parts = digits_convnet.split(digits_convnet.Settings())
        assert [len(part) for part in parts] == [384, 706, 707]
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(1797))
        assert [part[:4].tolist() for part in parts] == FIRST

    def test_every_epoch_of_every_seed_has_every_training_image_once(self):
        settings = digits_convnet.Settings(num_epochs=2)
        numbers = jnp.arange(384.0)[None]
        batches = digits_convnet.draw_batches(settings, digits_convnet.Images(pixels=numbers, labels=numbers))
        chex.assert_shape(batches.pixels, (24, 3, 1, 32))
        np.testing.assert_array_equal(batches.pixels, batches.labels)
        orders = np.moveaxis(np.asarray(batches.pixels)[:, :, 0].reshape(2, 12, 3, 32), 2, 0).reshape(6, 384)
        np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(384.0), (6, 1)))
        self.assertLen(np.unique(orders, axis=0), 6)


class TableTest(chex.TestCase):
    def setUp(self):
        super().setUp()
        self.table = tables.load_benchmark("digits_convnet")

    def test_it_has_every_network_and_three_runs_of_each(self):
        np.testing.assert_array_equal(self.table.archs, spaces.get("convnet").enumerate())
        for name, images in (("validation", 706), ("test", 707)):
            values = np.asarray(self.table.metrics[name], np.float64)
            assert values.shape == (1364, 3)
            np.testing.assert_allclose(values * images, np.round(values * images), atol=1e-3)
        found = costs.of_space("convnet", CONFIG)
        for name, count in (("parameters", found["params"]), ("multiply_adds", found["macs"])):
            np.testing.assert_array_equal(self.table.metrics[name][:, 0], count(self.table.archs))
        assert np.all(self.table.metrics["train_seconds"] > 0)

    def retrain(self, index):
        settings = digits_convnet.Settings()
        train, *held_out = digits_convnet.load_data(settings)
        batches = digits_convnet.draw_batches(settings, train)
        arch = np.asarray(self.table.archs[index], np.int32)
        found = digits_convnet.train_network(settings, jnp.int32(index), jnp.asarray(arch[arch > 0]), batches, held_out)
        shipped = np.stack([self.table.metrics["validation"][index], self.table.metrics["test"][index]])
        # Sums in another order, on another processor, end in slightly different weights.
        np.testing.assert_allclose(found, shipped, atol=0.03)

    def test_a_shallow_network_trained_again_gives_the_shipped_numbers(self):
        self.retrain(SHALLOW)


class ResumeTest(folders.FolderTest):
    def test_work_done_with_other_settings_is_refused(self):
        nothing = np.zeros((4, 1))
        path = self.folder / "depth1_0000.npz"
        np.savez(path, settings="other", validation=nothing, test=nothing, train_seconds=1.0)
        with pytest.raises(ValueError, match=r"depth1_0000\.npz holds work done with other"):
            digits_convnet.train_table(self.folder)

    @pytest.mark.slow
    def test_training_goes_on_where_it_was(self):
        settings = digits_convnet.Settings(num_epochs=1, num_train=32, num_validation=32, num_seeds=2)
        reports = []
        first = digits_convnet.train_table(self.folder, settings, report=reports.append)
        self.assertLen(reports, 1 + 1 + 1 + 4 + 16)
        assert not list(self.folder.glob("*.partial*"))
        (self.folder / "depth5_0960.npz").unlink()
        (self.folder / "depth2_0000.npz").unlink()
        again = digits_convnet.train_table(self.folder, settings, report=reports.append)
        for name in ("validation", "test"):
            assert first.metrics[name].shape == (1364, 2)
            np.testing.assert_array_equal(first.metrics[name], again.metrics[name])
        same = np.sum(first.metrics["train_seconds"] == again.metrics["train_seconds"])
        assert same == 1364 - 64 - 16
