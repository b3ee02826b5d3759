"""Cells: calibration of inputs, outputs, drop path."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common.genotypes.genotype import Branch, Cell
from common.networks import cells, styles

IDENTITIES = (
    (Branch("identity", 0), Branch("skip_connect", 1)),
    (Branch("identity", 2), Branch("identity", 1)),
    (Branch("avg_pool_3x3", 0), Branch("identity", 0)),
)


def shapes_of(module, before, previous, scales=None, *, train=False):
    """Returns the shape of the output and, by name, those of the parameters' top parts."""
    states = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (before, previous)]
    extra = () if isinstance(module, cells.Calibration) else (scales,)
    output, variables = jax.eval_shape(
        lambda *states: module.init_with_output(jax.random.key(0), *states, *extra, train), *states
    )
    return jax.tree.map(lambda leaf: leaf.shape, output), set(variables.get("params", {}))


class CalibrationTest(parameterized.TestCase):
    @parameterized.parameters(
        # kind, is_first, sizes and widths of the two inputs, parts
        ("where_needed", False, (8, 4), (8, 4), ()),
        ("where_needed", False, (8, 12), (8, 4), ("pointwise_0",)),
        ("where_needed", False, (8, 4), (8, 12), ("pointwise_1",)),
        ("where_needed", False, (16, 4), (8, 4), ("reduction_0",)),
        ("where_needed", False, (16, 12), (8, 12), ("reduction_0", "pointwise_1")),
        ("always", False, (8, 4), (8, 4), ("pointwise_0", "pointwise_1")),
        ("always", False, (15, 4), (8, 4), ("reduction_0", "pointwise_1")),
        ("nao_tf", False, (8, 4), (8, 4), ("pointwise_1",)),
        ("nao_tf", False, (8, 12), (8, 4), ("pointwise_0", "pointwise_1")),
        ("nao_tf", True, (8, 12), (8, 12), ("pointwise_1",)),
        ("nao_ws_tf", False, (8, 4), (8, 4), ("base_1",)),
        ("nao_ws_tf", True, (8, 12), (8, 12), ("pointwise_0", "pointwise_1", "base_1")),
        ("nao_ws_tf_shared", False, (16, 12), (8, 4), ("reduction_0",)),
    )
    def test_parts(self, kind, is_first, before, previous, parts):
        module = cells.Calibration(4, dataclasses.replace(styles.NAO_TF, calibration=kind), is_first=is_first)
        shapes, found = shapes_of(module, *((2, side, side, width) for side, width in (before, previous)))
        self.assertEqual(found, set(parts))
        width = before[1] if kind == "nao_tf" and is_first else 4
        self.assertEqual(shapes, ((2, 8, 8, width), (2, 8, 8, 4)))


