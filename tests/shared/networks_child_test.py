"""Child networks: stacking and training."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common.genotypes import published
from common.genotypes.genotype import Branch, Cell, CellGenotype
from common.networks import child, counting, heads, styles

NODES = ((Branch("sep_conv_3x3", 0), Branch("skip_connect", 1)), (Branch("max_pool_3x3", 1), Branch("conv_1x1", 2)))
GENOTYPE = CellGenotype(normal=Cell(NODES, (3,)), reduction=Cell(NODES, (2, 3)))
CONFIG = child.Config(num_cells=3, width=4, auxiliary=False, drop_path_keep=0.5, dropout_keep=0.5)
DIGITS = (2, 8, 8, 1)


def images(shape=DIGITS, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def init(network, shape=DIGITS):
    return jax.jit(lambda key: network.init(key, jnp.zeros(shape), train=False))(jax.random.key(0))


@functools.cache
def evaluated():
    """(variables, images -> logits) of the network of `CONFIG`, compiled once."""
    network = child.Network(GENOTYPE, CONFIG)
    variables = init(network)
    return variables, jax.jit(lambda given: network.apply(variables, given, train=False).main)


def train(network, variables, given, *, seed=1, progress=1.0):
    keys = jax.random.split(jax.random.key(seed))
    rngs = {"dropout": keys[0], "drop_path": keys[1]}
    return network.apply(variables, given, train=True, progress=progress, mutable=["batch_stats"], rngs=rngs)


class StackTest(parameterized.TestCase):
    @parameterized.parameters((child.num_cells(6), (6, 13)), (24, (8, 16)), (8, (2, 5)), (5, (1, 3)), (3, (1, 2)))
    def test_reductions(self, num_cells, wanted):
        self.assertEqual(child.Config(num_cells=num_cells).reductions, wanted)

    @parameterized.parameters(("nao_pytorch", 13), ("nao_tf", 14), ("nao_ws_tf", 12), ("lanas", 16), ("darts", 13))
    def test_auxiliary_cell(self, preset, wanted):
        self.assertEqual(child.PRESETS[preset].auxiliary_cell, wanted)

    @parameterized.parameters(*(name for name in child.PRESETS if not name.endswith("_proxy")))  # these differ in sizes
    def test_presets(self, preset):
        """Each one with few cells: logits of both heads in training and of one in evaluation, float32 parameters."""
        config = dataclasses.replace(child.PRESETS[preset], num_cells=3, width=4)
        network = child.Network(GENOTYPE, config)
        side = 224 if config.stem == "imagenet" else 32
        given = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
        keys = dict(zip(("params", "dropout", "drop_path"), jax.random.split(jax.random.key(0), 3)))
        run = functools.partial(network.init_with_output, train=True)
        trained, variables = jax.eval_shape(run, keys, given)
        self.assertEqual({leaf.dtype for leaf in jax.tree.leaves(variables)}, {jnp.dtype("float32")})
        self.assertEqual(trained.main, jax.ShapeDtypeStruct((2, config.num_classes), jnp.float32))
        self.assertEqual(trained.auxiliary, trained.main if config.auxiliary else None)
        evaluated = jax.eval_shape(lambda *args: network.apply(*args, train=False), variables, given)
        self.assertEqual((evaluated.main, evaluated.auxiliary), (trained.main, None))

    @parameterized.parameters("naonet_a", "nasnet_a", "amoebanet_b_nao")  # others are counted in other tests
    def test_published_cells(self, name):
        config = dataclasses.replace(child.PRESETS["lanas"], num_cells=3, width=4, auxiliary=False)
        network = child.Network(published.PUBLISHED[name].genotype, config)
        self.assertGreater(counting.num_params(network, (8, 8, 1))[0], 0)

    def test_sizes_of_the_stem_for_imagenet(self):
        stem = heads.ImagenetStem(6, styles.NAO_PYTORCH)
        given = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
        states, _ = jax.eval_shape(lambda x: stem.init_with_output(jax.random.key(0), x, False), given)
        self.assertEqual([state.shape for state in states], [(1, 56, 56, 6), (1, 28, 28, 6)])

    @parameterized.parameters((3, False, 8), (2, False, 7), (3, True, 8), (3, False, 11))
    def test_auxiliary_head(self, stride, is_padded, side):
        head = heads.Auxiliary(7, styles.NAO_PYTORCH, stride=stride, is_padded=is_padded)
        given = jax.ShapeDtypeStruct((2, side, side, 5), jnp.float32)
        output, variables = jax.eval_shape(lambda x: head.init_with_output(jax.random.key(0), x, False), given)
        self.assertEqual(output.shape, (2, 7))
        shapes = {name: part["kernel"].shape for name, part in variables["params"].items() if "kernel" in part}
        wanted = {"convolution_0": (1, 1, 5, 128), "convolution_1": (2, 2, 128, 768), "linear": (768, 7)}
        self.assertEqual(shapes, wanted)

    def test_images_too_small_for_the_auxiliary_head(self):
        network = child.Network(GENOTYPE, dataclasses.replace(CONFIG, auxiliary=True))
        with self.assertRaisesRegex(ValueError, "at least 8 pixels where it branches off; got 2x2; give larger"):
            jax.eval_shape(lambda: network.init(jax.random.key(0), jnp.zeros(DIGITS), train=False))


class TrainingTest(parameterized.TestCase):
    def test_training_moves_statistics_and_drops(self):
        network = child.Network(GENOTYPE, CONFIG)
        variables, given = evaluated()[0], images((4, 8, 8, 1))
        run = jax.jit(lambda seed, progress: train(network, variables, given, seed=seed, progress=progress))
        (first, new), (again, _), (other, _) = run(1, 1.0), run(1, 1.0), run(2, 1.0)
        chex.assert_trees_all_equal(first, again)
        self.assertFalse(np.allclose(first.main, other.main))
        chex.assert_trees_all_equal_shapes_and_dtypes(new["batch_stats"], variables["batch_stats"])
        for old, moved in zip(*map(jax.tree.leaves, (variables["batch_stats"], new["batch_stats"])), strict=True):
            self.assertFalse(np.array_equal(old, moved))

    @pytest.mark.slow
    def test_gradients_are_finite_and_reach_every_parameter(self):
        config = dataclasses.replace(CONFIG, auxiliary=True, drop_path_keep=0.9)
        network = child.Network(GENOTYPE, dataclasses.replace(config, width=2))
        shape = (2, 32, 32, 3)
        variables, given = init(network, shape), images(shape)

        @jax.jit
        def gradients(params):
            def loss(params):
                found, _ = train(network, {**variables, "params": params}, given)
                # Not the sum of squares: linear in the logits, no logit is left out.
                weights = jnp.arange(1.0, 11.0)[None]
                return jnp.sum(weights * jax.nn.log_softmax(found.main)) + jnp.sum(weights * found.auxiliary)

            return jax.grad(loss)(params)

        found = gradients(variables["params"])
        chex.assert_tree_all_finite(found)
        chex.assert_trees_all_equal_shapes_and_dtypes(found, variables["params"])
        for path, leaf in jax.tree_util.tree_leaves_with_path(found):
            self.assertGreater(float(jnp.abs(leaf).max()), 0.0, jax.tree_util.keystr(path))

    @pytest.mark.slow
    def test_remat_changes_nothing(self):
        networks = [child.Network(GENOTYPE, dataclasses.replace(CONFIG, remat=remat)) for remat in (False, True)]
        variables, given = init(networks[0]), images()

        def gradients(network):
            def loss(params):
                found, new = train(network, {**variables, "params": params}, given)
                return jnp.sum(found.main**2), new

            return jax.jit(jax.grad(loss, has_aux=True))(variables["params"])

        found, wanted = gradients(networks[1]), gradients(networks[0])
        chex.assert_trees_all_close(found, wanted, rtol=1e-3, atol=1e-4)

    def test_half_precision(self):
        half = child.Network(GENOTYPE, dataclasses.replace(CONFIG, dtype="bfloat16"))
        variables, evaluate = evaluated()
        evaluate_half = jax.jit(lambda given: half.apply(variables, given, train=False).main)
        outputs = [evaluate(images()), evaluate_half(images())]
        self.assertEqual([output.dtype for output in outputs], [jnp.float32] * 2)
        scale = float(jnp.abs(outputs[0]).max())
        np.testing.assert_allclose(outputs[1], outputs[0], atol=0.05 * scale)
