"""Conversion between rows of search spaces and genotypes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from common import spaces
from common.genotypes import cell_rows, operations
from common.genotypes import genotype as genotypes
from common.genotypes.genotype import ChainGenotype, Genotype
from common.spaces import (
    convnet,
    nao_rnn,
    nasbench101,
    nasbench201,
    nasbench_macro,
    ofa_mobile,
    seminas_mobile,
    small_images,
)

_MACRO_STAGES = (2, 3, 3)
_ALL_NODES = tuple(range(1, nao_rnn.NUM_NODES + 1))
_MAX_VERTICES = 100


class _Converter(NamedTuple):
    """Functions of one space between valid rows (L,) and genotypes of one kind."""

    kind: type
    from_row: Callable[[np.ndarray], Genotype]
    to_row: Callable[[Genotype], np.ndarray]


def from_arch(space: str, arch: np.ndarray | Sequence[int]) -> Genotype:
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
        raise ValueError(f"{row.tolist()} is not valid in {space}; see its `is_valid`")
    return from_valid_arch(space, row)


def from_valid_arch(space: str, arch: np.ndarray) -> Genotype:
    """Returns the genotype of a row that is known to be valid, without checks and without JAX."""
    return _CONVERTERS[space].from_row(np.asarray(arch))


def to_arch(genotype: Genotype, space: str) -> np.ndarray:
    """Returns int32[L], the row of a genotype in the space called `space`.

    The row of a cell need not be canonical, as branches keep their order; that of a chain is.

    Raises:
      ValueError: the space is unknown or does not contain the genotype; the message says where and why.
    """
    converter = _CONVERTERS[spaces.get(space).name]
    genotypes.check_kind(genotype, converter.kind, space)
    return converter.to_row(genotype)


def _from_recurrent(row):
    nodes = row.reshape(nao_rnn.NUM_NODES, 2).tolist()
    made = tuple(genotypes.RecurrentNode(nao_rnn.ACTIVATIONS[activation], state) for state, activation in nodes)
    return genotypes.RecurrentGenotype(made, _ALL_NODES)


def _to_recurrent(genotype):
    if len(genotype.nodes) != nao_rnn.NUM_NODES:
        raise ValueError(f"nao_rnn: the cell has {len(genotype.nodes)} nodes; in this space it has {nao_rnn.NUM_NODES}")
    if genotype.output != _ALL_NODES:
        raise ValueError(f"nao_rnn: the cell outputs states {genotype.output}; in this space all its nodes")
    row = []
    for at, node in enumerate(genotype.nodes, start=1):
        name = operations.check(node.activation, nao_rnn.ACTIVATIONS, f"nao_rnn: node {at}")
        row += [node.state, nao_rnn.ACTIVATIONS.index(name)]
    return np.array(row, np.int32)


def _from_vertices(row):
    adjacency, names = nasbench101.to_matrix(row)
    return genotypes.GraphGenotype(tuple(names), tuple(map(tuple, np.argwhere(adjacency).tolist())))


def _to_vertices(genotype):
    size = len(genotype.operations)
    if size > _MAX_VERTICES:
        raise ValueError(f"nasbench101: {size} vertices; at most {_MAX_VERTICES} are read, which pruning reduces to 7")
    adjacency = np.zeros((size, size), int)
    for source, target in genotype.edges:
        if not (0 <= source < size and 0 <= target < size):
            raise ValueError(f"nasbench101: edge from {source} to {target}; the vertices are 0 to {size - 1}")
        adjacency[source, target] = 1
    return nasbench101.from_matrix(adjacency, genotype.operations)


def _from_edges(row):
    chosen = zip(nasbench201.EDGES, row.tolist(), strict=True)
    return genotypes.EdgeGenotype(4, tuple((*edge, nasbench201.OPERATIONS[operation]) for edge, operation in chosen))


def _to_edges(genotype):
    found = {(source, target): name for source, target, name in genotype.edges}
    if genotype.num_states != 4 or len(found) != len(genotype.edges) or set(found) != set(nasbench201.EDGES):
        raise ValueError(
            f"nasbench201: {genotype.num_states} states and the edges {sorted(found)}; cells of this space have 4 "
            f"states and once each of the edges {sorted(nasbench201.EDGES)}"
        )
    row = []
    for source, target in nasbench201.EDGES:
        place = f"nasbench201: edge {source} to {target}"
        name = operations.check(found[source, target], nasbench201.OPERATIONS, place)
        row.append(nasbench201.OPERATIONS.index(name))
    return np.array(row, np.int32)


def _from_convnet(row):
    return ChainGenotype((tuple(convnet.describe(row).split()),))


def _to_convnet(genotype):
    (blocks,) = _stages("convnet", genotype, convnet.LAYERS, [range(1, convnet.MAX_DEPTH + 1)])
    return np.array([kind + 1 for kind in blocks] + [0] * (convnet.MAX_DEPTH - len(blocks)), np.int32)


def _from_macro(row):
    stages = np.split(row, np.cumsum(_MACRO_STAGES)[:-1])
    return ChainGenotype(tuple(tuple(nasbench_macro.CHOICES[choice] for choice in stage) for stage in stages))


def _to_macro(genotype):
    depths = [range(depth, depth + 1) for depth in _MACRO_STAGES]
    stages = _stages("nasbench_macro", genotype, nasbench_macro.CHOICES, depths)
    return np.concatenate(stages).astype(np.int32)


def _from_seminas(row):
    stages = np.split(row, np.cumsum(seminas_mobile.STAGES)[:-1])
    kept = (stage[stage != seminas_mobile.ZERO] for stage in stages)
    return ChainGenotype(tuple(tuple(seminas_mobile.OPERATIONS[block] for block in stage) for stage in kept))


def _to_seminas(genotype):
    depths = [range(1, depth + 1) for depth in seminas_mobile.STAGES]
    blocks = seminas_mobile.OPERATIONS[: seminas_mobile.ZERO]
    stages = _stages("seminas_mobile", genotype, blocks, depths)
    padded = [stage + [seminas_mobile.ZERO] * (n - len(stage)) for stage, n in zip(stages, seminas_mobile.STAGES)]
    return np.concatenate(padded).astype(np.int32)


def _from_ofa(row):
    resolution, stages = ofa_mobile.to_stages(row)
    return ChainGenotype(stages, resolution)


def _to_ofa(genotype):
    if genotype.resolution not in ofa_mobile.RESOLUTIONS:
        allowed = f"{ofa_mobile.RESOLUTIONS[0]} to {ofa_mobile.RESOLUTIONS[-1]} in steps of 4"
        raise ValueError(f"ofa_mobile: resolution is {genotype.resolution}; allowed are {allowed}")
    pairs = [(kernel, expansion) for kernel in range(3) for expansion in range(3)]
    names = [f"mb{ofa_mobile.EXPANSIONS[expansion]}_k{ofa_mobile.KERNELS[kernel]}" for kernel, expansion in pairs]
    depths = [range(ofa_mobile.DEPTHS[0], ofa_mobile.DEPTHS[-1] + 1)] * ofa_mobile.NUM_STAGES
    row = [ofa_mobile.RESOLUTIONS.index(genotype.resolution)]
    for stage in _stages("ofa_mobile", genotype, names, depths):
        row.append(ofa_mobile.DEPTHS.index(len(stage)))
        for block in stage + [0] * (ofa_mobile.MAX_DEPTH - len(stage)):
            row += pairs[block]
    return np.array(row, np.int32)


def _from_small(row):
    return ChainGenotype(small_images.to_stages(row))


def _to_small(genotype):
    rows = np.array(list(np.ndindex(small_images.STAGE_CHOICES)), np.int32)
    rows = rows[
        np.all(small_images.canonicalize(np.tile(rows, small_images.NUM_STAGES))[:, : rows.shape[1]] == rows, axis=1)
    ]
    known = {small_images.stage_names(small_images.Stages(*row)): row for row in rows.tolist()}
    found = []
    for at, stage in enumerate(genotype.stages):
        if stage not in known:
            example = " ".join(small_images.to_stages(np.array(small_images.MEMBERS["mobilenet"]))[0])
            raise ValueError(
                f"small_images: stage {at} is {' '.join(stage)!r}; a stage is a convolution and up to "
                f"{small_images.MAX_DEPTH} equal blocks, such as {example!r}"
            )
        found += known[stage]
    if len(genotype.stages) != small_images.NUM_STAGES:
        raise ValueError(f"small_images: {len(genotype.stages)} stages; networks of this space have 3")
    return np.array(found, np.int32)


def _stages(space: str, genotype: ChainGenotype, names: Sequence[str], depths: Sequence[range]) -> list[list[int]]:
    """Returns the blocks of each stage as indices into `names`; raises unless names and depths are allowed."""
    if len(genotype.stages) != len(depths):
        raise ValueError(f"{space}: {len(genotype.stages)} stages; networks of this space have {len(depths)}")
    stages = []
    for at, (stage, allowed) in enumerate(zip(genotype.stages, depths, strict=True)):
        if len(stage) not in allowed:
            raise ValueError(f"{space}: stage {at} has {len(stage)} blocks; allowed are {allowed[0]} to {allowed[-1]}")
        places = (f"{space}: stage {at}, block {block}" for block in range(len(stage)))
        stages.append([names.index(operations.check(name, names, place)) for name, place in zip(stage, places)])
    return stages


def _cells(space):
    return _Converter(
        genotypes.CellGenotype,
        lambda row: cell_rows.from_row(space, row),
        lambda genotype: cell_rows.to_row(space, genotype),
    )


_CONVERTERS = {
    **{space: _cells(space) for space in cell_rows.LAYOUTS},
    "convnet": _Converter(ChainGenotype, _from_convnet, _to_convnet),
    "nao_rnn": _Converter(genotypes.RecurrentGenotype, _from_recurrent, _to_recurrent),
    "nasbench101": _Converter(genotypes.GraphGenotype, _from_vertices, _to_vertices),
    "nasbench201": _Converter(genotypes.EdgeGenotype, _from_edges, _to_edges),
    "nasbench_macro": _Converter(ChainGenotype, _from_macro, _to_macro),
    "ofa_mobile": _Converter(ChainGenotype, _from_ofa, _to_ofa),
    "seminas_mobile": _Converter(ChainGenotype, _from_seminas, _to_seminas),
    "small_images": _Converter(ChainGenotype, _from_small, _to_small),
}
