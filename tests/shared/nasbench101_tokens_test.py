"""SemiNAS' 27 tokens of NAS-Bench-101 against cells by hand and all networks of the benchmark."""

import jax
import numpy as np
from absl.testing import parameterized

from common import spaces
from common.spaces import nasbench101, nasbench101_graphs

SPACE = spaces.get("nasbench101")
TOKENS, FROM_TOKENS = jax.jit(SPACE.tokens), jax.jit(SPACE.from_tokens)  # op by op they take seconds
INPUT, CONV1X1, CONV3X3, MAXPOOL, OUTPUT = "input", *nasbench101.OPERATIONS, "output"
OPERATION_AT = (1, 4, 8, 13, 19, 26)


def legal(position, previous=0):
    return np.flatnonzero(SPACE.legal_tokens[position, previous]).tolist()


def row(edges, operations):
    """The row of a cell whose last vertex is its output."""
    size = len(operations)
    adjacency = np.zeros((size, size), int)
    adjacency[tuple(np.array(edges).T)] = 1
    return nasbench101.from_matrix(adjacency, operations)


class TokensTest(parameterized.TestCase):
    @parameterized.parameters(
        ([(0, 1)], [INPUT, OUTPUT], [2, 6] + [0] * 25),
        ([(0, 1), (0, 2), (1, 2)], [INPUT, CONV3X3, OUTPUT], [2, 4, 2, 2, 6] + [0] * 22),
        ([(0, 1), (1, 2), (1, 3), (2, 3)], [INPUT, MAXPOOL, CONV1X1, OUTPUT], [2, 5, 1, 2, 3, 1, 2, 2, 6] + [0] * 18),
        (
            [(0, 1), (1, 2), (0, 3), (3, 4), (2, 5), (5, 6), (4, 6)],
            [INPUT, CONV1X1, CONV3X3, MAXPOOL, CONV1X1, CONV3X3, OUTPUT],
            [2, 3, 1, 2, 4, 2, 1, 1, 5, 1, 1, 1, 2, 3, 1, 1, 2, 1, 1, 4, 1, 1, 1, 1, 2, 2, 6],
        ),
    )
    def test_of_cells_by_hand(self, edges, operations, expected):
        arch = row(edges, operations)
        tokens = TOKENS(arch[None])
        assert tokens[0].tolist() == expected
        assert FROM_TOKENS(tokens)[0].tolist() == arch.tolist()

    def test_missing_vertices_leave_no_gap(self):
        # Vertices 1, 3 and 5 are on no path; 2 and 4 become 1 and 2.
        arch = np.zeros(26, np.int32)
        for edge in ((0, 2), (2, 4), (4, 6), (0, 6), (0, 1), (3, 5)):
            arch[nasbench101_graphs.EDGES.index(edge)] = 1
        arch[21:] = [2, 1, 2, 0, 2]
        assert TOKENS(arch[None])[0].tolist() == [2, 4, 1, 2, 3, 2, 1, 2, 6] + [0] * 18

    def test_of_all_networks_lead_back(self):
        listed = SPACE.enumerate()

        @jax.jit
        def both_ways(archs):
            tokens = SPACE.tokens(archs)
            return tokens, SPACE.from_tokens(tokens)

        size = len(listed) // 8
        for at in range(0, len(listed), size):
            tokens, back = both_ways(listed[at : at + size])
            np.testing.assert_array_equal(back, listed[at : at + size])
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
                assert legal(position, previous) == expected, (position, previous)

    def test_the_output_ends_the_cell(self):
        tokens = np.full((6, 27), 2, np.int32)  # all edges
        for vertex, at in enumerate(OPERATION_AT):
            tokens[:, at] = 4
            tokens[vertex, at:] = [6] + [0] * (26 - at)
        archs = np.asarray(SPACE.from_tokens(tokens))
        kept = nasbench101_graphs.is_kept(archs[:, :21])
        assert kept.sum(axis=1).tolist() == [2, 3, 4, 5, 6, 7]
        # n vertices with all edges: n (n - 1) / 2, of which 9 are allowed.
        assert archs[:, :21].sum(axis=1).tolist() == [1, 3, 6, 10, 15, 21]
        assert np.asarray(SPACE.is_valid(archs)).tolist() == [True, True, True, False, False, False]
        assert archs[:, 21:].tolist() == [[1] * inner + [0] * (5 - inner) for inner in range(6)]
