"""Human-readable descriptions of genotypes."""

from collections.abc import Iterable

from common.genotypes import genotype as genotypes
from common.genotypes.genotype import Genotype

KINDS: dict[type, str] = {
    genotypes.CellGenotype: "cells",
    genotypes.RecurrentGenotype: "recurrent cell",
    genotypes.ChainGenotype: "chain",
    genotypes.GraphGenotype: "graph",
    genotypes.EdgeGenotype: "graph",
}


def describe(genotype: Genotype) -> str:
    """Returns a text of a few lines, such as `normal cell` and `  2 = conv_3x3(0) + avg_pool_5x5(1)`."""
    return "\n".join(_lines(genotype))


def kind(genotype: Genotype) -> str:
    """Returns the name of the kind of a genotype."""
    return KINDS[type(genotype)]


def _lines(genotype):
    match genotype:
        case genotypes.CellGenotype(normal, reduction):
            for name, cell in (("normal", normal), ("reduction", reduction)):
                yield f"{name} cell; 0 and 1 are the inputs"
                for state, branches in enumerate(cell.nodes, start=genotypes.NUM_INPUTS):
                    yield f"  {state} = " + " + ".join(f"{operation}({source})" for operation, source in branches)
                yield f"  outputs the concatenation of {_join(cell.output)}"
        case genotypes.RecurrentGenotype(nodes, output):
            yield "recurrent cell; 0 is the first state"
            yield from (f"  {at} = {activation}({state})" for at, (activation, state) in enumerate(nodes, start=1))
            yield f"  outputs the mean of {_join(output)}"
        case genotypes.ChainGenotype(stages, resolution):
            yield "chain of blocks" + (f" for images of {resolution} pixels" if resolution else "")
            yield from (f"  stage {at}: {' '.join(blocks)}" for at, blocks in enumerate(stages))
        case genotypes.GraphGenotype(operations, edges):
            yield "cell with an operation at each vertex"
            for vertex, operation in enumerate(operations):
                sources = [source for source, target in edges if target == vertex]
                yield f"  {vertex} = {operation}" + (f" of {_join(sources)}" if sources else "")
        case genotypes.EdgeGenotype(num_states, edges):
            yield f"cell with an operation at each edge; 0 is the input, {num_states - 1} the output"
            for state in range(1, num_states):
                terms = [f"{operation}({source})" for source, target, operation in edges if target == state]
                yield f"  {state} = {' + '.join(terms)}"


def _join(states: Iterable[int]) -> str:
    return ", ".join(map(str, states))
