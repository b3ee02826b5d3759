"""Rows of every space to genotypes and formats and back, and conversions that are rejected."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.genotypes import conversion, formats, genotype
from common.genotypes.genotype import Branch, ChainGenotype, EdgeGenotype, GraphGenotype

NUM_ROWS = 10
# Chains leave out what is not there, and the graphs of NAS-Bench-101 are pruned: only canonical rows come back.
IS_CANONICAL = {"convnet", "nasbench101", "ofa_mobile", "seminas_mobile", "small_images"}


@functools.cache
def rows(space):
    """Valid rows of a space, canonical where there is but one genotype of several rows."""
    found = spaces.get(space)
    raw = np.random.default_rng(3).integers(0, found.num_choices, (20 * NUM_ROWS, len(found.num_choices)))
    raw = raw.astype(np.int32)[np.asarray(jax.jit(found.is_valid)(raw.astype(np.int32)))][:NUM_ROWS]
    assert len(raw) == NUM_ROWS
    return np.asarray(jax.jit(found.canonicalize)(raw)) if space in IS_CANONICAL else raw


def same_network(space, one, other):
    """Whether two rows are one network."""
    canonical = np.asarray(spaces.get(space).canonicalize(np.stack([one, other])))
    return np.array_equal(*canonical)


class EverySpaceTest(parameterized.TestCase):
    @parameterized.parameters(*spaces.SPACES)
    def test_rows_lead_back(self, space):
        for row in rows(space):
            made = conversion.from_arch(space, row)
            back = conversion.to_arch(made, space)
            assert back.dtype == np.int32
            if space == "nasbench101":  # vertices keep their order, and missing ones go to the end
                assert same_network(space, back, row)
            else:
                np.testing.assert_array_equal(back, row)
            assert hash(made) == hash(conversion.from_arch(space, back))
        for name in ("json", f"{space}_row", f"{space}_tokens"):
            assert formats.get(name).read(formats.get(name).write(made)) == made

    @parameterized.parameters(
        *(("nao_small", "nao_small"), ("nao_middle", "nao_middle"), ("nao_large", "nao_large")),
        *(("nao_large_from_5", "nao_large"), ("nao_json", "nao_large"), ("nao_json", "nao_small")),
        *(("nao_rnn", "nao_rnn"), ("nao_ws_rnn", "nao_rnn"), ("darts_rnn", "nao_rnn")),
        *(("lanas_cell", "lanas_cell"), ("darts", "lanas_cell"), ("darts", "lanas_oneshot")),
        *(("seminas_mobile", "seminas_mobile"), ("ofa_mobile", "ofa_mobile")),
        *(("nasbench101", "nasbench101"), ("nasbench201", "nasbench201"), ("nasbench_macro", "nasbench_macro")),
    )
    def test_published_formats(self, name, space):
        form = formats.get(name)
        for row in rows(space):
            made = conversion.from_arch(space, row)
            text = form.write(made)
            assert (form.read(text), form.write(form.read(text))) == (made, text)

    def test_masks_lead_back_but_for_the_order_of_branches(self):
        form = formats.get("lanas_mask")
        for row in rows("lanas_oneshot"):
            text = form.write(conversion.from_arch("lanas_oneshot", row))
            assert same_network("lanas_oneshot", conversion.to_arch(form.read(text), "lanas_oneshot"), row)
            assert form.write(form.read(text)) == text

    @parameterized.parameters(
        ("nasbench201", np.zeros(5, int), r"nasbench201 is 6 integers; got int64 of shape \(5,\)"),
        ("nasbench201", np.zeros(6), "integers; got float64"),
        ("nasbench201", np.array([0, 0, 0, 0, 0, 5]), r"decision 5 .*nasbench201 is 5; allowed are 0 to 4"),
        ("lanas_oneshot", np.zeros(40, int), "is not valid in lanas_oneshot"),
    )
    def test_invalid_rows(self, space, row, message):
        with pytest.raises(ValueError, match=message):
            conversion.from_arch(space, row)


class OutputTest(parameterized.TestCase):
    """Outputs of cells by hand: unread inputs are dropped in one case only."""

    nodes = tuple((Branch("sep_conv_3x3", 1), Branch("max_pool_3x3", 1)) for _ in range(7))

    def test_by_hand(self):
        made = conversion.from_arch("nao_small", np.tile([1, 0], 20))
        assert made.normal.output == made.reduction.output == (0, 2, 3, 4, 5, 6)
        made = conversion.from_arch("lanas_cell", np.array([0, 1] * 7 + [1] * 14))
        assert made.normal == genotype.Cell(self.nodes, (0, *range(2, 9)))
        assert made.reduction == genotype.Cell(self.nodes, tuple(range(2, 9)))
        made = conversion.from_arch("lanas_oneshot", rows("lanas_oneshot")[0])
        assert made.normal.output == made.reduction.output == (2, 3, 4, 5, 6)


def changed(made, node, branch, operation, state=None):
    """Returns a genotype with another branch in its reduction cell, by default of the same state."""
    nodes = [list(branches) for branches in made.reduction.nodes]
    nodes[node][branch] = Branch(operation, nodes[node][branch].state if state is None else state)
    cell = genotype.Cell(tuple(map(tuple, nodes)), made.reduction.output)
    return dataclasses.replace(made, reduction=cell)


class RejectionTest(parameterized.TestCase):
    def test_names_of_the_same_meaning(self):
        made = conversion.from_arch("nao_small", rows("nao_small")[0])
        identity, skip = (changed(made, 3, 1, name) for name in ("identity", "skip_connect"))
        np.testing.assert_array_equal(conversion.to_arch(identity, "nao_small"), conversion.to_arch(skip, "nao_small"))

    def test_cells(self):
        nao, lanas, shared = (
            conversion.from_arch(space, rows(space)[0]) for space in ("nao_small", "lanas_cell", "lanas_oneshot")
        )
        wide = genotype.Cell(((Branch("identity", 0),),) * 5, (1, 2, 3, 4, 5, 6))
        other = "sep_conv_3x3" if lanas.reduction.nodes[6][0].operation != "sep_conv_3x3" else "sep_conv_5x5"
        for made, space, message in (
            (changed(nao, 3, 1, "conv_1x1"), "nao_small", "reduction cell, node 3, branch 1: unknown operation"),
            (lanas, "nao_small", "nao_small: the normal cell has 7 nodes; in this space 5"),
            (lanas, "nao_rnn", "nao_rnn is for a recurrent cell; got a normal and a reduction cell"),
            (genotype.CellGenotype(wide, wide), "nao_small", "normal cell, node 0 has 1 branches; in this space it"),
            (changed(lanas, 6, 0, other), "lanas_cell", "lanas_cell: node 6 of the two cells differs"),
            (
                dataclasses.replace(nao, normal=genotype.Cell(nao.normal.nodes, (6,))),
                "nao_small",
                r"outputs states \(6,\);",
            ),
            (changed(shared, 2, 0, *shared.reduction.nodes[2][1]), "lanas_oneshot", "cell, node 2 has .* twice"),
        ):
            with pytest.raises(ValueError, match=message):
                conversion.to_arch(made, space)

    @parameterized.parameters(
        (ChainGenotype((("mb3_k3",),) * 6), "seminas_mobile", None),
        (ChainGenotype((("mb3_k3",), (), *[("mb3_k3",)] * 4)), "seminas_mobile", "stage 1 has 0 blocks.* 1 to 4"),
        (ChainGenotype((("mb3_k3", "mb4_k3"), *[("mb3_k3",)] * 5)), "seminas_mobile", "stage 0, block 1: unknown"),
        (ChainGenotype((("mb3_k3",) * 2,) * 5, 132), "ofa_mobile", None),
        (GraphGenotype(("input", "output"), ((1, 0),)), "nasbench101", "an edge from vertex 1 to vertex 0"),
        (GraphGenotype(("input", "output"), ((0, 2),)), "nasbench101", "edge from 0 to 2; the vertices are 0 to 1"),
        (GraphGenotype(("input", *["maxpool3x3"] * 99, "output"), ()), "nasbench101", "101 vertices; at most 100"),
        (EdgeGenotype(4, ((0, 1, "none"),)), "nasbench201", "cells of this space have 4 states and once each"),
    )
    def test_chains_and_graphs(self, made, space, message):
        if message is None:
            row = conversion.to_arch(made, space)
            assert conversion.from_arch(space, row) == made
            return
        with pytest.raises(ValueError, match=message):
            conversion.to_arch(made, space)
