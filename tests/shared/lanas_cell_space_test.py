"""Cells of two-branch nodes on a small scale, and the cell of distributed LaNAS with its released trace."""

import itertools
import math
import os
import pathlib

import chex
import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.spaces import cell_features, cells, lanas_cell

# Two nodes, two operations: rows `input operation input operation` a node.
SMALL = cells.Layout(cells=("only",), operations=("pool", "conv"), columns=np.arange(8).reshape(1, 2, 2, 2))
_small_features = jax.jit(lambda rows: cells.features(SMALL, rows))  # op by op it takes seconds
_features = jax.jit(cell_features.features, static_argnums=1)
LANET = "[2, 2, 0, 2, 1, 2, 0, 2, 2, 3, 2, 1, 2, 0, 0, 1, 1, 1, 2, 1, 1, 0, 3, 4, 3, 0, 3, 1]"


class CellsTest(chex.TestCase):
    def test_features_by_hand(self):
        # Node 2 is pool(0) + conv(1); node 3 is conv(2) + conv(2), or pool(0) + conv(0), which leaves 2 loose.
        rows = np.array([[0, 0, 1, 1, 2, 1, 2, 1], [0, 0, 1, 1, 0, 0, 0, 1]], np.int32)
        features = _small_features(rows)
        first = [1, 1, 0, 0, 2, 1, 1, 0, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 2]
        of_nodes = 0.1 * np.array([first, [1, 1, 2, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0]])
        of_cell = [[1, 3, 0, 0, 0], [2, 2, 0, 0, 1]]
        followers = [[1, 0, 0, 0, 0, 1, 2, 2], [2, 0, 0, 0, 1, 1, 0, 0]]
        uses = [3 * [0.5, 1.5, 0.5], [0.5, 0.5, 0, 0.5, 0.5, 0.25, 0.5, 0.5, 0.5]]
        depths = [[2, 2, 2], [1, 1, 1]]
        sizes = np.log2([[3, 3, 3], [3, 3, 3]])  # of two convolutions; of input 0 and a convolution
        ways = [[np.log2(5), 1, 1], [np.log2(5), 2, 1]]
        sides = [[np.log2(3), 0, 0, 1], [np.log2(5), 0.5, 0, 0.5]]
        expected = np.concatenate([of_nodes, of_cell, followers, uses, depths, sizes, ways, sides], axis=1)
        np.testing.assert_allclose(features, expected, rtol=1e-6)

    def test_signals_by_hand(self):
        # Node 2 is identity(0) + identity(0) and node 3 identity(2) + identity(0), three times input 0; or
        # node 2 is identity(0) + conv(1) and node 3 zero(2) + conv(2), nothing but its own convolution.
        first = np.array([[[0, 1], [0, 1]], [[2, 1], [0, 1]]], np.int32)
        second = np.array([[[0, 1], [1, 2]], [[2, 0], [2, 2]]], np.int32)
        for pairs, expected in (
            (first, [*3 * [np.log2(10)], np.log2(4), 1, 0, np.log2(10), 1, 0, 0]),
            (second, [*3 * [np.log2(2)], np.log2(5), 1, 1, np.log2(2), 0, 0, 1]),
        ):
            features = _features(pairs, ("zero", "identity", "conv_1x1"))
            np.testing.assert_allclose(features[-10:], expected, rtol=1e-6)

        # A cell that stops every signal has finite features.
        features = _features(np.zeros((2, 2, 2), np.int32), ("zero", "conv_1x1"))
        np.testing.assert_allclose(features[-10:], [0, 0, 0, np.log2(5), 2, 0, 0, 0, 0, 0], rtol=1e-6)

    def test_a_whole_space(self):
        """16 * 36 encodings are (4 * 5 / 2) * (6 * 7 / 2) networks, all with different features."""
        rows = np.array(list(itertools.product(*map(range, SMALL.num_choices))), np.int32)
        assert len(rows) == math.prod(SMALL.num_choices) == 576
        canonical = np.asarray(jax.jit(lambda rows: cells.canonicalize(SMALL, rows))(rows))
        networks, network_of = np.unique(canonical, axis=0, return_inverse=True)
        assert len(networks) == SMALL.num_networks() == 210
        features, vector_of = np.unique(np.asarray(_small_features(rows)), axis=0, return_inverse=True)
        assert len(features) == 210
        assert len(np.unique(np.stack([network_of.ravel(), vector_of.ravel()]), axis=1).T) == 210
        by_hand = []
        for row in rows.tolist():
            nodes = [sorted([row[at : at + 2], row[at + 2 : at + 4]]) for at in (0, 4)]
            by_hand.append([value for node in nodes for branch in node for value in branch])
        np.testing.assert_array_equal(canonical, by_hand)


