"""Architectures as text in the formats of one-shot LaNAS, NAS-Bench-101 and Once-for-all."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from common.genotypes import conversion, json_text
from common.genotypes.genotype import CellGenotype, ChainGenotype, GraphGenotype
from common.spaces import integer_strings, lanas_oneshot, nasbench101, ofa_mobile

_VERTEX_KEYS = ("module_adjacency", "module_operations")


def read_mask(text: str) -> CellGenotype:
    """Returns the genotype of a mask of one-shot LaNAS: 160 zeros and ones, separated or not."""
    words, size = " ".join(text) if text.isdigit() else text, lanas_oneshot.MASK_SIZE
    mask = integer_strings.read(words, "lanas_oneshot mask", [f"bit {at}" for at in range(size)], [2] * size)
    return conversion.from_valid_arch("lanas_oneshot", lanas_oneshot.from_mask(mask[None])[0])


def write_mask(genotype: CellGenotype) -> str:
    """Returns the mask of a genotype; undone by `read_mask` except for the order of branches."""
    row = conversion.to_arch(genotype, "lanas_oneshot")
    return "".join(map(str, np.asarray(lanas_oneshot.to_mask(row[None]))[0].tolist()))


def read_vertices(text: str) -> GraphGenotype:
    """Returns the pruned genotype of `{"module_adjacency": [[0, 1, ...], ...], "module_operations": ["input", ..]}`."""
    adjacency, names = _values(text, "nasbench101", _VERTEX_KEYS)
    is_matrix = isinstance(adjacency, list) and all(
        isinstance(row, list) and len(row) == len(adjacency) and all(type(entry) is int for entry in row)
        for row in adjacency
    )
    if not is_matrix or not isinstance(names, list):
        raise ValueError(
            f"nasbench101: {_VERTEX_KEYS[0]} must be a square list of lists of 0 and 1, {_VERTEX_KEYS[1]} a list"
        )
    return conversion.from_valid_arch("nasbench101", nasbench101.from_matrix(np.array(adjacency, int), names))


def write_vertices(genotype: GraphGenotype) -> str:
    """Returns the JSON of a genotype; undone by `read_vertices`."""
    adjacency, names = nasbench101.to_matrix(conversion.to_arch(genotype, "nasbench101"))
    return json.dumps(dict(zip(_VERTEX_KEYS, (adjacency.tolist(), names), strict=True)))


def read_ofa(text: str) -> ChainGenotype:
    """Returns the genotype of `{'wid': None, 'ks': [20 kernels], 'e': [20 expansions], 'd': [5 depths], 'r': [176]}`.

    One integer in place of a list sets all its values. Blocks beyond the depth of their stage must be allowed ones,
    too, and are dropped.

    Raises:
      ValueError: the text is no such dictionary; the message lists all values that are wrong.
    """
    num_blocks = ofa_mobile.NUM_STAGES * ofa_mobile.MAX_DEPTH
    parts = {
        "r": (1, ofa_mobile.RESOLUTIONS),
        "d": (ofa_mobile.NUM_STAGES, ofa_mobile.DEPTHS),
        "ks": (num_blocks, ofa_mobile.KERNELS),
        "e": (num_blocks, ofa_mobile.EXPANSIONS),
    }
    ids, faults = [], []
    for (key, (size, allowed)), value in zip(parts.items(), _values(text, "ofa_mobile", parts, "wid"), strict=True):
        values = [value] * size if type(value) is int else value
        if not isinstance(values, list) or len(values) != size:
            faults.append(f"{key} must be one integer or a list of {size}; got {value!r:.60}")
            continue
        wrong = [at for at, item in enumerate(values) if type(item) is not int or item not in allowed]
        for at in wrong[:1] if values is not value else wrong:
            place = key if values is not value else f"{key}[{at}]"
            faults.append(f"{place} is {values[at]!r}; allowed are {', '.join(map(str, allowed))}")
        ids.append([0 if at in wrong else allowed.index(item) for at, item in enumerate(values)])
    if faults:
        raise ValueError("ofa_mobile: " + "; ".join(faults))
    resolution, depths, kernels, expansions = ids
    blocks = np.stack([kernels, expansions], axis=1).reshape(ofa_mobile.NUM_STAGES, -1)
    row = [*resolution, *np.column_stack([depths, blocks]).reshape(-1)]
    return conversion.from_valid_arch("ofa_mobile", np.array(row, np.int32))


def write_ofa(genotype: ChainGenotype) -> str:
    """Returns the text of a genotype, in which skipped blocks have the smallest kernel and expansion."""
    row = conversion.to_arch(genotype, "ofa_mobile")
    stages = row[1:].reshape(ofa_mobile.NUM_STAGES, -1)
    blocks = stages[:, 1:].reshape(-1, 2)
    parts = {
        "ks": (ofa_mobile.KERNELS, blocks[:, 0]),
        "e": (ofa_mobile.EXPANSIONS, blocks[:, 1]),
        "d": (ofa_mobile.DEPTHS, stages[:, 0]),
        "r": (ofa_mobile.RESOLUTIONS, row[:1]),
    }
    return str({"wid": None} | {key: [values[choice] for choice in at] for key, (values, at) in parts.items()})


def _values(text: str, kind: str, keys: Sequence[str], ignored: str = "") -> list[Any]:
    """Returns the values of the keys of a dictionary in JSON or in Python."""
    record = json_text.parse(text)
    if not isinstance(record, dict) or set(record) - {ignored} != set(keys):
        raise ValueError(f"{kind}: write an object with the keys {', '.join(keys)}; got {text[:60]!r}")
    return [record[key] for key in keys]
