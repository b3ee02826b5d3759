import os
import pathlib

import chex
import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common.spaces import nasbench101, nasbench101_encodings, nasbench101_graphs

CONV1X1, CONV3X3, MAXPOOL = range(3)
SPACE = nasbench101.space()


def row(edges, operations):
    return np.array([edge in edges for edge in nasbench101_graphs.EDGES] + list(operations), np.int32)


class MatrixTest(parameterized.TestCase):
    def test_prunes_and_names(self):
        arch = row(((0, 3), (3, 6), (0, 6), (0, 1), (1, 2)), (MAXPOOL, CONV1X1, CONV3X3, 0, 0))
        adjacency, operations = nasbench101.to_matrix(arch)
        np.testing.assert_array_equal(adjacency, [[0, 1, 1], [0, 0, 1], [0, 0, 0]])
        assert operations == ["input", "conv3x3-bn-relu", "output"]
        np.testing.assert_array_equal(
            nasbench101.from_matrix(adjacency, operations), row(((0, 1), (0, 6), (1, 6)), [1, 0, 0, 0, 0])
        )
        assert nasbench101.describe(arch) == "1=conv3x3-bn-relu(input) output(input,1)"

    def test_is_undone_by_from_matrix(self):
        for arch in SPACE.enumerate()[::20011]:
            np.testing.assert_array_equal(nasbench101.from_matrix(*nasbench101.to_matrix(arch)), arch)

    @parameterized.parameters(
        (np.eye(3, k=1), ["input", "output"], r"adjacency of shape \(3, 3\) and 2 operations"),
        (np.eye(8, k=1), ["input", *["maxpool3x3"] * 6, "output"], "n from 2 to 7"),
        (2 * np.eye(2, k=1), ["input", "output"], "zeros and ones"),
        (np.eye(3, k=1) + np.eye(3, k=-2), ["input", "maxpool3x3", "output"], "edge from vertex 2 to vertex 0"),
        (np.eye(3, k=1), ["maxpool3x3", "input", "output"], "begin with 'input'"),
        (np.eye(3, k=1), ["input", "conv5x5", "output"], "unknown operation 'conv5x5' at vertex 1"),
        (np.eye(4, k=2), ["input", "maxpool3x3", "maxpool3x3", "output"], "no path"),
        (np.triu(np.ones((5, 5)), k=1), ["input", *["maxpool3x3"] * 3, "output"], "10 edges after pruning"),
    )
    def test_says_what_is_wrong(self, adjacency, operations, message):
        with pytest.raises(ValueError, match=message):
            nasbench101.from_matrix(adjacency, operations)


class PublishedSampleTest(chex.TestCase):
    """500 cells of the benchmark as others drew and pruned them."""

    def setUp(self):
        super().setUp()
        default = pathlib.Path(__file__).parents[2].parent / "shared" / "data"
        path = pathlib.Path(os.environ.get("NAS_DATA_DIR", default)) / "nasbench101_sample" / "nasbench101_500.npz"
        if not path.exists():
            self.skipTest(f"no {path}; set NAS_DATA_DIR to the folder that holds it")
        self.data = np.load(path)
        self.names = ("input", "output", nasbench101.OPERATIONS[2], *nasbench101.OPERATIONS[:2])

    def test_our_pruning_and_theirs_agree(self):
        archs = []
        for i, size in enumerate(self.data["n_vertices"]):
            theirs = self.data["pruned_adjacency"][i, :size, :size]
            names = [self.names[operation] for operation in self.data["pruned_ops"][i, :size]]
            arch = nasbench101.from_matrix(self.data["adjacency"][i], [self.names[o] for o in self.data["ops"][i]])
            adjacency, operations = nasbench101.to_matrix(arch)
            np.testing.assert_array_equal(adjacency, theirs)
            assert operations == names
            archs.append(arch)
        archs = np.array(archs)
        assert jax.jit(SPACE.is_valid)(archs).all()
        # 301 differ as labelled graphs, nine of them only in how vertices are numbered.
        assert len(np.unique(jax.jit(nasbench101_encodings.lanas_features)(archs), axis=0)) == 301
        assert len(np.unique(jax.jit(SPACE.canonicalize)(archs), axis=0)) == 292
