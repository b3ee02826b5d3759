"""Sampling of architectures in training of shared weights, and the compiled loop."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import spaces
from common.genotypes import cell_rows
from common.networks import logits as logits_lib
from common.spaces import cells
from common.supernets import config as supernet_config
from common.supernets import sampling as supernet_draws
from common.training import config as configs
from common.training import loop
from common.training import state as states
from common.training import step as step_lib


def drawn(draw, key, steps):
    return np.asarray(jax.jit(jax.vmap(draw, in_axes=(None, 0)))(key, jnp.arange(steps)))


@functools.cache
def rows(space, count):
    return np.asarray(jax.jit(spaces.get(space).sample, static_argnums=1)(jax.random.key(9), count))


class DrawsTest(parameterized.TestCase):
    @parameterized.parameters("nao_small", "lanas_oneshot")
    def test_of_a_group_each_branch_has_each_operation_once(self, name):
        layout, space = cell_rows.LAYOUTS[name], spaces.get(name)
        num = len(layout.operations)
        found = drawn(supernet_draws.fair(name), jax.random.key(0), 3 * num)
        assert np.all(space.is_valid(found))
        np.testing.assert_array_equal(space.canonicalize(found), found)
        pairs = np.asarray(cells.branches(layout, found))  # [3 num, C, N, 2, 2]
        groups = pairs[..., 1].reshape(3, num, 2 * layout.num_nodes, 2)
        for group in groups:  # the branches of a node may trade places: each operation twice a node
            for node in range(2 * layout.num_nodes):
                np.testing.assert_array_equal(np.bincount(group[:, node].ravel(), minlength=num), np.full(num, 2))
        assert not np.array_equal(groups[0], groups[1])
        inputs = pairs[:, :, -1, :, 0]
        assert len(np.unique(inputs)) > 3  # of 6 states

    @parameterized.parameters(("nasbench201", 5), ("nasbench_macro", 3))
    def test_of_a_group_each_edge_has_each_operation_once(self, name, num):
        found = drawn(supernet_draws.fair(name), jax.random.key(0), 2 * num).reshape(2, num, -1)
        np.testing.assert_array_equal(
            np.sort(found, axis=1), np.broadcast_to(np.arange(num)[None, :, None], found.shape)
        )
        assert not np.array_equal(found[0], found[1])

    def test_in_proportion(self):
        archs, weights = rows("nao_small", 3), np.array([1, 2, 5])
        found = drawn(supernet_draws.in_proportion(archs, weights), jax.random.key(1), 2000)
        counts = np.array([np.sum(np.all(found == arch[None], axis=1)) for arch in archs])
        assert counts.sum() == 2000
        expected = 2000 * weights / 8
        assert np.abs(counts - expected).max() < 5 * np.sqrt(expected.max())

    def test_growing_in_a_pool(self):
        pool, key = rows("nao_small", 16), jax.random.key(1)
        found = drawn(supernet_draws.growing("nao_small", 800, pool), key, 3200)
        at = np.argmax(np.all(found[:, None] == pool[None], axis=2), axis=1)
        np.testing.assert_array_equal(pool[at], found)
        assert not at[:200].any()  # 16^(1/4) is 2
        assert set(at[201:317]) == {0, 1}  # until 16^(317 / 800), which is 3
        assert set(at[401:600]) >= {0, 1, 2, 3, 4, 5}
        assert at[:600].max() < 8
        counts = np.bincount(at[800:], minlength=16)
        assert np.abs(counts - 150).max() < 5 * np.sqrt(150)

    @parameterized.parameters(
        ("uniform", np.zeros((0, 40), int), "the pool of architectures is empty"),
        ("uniform", np.full((1, 40), 7), "row 0 of 1, .* is not a valid canonical architecture of nao_small"),
        ("num_params", None, "needs a pool; give one"),
        ("growing", None, "num_growing must be above 0 steps; got 0.0"),
        ("fair", np.zeros((1, 40), int), "is for the whole space, not for a pool"),
    )
    def test_refused(self, sampling, pool, message):
        with self.assertRaisesRegex(ValueError, message):
            supernet_draws.make(sampling, spaces.get("nao_small"), pool)

    def test_refused_weights_and_settings(self):
        with self.assertRaisesRegex(ValueError, "weights must be 1 positive numbers"):
            supernet_draws.make("num_params", spaces.get("nao_small"), rows("nao_small", 1), num_params=np.zeros_like)
        with self.assertRaisesRegex(ValueError, "sampling 'fair' is for spaces of cells"):
            supernet_draws.fair("nao_rnn")
        for settings, message in (
            ({"sampling": "num_params"}, "set pool_size"),
            ({"sampling": "fair", "pool_size": 3}, "set pool_size to 0"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                supernet_config.Sampling(**settings)


class Told(nn.Module):
    """Encodes the architecture in the loss: the logit of class 0 is the sum of the row."""

    @nn.compact
    def __call__(self, images, *, arch, train, progress=0.0):
        shift = self.param("shift", nn.initializers.zeros, (2,))
        score = jnp.sum(arch) / 100 + jnp.zeros(images.shape[0])
        return logits_lib.Logits(main=jnp.stack([score, 0 * score], axis=1) + shift[None], auxiliary=None)


CONFIG = configs.Config(
    num_epochs=2, batch_size=2, optimizer=configs.Optimizer(schedule=configs.Schedule(learning_rate=1e-9))
)


class LoopTest(chex.TestCase):
    def train(self, steps, draw, *, stop=None, state=None, most=0):
        keys = states.keys(jax.random.key(2))
        state = steps.init(keys.init, (2, 2, 1)) if state is None else state
        data = loop.Data(images=jnp.zeros((8, 2, 2, 1), jnp.uint8), labels=jnp.zeros(8, jnp.int32))
        chunks = list(loop.train(steps, state, keys, data, CONFIG, stop=stop, most=most, draw=draw))
        return chunks[-1][0], np.concatenate([chunk.metrics.loss for _, chunk in chunks]), keys

    def test_a_step_takes_what_is_drawn_and_another_pool_compiles_nothing(self):
        inputs = step_lib.Inputs(augment=lambda key, images: images, normalize=lambda images: images)
        steps = step_lib.steps(Told(), CONFIG, inputs, num_classes=2, num_images=8, arch=jnp.zeros(40, jnp.int32))
        pools = [rows("nao_small", 6)[half] for half in (slice(0, 3), slice(3, 6))]
        draws = [supernet_draws.from_pool(pool) for pool in pools]
        state, losses, keys = self.train(steps, draws[0])
        key = jax.random.fold_in(keys.step, loop.DRAW)
        sums = np.sum(drawn(draws[0], key, 8), axis=1)
        assert len(np.unique(sums)) > 1
        np.testing.assert_allclose(losses, np.log1p(np.exp(-sums / 100)), rtol=1e-5)
        evaluate = functools.partial(steps.evaluate, {"params": state.params}, jnp.zeros((2, 2, 2, 1), jnp.uint8))
        counts = evaluate(jnp.zeros(2, jnp.int32), jnp.ones(2, bool), jnp.full(40, 5))
        np.testing.assert_allclose(counts.loss, 2 * np.log1p(np.exp(-2.0)), rtol=1e-5)
        with self.subTest("another pool"):
            before = loop._train_chunk._cache_size()
            _, losses, _ = self.train(steps, draws[1])
            assert loop._train_chunk._cache_size() == before
            sums = np.sum(drawn(draws[1], key, 8), axis=1)
            np.testing.assert_allclose(losses, np.log1p(np.exp(-sums / 100)), rtol=1e-5)