class LanasCellTest(parameterized.TestCase):
    def setUp(self):
        super().setUp()
        self.space = spaces.get("lanas_cell")
        self.lanet = lanas_cell.from_string(LANET)

    def test_lanet(self):
        assert self.space.describe(self.lanet) == (
            "searched: 2=skip_connect(0)+skip_connect(1) 3=sep_conv_3x3(1)+skip_connect(1) "
            "4=max_pool_3x3(2)+skip_connect(1) 5=sep_conv_3x3(1)+skip_connect(0) 6=skip_connect(3)+sep_conv_5x5(4) "
            "7=skip_connect(3)+max_pool_3x3(0) 8=skip_connect(3)+sep_conv_3x3(1)"
        )
        assert lanas_cell.to_string(self.lanet) == LANET
        assert lanas_cell.from_string(LANET.strip("[]").replace(",", "")).tolist() == self.lanet.tolist()
        # Of states 0 to 7 the loose ends of the published cell; its last node, 8, is the fourth.
        features = np.asarray(jax.jit(self.space.features)(self.lanet[None]))[0]
        np.testing.assert_array_equal(features[207:215], [0, 0, 0, 0, 0, 1, 1, 1])
        np.testing.assert_array_equal(features[203:207], [3, 2, 8, 1])

    def test_tokens_by_hand(self):
        tokens = self.space.tokens(self.lanet[None])
        expected = [1, 11, 2, 11, 2, 9, 2, 11, 3, 10, 2, 11, 2, 9, 1, 11, 4, 11, 5, 12, 4, 11, 1, 10, 4, 11, 2, 9]
        assert tokens[0].tolist() == expected
        assert self.space.from_tokens(tokens)[0].tolist() == self.lanet.tolist()
        (swaps,) = self.space.symmetries
        assert swaps.shape == (7, 28)
        assert swaps[2].tolist() == [*range(8), 10, 11, 8, 9, *range(12, 28)]
        swapped = self.space.from_tokens(tokens[:, swaps[2]])[0]
        assert np.flatnonzero(swapped != self.lanet).tolist() == [4, 5, 18, 19]

    def test_size_and_legal_tokens(self):
        # Nodes of 8, 12, ..., 32 branches.
        assert self.space.size == 36 * 78 * 136 * 210 * 300 * 406 * 528 == 5_157_467_707_392_000
        assert math.prod(lanas_cell.layout().num_choices) == 4**14 * 40_320**2 == 436_396_165_064_294_400
        assert self.space.legal_tokens.shape == (28, 13, 13)
        for at in range(14):
            inputs, operations = self.space.legal_tokens[2 * at, 5], self.space.legal_tokens[2 * at + 1, 1]
            assert np.flatnonzero(inputs).tolist() == [*range(1, at // 2 + 3)]
            assert np.flatnonzero(operations).tolist() == [9, 10, 11, 12]

    def test_says_what_is_wrong(self):
        with pytest.raises(ValueError, match=r"22 of 28 \(searched cell, node 3, input of branch 1.*0 to 4"):
            lanas_cell.from_string(LANET.replace("2, 1, 1, 0, 3", "2, 1, 1, 5, 3"))

    def test_released_trace(self):
        default = pathlib.Path(__file__).parents[2].parent / "shared" / "data"
        path = pathlib.Path(os.environ.get("NAS_DATA_DIR", default)) / "lanas_traces" / "distributed_trace.npz"
        if not path.exists():
            self.skipTest(f"no {path}; set NAS_DATA_DIR to the folder that holds it")
        with np.load(path) as trace:
            rows, accuracy = trace["encoding"].astype(np.int32), trace["accuracy"]
        assert rows.shape == (5402, 28)
        assert np.all(self.space.is_valid(rows))
        canonical = np.asarray(jax.jit(self.space.canonicalize)(rows))
        assert np.sum(np.all(canonical == rows, axis=1)) == 92
        assert len(np.unique(canonical, axis=0)) == 5402, "no network was trained twice"
        assert rows[np.argmax(accuracy)].tolist() == self.lanet.tolist()
