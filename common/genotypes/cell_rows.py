"""Rows of the convolutional cell spaces as genotypes, and back.

The output of a cell is a rule of its space: in those of NAO all states that no branch reads, the inputs among them; in
that of distributed LaNAS too, but the reduction cell leaves the inputs out; in that of one-shot LaNAS all 5 nodes, as
in the stand-alone network.
"""

import chex
import numpy as np

from common.genotypes import operations
from common.genotypes.genotype import NUM_INPUTS, Branch, Cell, CellGenotype, loose_ends
from common.spaces import cells, lanas_cell, lanas_oneshot, nao_cnn

LAYOUTS = {
    **{name: nao_cnn.layout(name) for name in nao_cnn.OPERATIONS},
    "lanas_cell": lanas_cell.layout(),
    "lanas_oneshot": lanas_oneshot.layout(),
}
_SEARCHED = "searched"  # the one cell of distributed LaNAS, normal and reduction cell in one
_KINDS = ("normal", "reduction")


def from_row(space: str, row: np.ndarray) -> CellGenotype:
    """Returns the genotype of one valid row (L,)."""
    layout, made = LAYOUTS[space], {}
    pairs = dict(zip(layout.cells, cells.branches(layout, np.asarray(row)[None])[0].tolist(), strict=True))
    for kind in _KINDS:
        of_kind = pairs[_SEARCHED if _SEARCHED in pairs else kind]
        nodes = tuple(tuple(Branch(layout.operations[op], state) for state, op in node) for node in of_kind)
        made[kind] = Cell(nodes, _output(space, kind, nodes))
    return CellGenotype(**made)


def to_row(space: str, genotype: CellGenotype) -> np.ndarray:
    """Returns int32[L], the row of a genotype, branches in its order; a `ValueError` says why it has none."""
    layout = LAYOUTS[space]
    pairs = {kind: _pairs(space, kind, getattr(genotype, kind)) for kind in _KINDS}
    if layout.cells == (_SEARCHED,):
        for node, (normal, reduction) in enumerate(zip(*pairs.values(), strict=True)):
            if normal != reduction:
                raise ValueError(f"{space}: node {node} of the two cells differs, which are the same in this space")
        pairs[_SEARCHED] = pairs["normal"]
    return cells.from_branches(layout, np.array([[pairs[kind] for kind in layout.cells]], np.int32))[0]


def _output(space, kind, nodes):
    """Returns the states that a cell of these nodes outputs."""
    if space == "lanas_oneshot":
        return tuple(range(NUM_INPUTS, NUM_INPUTS + len(nodes)))
    first = NUM_INPUTS if (space, kind) == ("lanas_cell", "reduction") else 0
    return tuple(state for state in loose_ends(nodes) if state >= first)


def outputs(space: str, pairs: chex.Array) -> chex.Array:
    """Returns bool[B, 2, N + 2], the states that the normal and the reduction cell output.

    Args:
      space: a key of `LAYOUTS`.
      pairs: int[B, 2, N, 2, 2], see `cells.branches`, NumPy or JAX.
    """
    batch, num_cells, num_nodes = pairs.shape[:3]
    states = np.arange(num_nodes + NUM_INPUTS)
    is_node = np.broadcast_to(states >= NUM_INPUTS, (batch, num_cells, len(states)))
    if space == "lanas_oneshot":
        return is_node
    is_loose = ~(pairs[..., 0].reshape(batch, num_cells, -1, 1) == states[None, None, None]).any(axis=2)
    return is_loose & (is_node | (np.arange(2) == 0)[None, :, None]) if space == "lanas_cell" else is_loose


def _pairs(space, kind, cell):
    """Returns the (input, operation id) pairs of a cell by node; raises unless the space contains it."""
    layout = LAYOUTS[space]
    if len(cell.nodes) != layout.num_nodes:
        raise ValueError(f"{space}: the {kind} cell has {len(cell.nodes)} nodes; in this space {layout.num_nodes}")
    pairs = []
    for node, branches in enumerate(cell.nodes):
        place = f"{space}: {kind} cell, node {node}"
        if len(branches) != cells.NUM_BRANCHES:
            raise ValueError(f"{place} has {len(branches)} branches; in this space it has {cells.NUM_BRANCHES}")
        pairs.append([])
        for at, branch in enumerate(branches):
            name = operations.check(branch.operation, layout.operations, f"{place}, branch {at}")
            pairs[-1].append((branch.state, layout.operations.index(name)))
        if space == "lanas_oneshot" and pairs[-1][0] == pairs[-1][1]:
            raise ValueError(f"{place} has {name}({branches[0].state}) twice; in this space the two branches differ")
    output = _output(space, kind, cell.nodes)
    if cell.output != output:
        raise ValueError(f"{space}: the {kind} cell outputs states {cell.output}; in this space {output}")
    return pairs
