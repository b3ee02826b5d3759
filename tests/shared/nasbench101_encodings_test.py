"""Features and tokens of NAS-Bench-101 cells, by hand and over all networks of the benchmark."""

import chex
import jax
import numpy as np
from absl.testing import parameterized

from common.spaces import nasbench101, nasbench101_encodings, nasbench101_graphs

CONV1X1, CONV3X3, MAXPOOL = range(3)
SPACE = nasbench101.space()
BATCH = 1000
TOKENS, FROM_TOKENS = jax.jit(SPACE.tokens), jax.jit(SPACE.from_tokens)  # op by op they take seconds
OPERATION_AT = (1, 4, 8, 13, 19, 26)


def padded(function):
    """A function of one number of rows, so that all tests share one program."""
    compiled = jax.jit(function)
    return lambda archs: np.asarray(compiled(np.resize(archs, (BATCH, 26))))[: len(archs)]


features, lanas_features = padded(SPACE.features), padded(nasbench101_encodings.lanas_features)


def row(edges, operations):
    return np.array([edge in edges for edge in nasbench101_graphs.EDGES] + list(operations), np.int32)


def cell(edges, operations):
    """The row of a cell whose last vertex is its output; `operations` are those between."""
    adjacency = np.zeros((len(operations) + 2,) * 2, int)
    adjacency[tuple(np.array(edges).T)] = 1
    names = [nasbench101.OPERATIONS[operation] for operation in operations]
    return nasbench101.from_matrix(adjacency, ["input", *names, "output"])


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

    def test_lanas_encoding_of_the_cell_in_their_code(self):
        arch = row(((0, 1), (0, 2), (0, 3), (0, 4), (0, 6), (1, 4), (2, 3), (3, 4), (4, 6)), (CONV3X3,) * 5)
        matrix = [0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]
        expected = matrix + [0] * 12 + [-1, 0.5, 0.5, 0.5, 0.5, 1, 0]
        np.testing.assert_array_equal(lanas_features(arch[None])[0], expected)
        # Of seven vertices it drops the last row.
        chain = row([(v, v + 1) for v in range(6)], (CONV1X1, CONV3X3, MAXPOOL, CONV1X1, CONV3X3))
        expected = np.append(np.eye(7, k=1)[:-1].reshape(-1), [-1, -0.5, 0.5, 0.25, -0.5, 0.5, 1])
        np.testing.assert_array_equal(lanas_features(chain[None])[0], expected)


class TokensTest(parameterized.TestCase):
    @parameterized.parameters(
        ([(0, 1)], (), [2, 6] + [0] * 25),
        ([(0, 1), (0, 2), (1, 2)], (CONV3X3,), [2, 4, 2, 2, 6] + [0] * 22),
        ([(0, 1), (1, 2), (1, 3), (2, 3)], (MAXPOOL, CONV1X1), [2, 5, 1, 2, 3, 1, 2, 2, 6] + [0] * 18),
        (
            [(0, 1), (1, 2), (0, 3), (3, 4), (2, 5), (5, 6), (4, 6)],
            (CONV1X1, CONV3X3, MAXPOOL, CONV1X1, CONV3X3),
            [2, 3, 1, 2, 4, 2, 1, 1, 5, 1, 1, 1, 2, 3, 1, 1, 2, 1, 1, 4, 1, 1, 1, 1, 2, 2, 6],
        ),
    )
    def test_of_cells_by_hand(self, edges, operations, expected):
        arch = cell(edges, operations)
        tokens = TOKENS(arch[None])
        assert (tokens[0].tolist(), FROM_TOKENS(tokens)[0].tolist()) == (expected, arch.tolist())

    def test_of_all_networks_lead_back(self):
        for archs in np.split(SPACE.enumerate(), 8):
            tokens = TOKENS(archs)
            np.testing.assert_array_equal(FROM_TOKENS(tokens), archs)
            previous = np.pad(tokens[:, :-1], ((0, 0), (1, 0)))
            assert SPACE.legal_tokens[np.arange(27)[None], previous, np.asarray(tokens)].all()

    def test_legal_tokens(self):
        assert SPACE.legal_tokens.shape == (27, 7, 7)
        for position in range(27):
            for previous in range(7):
                if previous == 6 or (previous == 0 and position > 0):
                    expected = [0]  # padding, after the output and ever after
                elif position == 26:
                    expected = [6]
                else:
                    expected = [3, 4, 5, 6] if position in OPERATION_AT else [1, 2]
                legal = np.flatnonzero(SPACE.legal_tokens[position, previous])
                assert legal.tolist() == expected, (position, previous)
