import chex
import jax
import numpy as np

from common.spaces import nasbench101, nasbench101_encodings, nasbench101_graphs

CONV1X1, CONV3X3, MAXPOOL = range(3)
SPACE = nasbench101.space()
BATCH = 1000
COMPILED_FEATURES = jax.jit(SPACE.features)
COMPILED_LANAS_FEATURES = jax.jit(nasbench101_encodings.lanas_features)


def features(archs, compiled=COMPILED_FEATURES):
    """Of fewer than `BATCH` rows too, so that all tests share one compiled function."""
    padded = np.concatenate([archs, np.repeat(archs[-1:], BATCH - len(archs), axis=0)])
    return np.asarray(compiled(padded))[: len(archs)]


def lanas_features(archs):
    return features(archs, COMPILED_LANAS_FEATURES)


def row(edges, operations):
    return np.array([edge in edges for edge in nasbench101_graphs.EDGES] + list(operations), np.int32)


class FeaturesTest(chex.TestCase):
    def test_of_a_cell_by_hand(self):
        # input -> conv1x1 -> conv3x3 -> output, input -> conv3x3, input -> output.
        arch = row(((0, 1), (0, 2), (0, 6), (1, 2), (2, 6)), (CONV1X1, CONV3X3, 0, 0, 0))
        out = features(arch[None])[0]
        chex.assert_shape(out, (64,))
        np.testing.assert_array_equal(out[:21], arch[:21])
        np.testing.assert_array_equal(out[21:36], [1, 0, 0, 0, 1, 0] + [0] * 9)
        # Rows: from input, conv1x1, conv3x3, maxpool; the first has three entries.
        between = [1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
        summary = [1 / 5, 1 / 5, 0, 4 / 7, 5 / 9, 3 / 6, 2 / 6, 3 / 8, 3 / 6, 1 / 6, 1 / 5, 2 / 5, 0]
        np.testing.assert_allclose(out[36:], [*(np.array(between) / 9), *summary], rtol=1e-6)

    def test_of_the_deepest_chain(self):
        chain = row([(v, v + 1) for v in range(6)], (CONV3X3,) * 5)
        out = features(chain[None])[0]
        np.testing.assert_allclose(out[51:], [0, 1, 0, 1, 6 / 9, 1 / 6, 1 / 6, 1 / 8, 1, 1, 1, 1, 1], rtol=1e-6)

    def test_are_fractions_and_their_summaries_do_not_depend_on_the_numbering(self):
        archs = np.random.default_rng(0).integers(0, SPACE.num_choices, (1000, 26)).astype(np.int32)
        archs = archs[np.asarray(jax.jit(SPACE.is_valid)(archs))]
        canonical = np.asarray(jax.jit(SPACE.canonicalize)(archs))
        assert np.any(canonical != nasbench101_graphs.prune(archs), axis=1).mean() > 0.5
        out = features(archs)
        assert out.min() >= 0
        assert out.max() <= 1
        np.testing.assert_array_equal(out[:, 36:], features(canonical)[:, 36:])

    def test_are_finite_for_rows_that_are_no_architecture(self):
        rows = np.array([[-1] * 26, [0] * 26, [1] * 21 + [2] * 5], np.int32)
        assert np.isfinite(features(rows)).all()
        assert np.isfinite(lanas_features(rows)).all()

    def test_lanas_encoding_of_the_cell_in_their_code(self):
        arch = row(((0, 1), (0, 2), (0, 3), (0, 4), (0, 6), (1, 4), (2, 3), (3, 4), (4, 6)), (CONV3X3,) * 5)
        matrix = [0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
        expected = matrix + [0] * 12 + [-1, 0.5, 0.5, 0.5, 0.5, 1, 0]
        np.testing.assert_array_equal(lanas_features(arch[None])[0], expected)

    def test_lanas_encoding_of_seven_vertices_drops_the_last_row(self):
        chain = row([(v, v + 1) for v in range(6)], (CONV1X1, CONV3X3, MAXPOOL, CONV1X1, CONV3X3))
        expected = np.append(np.eye(7, k=1)[:-1].reshape(-1), [-1, -0.5, 0.5, 0.25, -0.5, 0.5, 1])
        np.testing.assert_array_equal(lanas_features(chain[None])[0], expected)
