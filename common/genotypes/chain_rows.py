"""Rows of the spaces of chains of blocks as genotypes, and back."""

from collections.abc import Sequence

import numpy as np

from common.genotypes import operations
from common.genotypes.genotype import ChainGenotype
from common.spaces import convnet, nasbench_macro, ofa_mobile, seminas_mobile

_LAYERS = ("narrow-small", "narrow-large", "wide-small", "wide-large")  # of the ConvNets, in the order of their ids
_MACRO_STAGES = (2, 3, 3)


def from_convnet(row: np.ndarray) -> ChainGenotype:
    """Returns the genotype of one row (5,): one stage."""
    return ChainGenotype((tuple(_LAYERS[kind - 1] for kind in row.tolist() if kind),))


def to_convnet(genotype: ChainGenotype) -> np.ndarray:
    """Returns int32[5], the canonical row of a genotype; a `ValueError` says where it has none."""
    (blocks,) = _stages("convnet", genotype, _LAYERS, [range(1, convnet.MAX_DEPTH + 1)])
    return np.array([kind + 1 for kind in blocks] + [0] * (convnet.MAX_DEPTH - len(blocks)), np.int32)


def from_macro(row: np.ndarray) -> ChainGenotype:
    """Returns the genotype of one row (8,): all blocks, also identities, which this space tells apart."""
    names = [nasbench_macro.CHOICES[choice] for choice in row.tolist()]
    ends = np.cumsum(_MACRO_STAGES).tolist()
    return ChainGenotype(tuple(tuple(names[end - n : end]) for end, n in zip(ends, _MACRO_STAGES, strict=True)))


def to_macro(genotype: ChainGenotype) -> np.ndarray:
    """Returns int32[8], the row of a genotype; a `ValueError` says where it has none."""
    depths = [range(depth, depth + 1) for depth in _MACRO_STAGES]
    stages = _stages("nasbench_macro", genotype, nasbench_macro.CHOICES, depths)
    return np.concatenate(stages).astype(np.int32)


def from_seminas(row: np.ndarray) -> ChainGenotype:
    """Returns the genotype of one row (21,), without the blocks that are left out."""
    stages = np.split(row, np.cumsum(seminas_mobile.STAGES)[:-1])
    kept = (stage[stage != seminas_mobile.ZERO] for stage in stages)
    return ChainGenotype(tuple(tuple(seminas_mobile.OPERATIONS[block] for block in stage) for stage in kept))


def to_seminas(genotype: ChainGenotype) -> np.ndarray:
    """Returns int32[21], the canonical row of a genotype; a `ValueError` says where it has none."""
    depths = [range(1, depth + 1) for depth in seminas_mobile.STAGES]
    blocks = seminas_mobile.OPERATIONS[: seminas_mobile.ZERO]
    stages = _stages("seminas_mobile", genotype, blocks, depths)
    padded = [stage + [seminas_mobile.ZERO] * (n - len(stage)) for stage, n in zip(stages, seminas_mobile.STAGES)]
    return np.concatenate(padded).astype(np.int32)


def from_ofa(row: np.ndarray) -> ChainGenotype:
    """Returns the genotype of one row (46,)."""
    resolution, stages = ofa_mobile.to_stages(row)
    return ChainGenotype(stages, resolution)


def to_ofa(genotype: ChainGenotype) -> np.ndarray:
    """Returns int32[46], the canonical row of a genotype; a `ValueError` says where it has none."""
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


def _stages(space: str, genotype: ChainGenotype, names: Sequence[str], depths: Sequence[range]) -> list[list[int]]:
    """The blocks of each stage by their places in `names`, where the depths are allowed."""
    if len(genotype.stages) != len(depths):
        raise ValueError(f"{space}: {len(genotype.stages)} stages; networks of this space have {len(depths)}")
    stages = []
    for at, (stage, allowed) in enumerate(zip(genotype.stages, depths, strict=True)):
        if len(stage) not in allowed:
            raise ValueError(f"{space}: stage {at} has {len(stage)} blocks; allowed are {allowed[0]} to {allowed[-1]}")
        places = (f"{space}: stage {at}, block {block}" for block in range(len(stage)))
        stages.append([names.index(operations.check(name, names, place)) for name, place in zip(stage, places)])
    return stages
