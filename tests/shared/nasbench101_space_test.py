import itertools
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
BATCH = 1024


def batched(function):
    """Compiled once, whatever the number of rows: applied to batches of one size."""
    compiled = jax.jit(function)

    def run(archs):
        padding = np.repeat(archs[-1:], -len(archs) % BATCH, axis=0)
        parts = [compiled(part) for part in np.concatenate([archs, padding]).reshape(-1, BATCH, 26)]
        return jax.tree.map(lambda *parts: np.concatenate(parts)[: len(archs)], *parts)

    return run


CANONICALIZE = batched(SPACE.canonicalize)
IS_VALID = batched(SPACE.is_valid)
# The cell that the LaNAS authors print in their code, vertices numbered as they do.
LANAS_EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (0, 6), (1, 4), (2, 3), (3, 4), (4, 6))


def row(edges, operations=(0, 0, 0, 0, 0)):
    return np.array([edge in edges for edge in nasbench101_graphs.EDGES] + list(operations), np.int32)


def random_rows(seed, count):
    """Uniform valid rows, not canonical."""
    archs = np.random.default_rng(seed).integers(0, SPACE.num_choices, (2 * count, 26)).astype(np.int32)
    return archs[IS_VALID(archs)][:count]


class EnumerationTest(chex.TestCase):
    def test_lists_the_published_number_of_networks_by_size(self):
        listed = SPACE.enumerate()
        chex.assert_shape(listed, (423_624, 26))
        assert (listed.dtype, SPACE.size) == (np.int32, len(listed))
        num_vertices = nasbench101_graphs.is_kept(listed[:, :21]).sum(axis=1)
        assert np.bincount(num_vertices).tolist() == [0, 0, 1, 6, 84, 2441, 62010, 359082]
        assert listed[:, :21].sum(axis=1).max() == 9

        assert SPACE.enumerate() is listed
        with pytest.raises(ValueError, match="read-only"):
            listed[0, 0] = 1
        kept = nasbench101_graphs.is_kept(listed[:, :21])[:, 1:-1]
        assert not (~kept[:, :-1] & kept[:, 1:]).any(), "missing vertices are last"


class CanonicalTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_a_cell_by_hand(self):
        # Only the order 2, 3, 1, 4 of its vertices gives an edge from the new 1 to the new 2.
        archs = row(LANAS_EDGES, (CONV3X3, CONV1X1, MAXPOOL, CONV3X3, MAXPOOL))
        expected = row(
            ((0, 1), (0, 2), (0, 3), (0, 4), (0, 6), (1, 2), (2, 4), (3, 4), (4, 6)),
            (CONV1X1, MAXPOOL, CONV3X3, CONV3X3, 0),
        )
        np.testing.assert_array_equal(self.variant(nasbench101_graphs.canonicalize)(archs[None])[0], expected)

    def test_networks_of_up_to_five_vertices_against_brute_force(self):
        """Two labelled cells get one row exactly where some renumbering makes them equal."""
        for size, num_networks in ((2, 1), (3, 6), (4, 84), (5, 2441)):
            vertices = (*range(size - 1), 6)
            pairs = list(itertools.combinations(vertices, 2))
            orders = [dict(zip(vertices, (0, *p, 6))) for p in itertools.permutations(vertices[1:-1])]
            archs, names = [], []
            for bits in itertools.product((0, 1), repeat=len(pairs)):
                edges = [pair for pair, bit in zip(pairs, bits) if bit]
                # With forward edges, all vertices are on a path if each has an edge in and one out.
                ends = {u for u, _ in edges}, {v for _, v in edges}
                if len(edges) > 9 or ends != (set(vertices[:-1]), set(vertices[1:])):
                    continue
                for operations in itertools.product(range(3), repeat=size - 2):
                    archs.append(row(edges, operations + (0,) * (7 - size)))
                    labels = list(zip(vertices[1:-1], operations))
                    forms = (
                        (sorted((to[u], to[v]) for u, v in edges), sorted((to[v], o) for v, o in labels))
                        for to in orders
                    )
                    names.append(str(min(forms)))
            canonical = [arch.tobytes() for arch in CANONICALIZE(np.array(archs))]
            assert len(set(names)) == len(set(canonical)) == len(set(zip(names, canonical))) == num_networks

    def test_ignores_what_pruning_drops(self):
        archs = random_rows(4, 2000)
        canonical = CANONICALIZE(archs)
        np.testing.assert_array_equal(nasbench101_graphs.prune(canonical), canonical)
        np.testing.assert_array_equal(CANONICALIZE(nasbench101_graphs.prune(archs)), canonical)
        dangling = row(((0, 3), (3, 6), (0, 1), (1, 2), (4, 6)), (MAXPOOL, CONV3X3, CONV3X3, MAXPOOL, CONV3X3))
        np.testing.assert_array_equal(CANONICALIZE(dangling[None])[0], row(((0, 1), (1, 6)), (CONV3X3, 0, 0, 0, 0)))


class ValidityTest(parameterized.TestCase):
    @parameterized.parameters(
        *((row(((0, 6),)), True), (row(()), False), (row(((0, 1), (1, 2), (3, 6))), False)),
        *((row(nasbench101_graphs.EDGES), False), (row(LANAS_EDGES), True), (row((*LANAS_EDGES, (1, 6))), False)),
        # Ten edges, but 5 leads nowhere: its two do not count.
        (row((*LANAS_EDGES[1:], (0, 5), (2, 5))), True),
        (row(((0, 6),), (0, 0, 3, 0, 0)), False),
        (np.full((26,), -1, np.int32), False),
    )
    def test_by_hand(self, arch, expected):
        assert bool(IS_VALID(arch[None])[0]) == expected


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
    def test_pruning_agrees_with_that_of_500_published_cells(self):
        default = pathlib.Path(__file__).parents[2].parent / "shared" / "data"
        path = pathlib.Path(os.environ.get("NAS_DATA_DIR", default)) / "nasbench101_sample" / "nasbench101_500.npz"
        if not path.exists():
            self.skipTest(f"no {path}; set NAS_DATA_DIR to the folder that holds it")
        data = np.load(path)
        all_names = ("input", "output", nasbench101.OPERATIONS[2], *nasbench101.OPERATIONS[:2])
        archs = []
        for i, size in enumerate(data["n_vertices"]):
            theirs = data["pruned_adjacency"][i, :size, :size]
            names = [all_names[operation] for operation in data["pruned_ops"][i, :size]]
            arch = nasbench101.from_matrix(data["adjacency"][i], [all_names[o] for o in data["ops"][i]])
            adjacency, operations = nasbench101.to_matrix(arch)
            np.testing.assert_array_equal(adjacency, theirs)
            assert operations == names
            archs.append(arch)
        archs = np.array(archs)
        assert jax.jit(SPACE.is_valid)(archs).all()
        # 301 differ as labelled graphs, nine of them only in how vertices are numbered.
        assert len(np.unique(jax.jit(nasbench101_encodings.lanas_features)(archs), axis=0)) == 301
        assert len(np.unique(jax.jit(SPACE.canonicalize)(archs), axis=0)) == 292
