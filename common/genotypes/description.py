"""Genotypes as text for people."""

from common.genotypes import genotype as genotypes
from common.genotypes.genotype import Genotype


def describe(genotype: Genotype) -> str:
    """Returns a text of a few lines, such as `normal cell` and `  2 = conv_3x3(0) + avg_pool_5x5(1)`."""
    return "\n".join(_DESCRIBE[type(genotype)](genotype))


def kind(genotype: Genotype) -> str:
    """Returns the name of the kind of a genotype."""
    return _KINDS[type(genotype)]


def _cells(genotype):
    lines = []
    for name, cell in (("normal", genotype.normal), ("reduction", genotype.reduction)):
        lines.append(f"{name} cell; 0 and 1 are the inputs")
        for state, branches in enumerate(cell.nodes, start=genotypes.NUM_INPUTS):
            lines.append(f"  {state} = " + " + ".join(f"{operation}({source})" for operation, source in branches))
        lines.append(f"  outputs the concatenation of {_join(cell.output)}")
    return lines


def _recurrent(genotype):
    lines = ["recurrent cell; 0 is the first state"]
    lines += [f"  {at} = {activation}({state})" for at, (activation, state) in enumerate(genotype.nodes, start=1)]
    return [*lines, f"  outputs the mean of {_join(genotype.output)}"]


def _chain(genotype):
    lines = ["chain of blocks" + (f" for images of {genotype.resolution} pixels" if genotype.resolution else "")]
    return lines + [f"  stage {at}: {' '.join(blocks)}" for at, blocks in enumerate(genotype.stages)]


def _graph(genotype):
    lines = ["cell with an operation at each vertex"]
    for vertex, operation in enumerate(genotype.operations):
        sources = [source for source, target in genotype.edges if target == vertex]
        lines.append(f"  {vertex} = {operation}" + (f" of {_join(sources)}" if sources else ""))
    return lines


def _edges(genotype):
    lines = [f"cell with an operation at each edge; 0 is the input, {genotype.num_states - 1} the output"]
    for state in range(1, genotype.num_states):
        terms = [f"{operation}({source})" for source, target, operation in genotype.edges if target == state]
        lines.append(f"  {state} = {' + '.join(terms)}")
    return lines


def _join(states):
    return ", ".join(map(str, states))


_DESCRIBE = {
    genotypes.CellGenotype: _cells,
    genotypes.RecurrentGenotype: _recurrent,
    genotypes.ChainGenotype: _chain,
    genotypes.GraphGenotype: _graph,
    genotypes.EdgeGenotype: _edges,
}
_KINDS = {
    genotypes.CellGenotype: "cells",
    genotypes.RecurrentGenotype: "recurrent cell",
    genotypes.ChainGenotype: "chain",
    genotypes.GraphGenotype: "graph",
    genotypes.EdgeGenotype: "graph",
}
