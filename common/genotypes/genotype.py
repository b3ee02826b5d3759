"""Architectures as plain records of operation names, from which networks, drawings, texts and rows are made.

Records are hashable, so they can be attributes of Flax modules and cache keys. They contain no widths or depths, which
belong to the network built from them.
"""

import dataclasses
from typing import NamedTuple

from common.file_formats import files

NUM_INPUTS = 2  # states 0 and 1 of a cell: the outputs of the cell before the previous one, and of the previous one


class Branch(NamedTuple):
    """One operation, such as `sep_conv_3x3`, applied to one state: 0 and 1 are the cell's inputs, i + 2 is node i."""

    operation: str
    state: int


@dataclasses.dataclass(frozen=True)
class Cell:
    """A convolutional cell: nodes that add up their branches.

    Attributes:
      nodes: of each node its branches, which read the cell's inputs and earlier nodes.
      output: the states that are concatenated to the cell's output, ascending.
    """

    nodes: tuple[tuple[Branch, ...], ...]
    output: tuple[int, ...]

    def __post_init__(self):
        faults = []
        for node, branches in enumerate(self.nodes):
            if not branches:
                faults.append(f"node {node} has no branches; each node adds up at least one")
            for at, branch in enumerate(branches):
                if not 0 <= branch.state < node + NUM_INPUTS:
                    allowed = f"allowed are 0 to {node + 1}, the states before its own"
                    faults.append(f"node {node}, branch {at} reads state {branch.state}; {allowed}")
        files.refuse(faults + _output_faults(self.output, len(self.nodes) + NUM_INPUTS - 1))


def loose_ends(nodes: tuple[tuple[Branch, ...], ...]) -> tuple[int, ...]:
    """Returns the states of a cell that no branch reads, ascending, the inputs 0 and 1 among them."""
    read = {branch.state for branches in nodes for branch in branches}
    return tuple(state for state in range(len(nodes) + NUM_INPUTS) if state not in read)


@dataclasses.dataclass(frozen=True)
class CellGenotype:
    """The two cells that a convolutional network stacks."""

    normal: Cell
    reduction: Cell


class RecurrentNode(NamedTuple):
    """A node of a recurrent cell: an activation of a state, 0 the cell's first one, i that of node i, from 1."""

    activation: str
    state: int


@dataclasses.dataclass(frozen=True)
class RecurrentGenotype:
    """A recurrent cell.

    Attributes:
      nodes: node 1, 2, ..., each of which reads an earlier state.
      output: the states whose mean is the cell's output, ascending.
    """

    nodes: tuple[RecurrentNode, ...]
    output: tuple[int, ...]

    def __post_init__(self):
        faults = [
            f"node {at} reads state {node.state}; allowed are 0 to {at - 1}, the states before it"
            for at, node in enumerate(self.nodes, start=1)
            if not 0 <= node.state < at
        ]
        files.refuse(faults + _output_faults(self.output, len(self.nodes)))


@dataclasses.dataclass(frozen=True)
class ChainGenotype:
    """A network that is a chain of blocks, such as a mobile network of inverted residuals.

    Attributes:
      stages: the names of the blocks of each stage, such as `mb6_k5`, without those that are skipped.
      resolution: height and width of the images in pixels, or None if the genotype does not fix them.
    """

    stages: tuple[tuple[str, ...], ...]
    resolution: int | None = None


@dataclasses.dataclass(frozen=True)
class GraphGenotype:
    """A cell with operations at the vertices of a graph, as in NAS-Bench-101.

    Attributes:
      operations: of each vertex its name; the first is `input`, the last `output`.
      edges: (from, to) pairs of vertices, from < to, ascending.
    """

    operations: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class EdgeGenotype:
    """A cell with operations at the edges of a graph, as in NAS-Bench-201.

    Attributes:
      num_states: states of the cell; 0 is its input, the last one its output.
      edges: (from, to, operation), from < to, in the order of the published text.
    """

    num_states: int
    edges: tuple[tuple[int, int, str], ...]


Genotype = CellGenotype | RecurrentGenotype | ChainGenotype | GraphGenotype | EdgeGenotype

_KINDS = {
    CellGenotype: "a normal and a reduction cell",
    RecurrentGenotype: "a recurrent cell",
    ChainGenotype: "a chain of blocks",
    GraphGenotype: "a cell with operations at vertices",
    EdgeGenotype: "a cell with operations at edges",
}


def check_kind(genotype: Genotype, kind: type, name: str) -> None:
    """Raises a `ValueError` unless a genotype is of the kind of a space or format, called `name`."""
    if not isinstance(genotype, kind):
        raise ValueError(f"{name} is for {_KINDS[kind]}; got {_KINDS.get(type(genotype), type(genotype).__name__)}")


def _output_faults(output: tuple[int, ...], last: int) -> list[str]:
    if output and list(output) == sorted(set(output)) and output[0] >= 0 and output[-1] <= last:
        return []
    return [f"output must be different states from 0 to {last} in rising order; got {output!r:.60}"]