class CellTest(parameterized.TestCase):
    def test_output_in_the_order_of_the_genotype(self):
        before, previous = np.full((1, 2, 2, 1), 1, np.float32), np.full((1, 2, 2, 1), 10, np.float32)
        for output, wanted in (((0, 3, 4), [1, 21, 2]), ((1, 2), [10, 11]), ((4,), [2])):
            found = cells.Cell(Cell(IDENTITIES, output), 1, styles.NAO_PYTORCH).apply({}, before, previous, None, False)
            np.testing.assert_allclose(found, np.broadcast_to(np.float32(wanted), (1, 2, 2, len(wanted))), rtol=1e-6)

    @parameterized.parameters(
        (styles.NAO_PYTORCH, {"is_reduction": True}, 4, 4, ["reduction_of_0"]),
        (styles.NAO_TF, {"is_first": True}, 12, 8, ["pointwise_of_0", "norm_of_0"]),
    )
    def test_larger_or_wider_states_of_the_output(self, style, kind, width, side, wanted):
        nodes = ((Branch("conv_3x3", 1), Branch("max_pool_3x3", 1)),)
        shape, parts = shapes_of(cells.Cell(Cell(nodes, (0, 2)), 4, style, **kind), *((2, 8, 8, width),) * 2)
        self.assertEqual(shape, (2, side, side, 8))
        self.assertContainsSubset(wanted, parts)

    @parameterized.parameters(
        ("none", [20, 52, 12]), ("identity", [2 + 20, 22 + 20, 8 + 2]), ("pass_through", [2 + 20, 22 + 20, 8 + 2])
    )
    def test_scales(self, exempt, wanted):
        style = dataclasses.replace(styles.NAO_PYTORCH, drop_path_exempt=exempt)
        before, previous = np.full((2, 2, 2, 1), 2, np.float32), np.full((2, 2, 2, 1), 20, np.float32)
        scales = np.float32([[0, 1], [1, 1], [0.6, 1], [2, 1], [4, 1], [2, 1]])
        module = cells.Cell(Cell(IDENTITIES, (2, 3, 4)), 1, style)
        found = module.apply({}, before, previous, scales, False)
        np.testing.assert_allclose(found[0, 0, 0], wanted, rtol=1e-6)
        np.testing.assert_allclose(found[1, 0, 0], [22, 42, 4], rtol=1e-6)

    @parameterized.parameters(("none", True), ("identity", False), ("pass_through", True))
    def test_strided_identity_is_exempt_by_its_name_alone(self, exempt, is_dropped):
        style = dataclasses.replace(styles.LANAS_ONESHOT, drop_path_exempt=exempt)
        module = cells.Cell(Cell(((Branch("skip_connect", 1),),), (2,)), 2, style, is_reduction=True)
        state = jax.random.normal(jax.random.key(0), (1, 4, 4, 2))
        scales = jnp.zeros((1, 1))
        output, _ = jax.jit(module.init_with_output, static_argnums=4)(jax.random.key(1), state, state, scales, True)
        self.assertEqual(np.all(np.asarray(output) == 0), is_dropped)

    def test_unknown_operation(self):
        module = cells.Cell(Cell(((Branch("conv_9x9", 1),),), (2,)), 2, styles.NAO_PYTORCH)
        with self.assertRaisesRegex(ValueError, "unknown operation 'conv_9x9'; choose one of avg_pool_2x2, "):
            shapes_of(module, (1, 4, 4, 2), (1, 4, 4, 2))


class DropPathTest(chex.TestCase, parameterized.TestCase):
    @parameterized.parameters(
        *((True, 1.0, [0.95, 0.9, 0.85, 0.8]), (True, 0.5, [0.975, 0.95, 0.925, 0.9]), (True, 0.0, [1, 1, 1, 1])),
        *((False, 1.0, [0.8, 0.8, 0.8, 0.8]), (False, 0.25, [0.95, 0.95, 0.95, 0.95])),
        (False, 7.0, [0.8, 0.8, 0.8, 0.8]),
    )
    def test_keep_probabilities(self, by_depth, progress, wanted):
        found = cells.keep_probabilities(4, 0.8, by_depth=by_depth, progress=jnp.float32(progress))
        np.testing.assert_allclose(found, wanted, rtol=1e-6)

    @chex.variants(with_jit=True, without_jit=True)
    def test_scales_have_mean_one(self):
        keep = jnp.array([1.0, 0.75, 0.5])
        draw = self.variant(lambda key: cells.drop_path_scales(key, keep, num_branches=7, batch_size=3000))
        scales = np.asarray(draw(jax.random.key(0)))
        self.assertEqual(scales.shape, (3, 7, 3000))
        for probability, drawn in zip(keep, scales, strict=True):
            self.assertContainsSubset(np.unique(drawn), [0.0, np.float32(1 / probability)])
            # Five deviations of the mean of 21000.
            deviation = np.sqrt((1 / probability - 1) / drawn.size)
            np.testing.assert_allclose(drawn.mean(), 1.0, atol=float(5 * deviation) + 1e-6)
        self.assertLess(abs(np.corrcoef(scales[2].reshape(7, -1))[0, 1]), 0.1)  # branches are dropped independently
