"""Genotypes as graphs to be drawn: vertices with operations, each of which reads earlier vertices."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from common.drawing import lettering, palette
from common.genotypes import genotype as genotypes


class Operation(NamedTuple):
    """A box with a word in it, and the vertices that it reads."""

    text: str
    kind: palette.Kind
    reads: tuple[int, ...] = ()  # in rising order; several are spread along the side of the box
    subscript: str = ""  # smaller letters after the word
    badge: str = ""  # a number before the word
    details: str = ""  # a line in smaller letters below it


@dataclasses.dataclass(frozen=True)
class Vertex:
    """Operations that are added up, or a single one."""

    operations: tuple[Operation, ...]  # shown on top of each other, in whatever order has fewer crossings
    number: str | None = None  # of the node, shown at the sum; None: a single operation without a frame


@dataclasses.dataclass(frozen=True)
class Graph:
    """A graph to be drawn from left to right."""

    caption: str  # a line above it; may be empty
    vertices: tuple[Vertex, ...]  # each reads only vertices before it
    columns: tuple[int, ...] = ()  # of a chain, the number of vertices in each of its columns; else empty
    headings: tuple[str, ...] = ()  # a line above each of these columns


def graphs(genotype: genotypes.Genotype | genotypes.Cell) -> list[Graph]:
    """Returns the graphs of a genotype: two of a pair of different cells, else one; or raises a `ValueError`."""
    match genotype:
        case genotypes.CellGenotype(normal, reduction) if normal == reduction:
            return [_cell(normal, "normal and reduction cell")]
        case genotypes.CellGenotype(normal, reduction):
            return [_cell(normal, "normal cell"), _cell(reduction, "reduction cell")]
        case genotypes.Cell():
            return [_cell(genotype, "")]
        case genotypes.RecurrentGenotype():
            return [_recurrent(genotype)]
        case genotypes.ChainGenotype():
            return [_chain(genotype)]
        case genotypes.GraphGenotype():
            return [_labelled_vertices(genotype)]
        case genotypes.EdgeGenotype():
            return [_labelled_edges(genotype)]
    raise ValueError(f"can draw genotypes and cells; got {genotype!r}, a {type(genotype).__name__}")


def _cell(cell: genotypes.Cell, caption: str) -> Graph:
    """A node is one vertex, the concatenation of the output another."""
    vertices = [_state("c", f"k{lettering.MINUS}2"), _state("c", f"k{lettering.MINUS}1")]
    for number, branches in enumerate(cell.nodes):
        operations = (_operation(branch.operation, (branch.state,)) for branch in branches)
        vertices.append(Vertex(tuple(operations), str(number)))
    return Graph(caption, (*vertices, *_joined("concat", cell.output, "c", "k", len(vertices))))


def _recurrent(genotype: genotypes.RecurrentGenotype) -> Graph:
    """Vertices 0 and 1 are the inputs of the cell, 2 its first state, i + 2 node i."""
    vertices = [_state("x", "t"), _state("h", f"t{lettering.MINUS}1")]
    vertices.append(Vertex((Operation("0", palette.STATE, (0, 1)),)))
    for number, (activation, state) in enumerate(genotype.nodes, start=1):
        vertices.append(Vertex((_operation(activation, (state + 2,))._replace(badge=str(number)),)))
    output = tuple(state + 2 for state in genotype.output)
    return Graph("", (*vertices, *_joined("mean", output, "h", "t", len(vertices))))


def _chain(genotype: genotypes.ChainGenotype) -> Graph:
    """One column for each stage that has blocks."""
    names = list(itertools.chain.from_iterable(genotype.stages))
    vertices = (Vertex((_operation(name, (at - 1,) if at else ()),)) for at, name in enumerate(names))
    stages = [(f"stage {at}", len(blocks)) for at, blocks in enumerate(genotype.stages, start=1) if blocks]
    size = genotype.resolution
    caption = f"images of {size} {lettering.TIMES} {size} pixels" if size else ""
    return Graph(caption, tuple(vertices), tuple(blocks for _, blocks in stages), tuple(name for name, _ in stages))


def _labelled_vertices(genotype: genotypes.GraphGenotype) -> Graph:
    """Operations at vertices stay there."""
    last = len(genotype.operations) - 1
    reads = _sources(genotype.edges, last + 1)
    vertices = []
    for at, (name, sources) in enumerate(zip(genotype.operations, reads, strict=True)):
        kind = palette.STATE if at in (0, last) else palette.kind(name)
        vertices.append(Vertex((Operation(lettering.display(name), kind, tuple(sorted(sources))),)))
    return Graph("", tuple(vertices))


def _labelled_edges(genotype: genotypes.EdgeGenotype) -> Graph:
    """An operation at an edge becomes a vertex between its ends."""
    vertices, states = [], []
    for state, edges in enumerate(_sources(genotype.edges, genotype.num_states)):
        reads = []
        for source, name in edges:
            vertices.append(Vertex((_operation(name, (states[source],)),)))
            reads.append(len(vertices) - 1)
        name = {0: "input", genotype.num_states - 1: "output"}.get(state, str(state))
        vertices.append(Vertex((Operation(name, palette.STATE, tuple(reads)),)))
        states.append(len(vertices) - 1)
    return Graph("", tuple(vertices))


def _joined(how: str, reads: tuple[int, ...], result: str, subscript: str, size: int) -> tuple[Vertex, ...]:
    """Returns the last vertices of a graph of `size` others: the join, if there are several to join, and the result."""
    if len(reads) == 1:
        return (_state(result, subscript, reads),)
    return Vertex((Operation(how, palette.STATE, reads),)), _state(result, subscript, (size,))


def _sources(edges: Sequence[tuple], size: int) -> list[dict[Any, None]]:
    """Returns the edges into each vertex without their targets, if they lead forward between `size` vertices."""
    sources: list[dict[Any, None]] = [{} for _ in range(size)]
    for source, target, *name in edges:
        if not 0 <= source < target < size:
            raise ValueError(f"an edge leads from {source} to {target}; allowed are 0 <= from < to <= {size - 1}")
        sources[target][(source, *name) if name else source] = None
    return sources


def _operation(name: str, reads: tuple[int, ...]) -> Operation:
    word, details = lettering.block(name)
    return Operation(word or lettering.display(name), palette.kind(name), reads, details=details)


def _state(name: str, subscript: str, reads: tuple[int, ...] = ()) -> Vertex:
    return Vertex((Operation(name, palette.STATE, reads, subscript),))
