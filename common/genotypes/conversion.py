"""Rows of search spaces as genotypes, and back."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from common import spaces
from common.genotypes import cell_rows, chain_rows, operations
from common.genotypes.genotype import (
    CellGenotype,
    ChainGenotype,
    EdgeGenotype,
    Genotype,
    GraphGenotype,
    RecurrentGenotype,
    RecurrentNode,
)
from common.spaces import nao_rnn, nasbench101, nasbench201


class _Converter(NamedTuple):
    """Functions of one space: of rows (L,) that are valid, and of genotypes of one kind."""

    kind: type
    from_row: Callable[[np.ndarray], Genotype]
    to_row: Callable[[Genotype], np.ndarray]


def from_arch(space: str, arch: np.ndarray) -> Genotype:
    """Returns the genotype of one row (L,) of the space called `space`; the row need not be canonical.

    Raises:
      ValueError: the space is unknown, or the row is no architecture of it.
    """
    found, row = spaces.get(space), np.asarray(arch)
    if row.shape != (len(found.num_choices),) or not np.issubdtype(row.dtype, np.integer):
        raise ValueError(
            f"an architecture of {space} is {len(found.num_choices)} integers; got {row.dtype} of shape {row.shape}"
        )
    for at, (choice, choices) in enumerate(zip(row.tolist(), found.num_choices, strict=True)):
        if not 0 <= choice < choices:
            raise ValueError(f"decision {at} of an architecture of {space} is {choice}; allowed are 0 to {choices - 1}")
    row = row.astype(np.int32)
    if not bool(found.is_valid(row[None])[0]):
        raise ValueError(f"{row.tolist()} is not valid in {space}; its `is_valid` tells which rows are")
    return from_valid_arch(space, row)


def from_valid_arch(space: str, arch: np.ndarray) -> Genotype:
    """Returns what `from_arch` does, of a row known to be valid: without a look, and without JAX."""
    return _CONVERTERS[space].from_row(np.asarray(arch))


def to_arch(genotype: Genotype, space: str) -> np.ndarray:
    """Returns int32[L], the row of a genotype in the space called `space`.

    Branches keep their order, so the row of a cell need not be canonical; of chains it is. Operations that
    mean the same count as the same.

    Raises:
      ValueError: the space is unknown or does not hold the genotype; the text says where and why.
    """
    converter = _CONVERTERS[spaces.get(space).name]
    if not isinstance(genotype, converter.kind):
        raise ValueError(f"{space} holds a {converter.kind.__name__}; got a {type(genotype).__name__}")
    return converter.to_row(genotype)


def _from_recurrent(row):
    nodes = row.reshape(nao_rnn.NUM_NODES, 2).tolist()
    made = tuple(RecurrentNode(nao_rnn.ACTIVATIONS[activation], state) for state, activation in nodes)
    return RecurrentGenotype(made, tuple(range(1, nao_rnn.NUM_NODES + 1)))


def _to_recurrent(genotype):
    if len(genotype.nodes) != nao_rnn.NUM_NODES:
        raise ValueError(f"nao_rnn: the cell has {len(genotype.nodes)} nodes; in this space it has {nao_rnn.NUM_NODES}")
    if genotype.output != tuple(range(1, nao_rnn.NUM_NODES + 1)):
        raise ValueError(f"nao_rnn: the cell puts out states {genotype.output}; in this space it is all its nodes")
    row = []
    for at, node in enumerate(genotype.nodes, start=1):
        name = operations.check(node.activation, nao_rnn.ACTIVATIONS, f"nao_rnn: node {at}")
        row += [node.state, nao_rnn.ACTIVATIONS.index(name)]
    return np.array(row, np.int32)


def _from_vertices(row):
    adjacency, names = nasbench101.to_matrix(row)
    return GraphGenotype(tuple(names), tuple(map(tuple, np.argwhere(adjacency).tolist())))


def _to_vertices(genotype):
    size = len(genotype.operations)
    adjacency = np.zeros((size, size), int)
    for source, target in genotype.edges:
        if not (0 <= source < size and 0 <= target < size):
            raise ValueError(f"nasbench101: edge from {source} to {target}; the vertices are 0 to {size - 1}")
        adjacency[source, target] = 1
    return nasbench101.from_matrix(adjacency, genotype.operations)


def _from_edges(row):
    chosen = (nasbench201.OPERATIONS[operation] for operation in row.tolist())
    return EdgeGenotype(4, tuple((*edge, name) for edge, name in zip(nasbench201.EDGES, chosen, strict=True)))


def _to_edges(genotype):
    found = {(source, target): name for source, target, name in genotype.edges}
    if genotype.num_states != 4 or len(found) != len(genotype.edges) or set(found) != set(nasbench201.EDGES):
        raise ValueError(
            f"nasbench201: {genotype.num_states} states and the edges {sorted(found)}; cells of this space have 4 "
            f"states and once each of the edges {sorted(nasbench201.EDGES)}"
        )
    names = [
        operations.check(found[s, t], nasbench201.OPERATIONS, f"nasbench201: edge {s} to {t}")
        for s, t in nasbench201.EDGES
    ]
    return np.array([nasbench201.OPERATIONS.index(name) for name in names], np.int32)


def _cells(space):
    return _Converter(
        CellGenotype, functools.partial(cell_rows.from_row, space), functools.partial(cell_rows.to_row, space)
    )


_CONVERTERS = {
    **{space: _cells(space) for space in cell_rows.LAYOUTS},
    "convnet": _Converter(ChainGenotype, chain_rows.from_convnet, chain_rows.to_convnet),
    "nao_rnn": _Converter(RecurrentGenotype, _from_recurrent, _to_recurrent),
    "nasbench101": _Converter(GraphGenotype, _from_vertices, _to_vertices),
    "nasbench201": _Converter(EdgeGenotype, _from_edges, _to_edges),
    "nasbench_macro": _Converter(ChainGenotype, chain_rows.from_macro, chain_rows.to_macro),
    "ofa_mobile": _Converter(ChainGenotype, chain_rows.from_ofa, chain_rows.to_ofa),
    "seminas_mobile": _Converter(ChainGenotype, chain_rows.from_seminas, chain_rows.to_seminas),
}
