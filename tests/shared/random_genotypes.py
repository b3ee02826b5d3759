"""Random genotypes of every kind."""

import random

from common.genotypes import genotype as genotypes
from common.genotypes import operations

KINDS = ("cell", "recurrent", "graph", "edge", "chain")


def make(kind, seed):
    """Returns a genotype; nodes, branches, vertices, edges and outputs vary in number."""
    draw = random.Random(seed)
    size = draw.randint(3, 8)

    def output(num_states):
        return tuple(sorted(draw.sample(range(num_states), draw.randint(1, num_states))))

    def cell():
        nodes = []
        for node in range(size):
            pairs = [
                (draw.choice(operations.CONVOLUTIONAL), draw.randint(0, node + 1)) for _ in range(draw.randint(1, 3))
            ]
            nodes.append(tuple(genotypes.Branch(*pair) for pair in pairs))
        return genotypes.Cell(tuple(nodes), draw.choice((output(size + 2), genotypes.loose_ends(tuple(nodes)))))

    def edges(num_vertices, share):
        pairs = [(source, target) for target in range(1, num_vertices) for source in range(target)]
        return [pair for pair in pairs if draw.random() < share]

    if kind == "cell":
        return genotypes.CellGenotype(cell(), cell())
    if kind == "recurrent":
        pairs = [(draw.choice(operations.ACTIVATIONS), draw.randint(0, node)) for node in range(size + 4)]
        nodes = tuple(genotypes.RecurrentNode(*pair) for pair in pairs)
        return genotypes.RecurrentGenotype(nodes, draw.choice((output(size + 5), tuple(range(1, size + 5)))))
    if kind == "graph":
        names = ("input", *draw.choices(operations.VERTICES, k=size - 2), "output")
        return genotypes.GraphGenotype(names, tuple(edges(size, 0.6)))
    if kind == "edge":
        size = min(size, 5)
        return genotypes.EdgeGenotype(size, tuple((*pair, draw.choice(operations.EDGES)) for pair in edges(size, 0.9)))
    blocks = (f"mb{draw.randint(1, 20)}_k{draw.randint(1, 99)}", "identity", "narrow-small", "wide-large")
    stages = tuple(tuple(draw.choices(blocks, k=draw.randint(0, 5))) for _ in range(draw.randint(0, 6)))
    return genotypes.ChainGenotype(stages, draw.choice((None, draw.randint(1, 1000))))
