"""How LaNAS, Once-for-all and the benchmarks write their architectures."""

import ast
import json

import numpy as np

from common.genotypes import conversion
from common.genotypes.genotype import CellGenotype, ChainGenotype, GraphGenotype
from common.spaces import integer_strings, lanas_oneshot, nasbench101, ofa_mobile

_VERTEX_KEYS = ("module_adjacency", "module_operations")


def read_mask(text: str) -> CellGenotype:
    """Returns the genotype of a mask of one-shot LaNAS: 160 zeros and ones, separated or not."""
    words = " ".join(text) if text.strip().isdigit() else text
    size = lanas_oneshot.MASK_SIZE
    places = [f"bit {at}" for at in range(size)]
    mask = integer_strings.read(words, "lanas_oneshot mask", places=places, lows=[0] * size, highs=[1] * size)
    return conversion.from_valid_arch("lanas_oneshot", lanas_oneshot.from_mask(mask[None])[0])


def write_mask(genotype: CellGenotype) -> str:
    """Returns the mask of a genotype; undone by `read_mask` but for the order of branches."""
    row = conversion.to_arch(genotype, "lanas_oneshot")
    return "".join(map(str, np.asarray(lanas_oneshot.to_mask(row[None]))[0].tolist()))


def read_vertices(text: str) -> GraphGenotype:
    """Returns the genotype of `{"module_adjacency": [[0, 1, ...], ...], "module_operations": ["input", ...]}`.

    These are the keys of the records of NAS-Bench-101. What pruning drops is left out.
    """
    record = _object(text, "nasbench101", _VERTEX_KEYS)
    adjacency, names = (record[key] for key in _VERTEX_KEYS)
    is_matrix = isinstance(adjacency, list) and all(
        isinstance(row, list) and len(row) == len(adjacency) and all(type(entry) is int for entry in row)
        for row in adjacency
    )
    if not is_matrix or not isinstance(names, list):
        raise ValueError(
            f"nasbench101: {_VERTEX_KEYS[0]} is a square list of lists of 0 and 1, {_VERTEX_KEYS[1]} a list"
        )
    return conversion.from_valid_arch("nasbench101", nasbench101.from_matrix(np.array(adjacency, int), names))


def write_vertices(genotype: GraphGenotype) -> str:
    """Returns the JSON of a genotype; undone by `read_vertices`."""
    adjacency, names = nasbench101.to_matrix(conversion.to_arch(genotype, "nasbench101"))
    return json.dumps(dict(zip(_VERTEX_KEYS, (adjacency.tolist(), names), strict=True)))


def read_ofa(text: str) -> ChainGenotype:
    """Returns the genotype of `{'wid': None, 'ks': [20 kernels], 'e': [20 expansions], 'd': [5 depths], 'r': [176]}`.

    Both Python's writing and JSON's are read. Kernels and expansions of blocks beyond the depth of their stage
    have to be allowed ones, too, and are dropped.
    """
    record = _object(text, "ofa_mobile", ("ks", "e", "d", "r"), ignored=("wid",))
    num_blocks = ofa_mobile.NUM_STAGES * ofa_mobile.MAX_DEPTH
    parts = (
        ("r", 1, ofa_mobile.RESOLUTIONS),
        ("d", ofa_mobile.NUM_STAGES, ofa_mobile.DEPTHS),
        ("ks", num_blocks, ofa_mobile.KERNELS),
        ("e", num_blocks, ofa_mobile.EXPANSIONS),
    )
    ids = {}
    for key, size, allowed in parts:
        values = record[key]
        if not isinstance(values, list) or len(values) != size:
            raise ValueError(f"ofa_mobile: {key} is a list of {size} integers; got {values!r}")
        for at, value in enumerate(values):
            if type(value) is not int or value not in allowed:
                raise ValueError(f"ofa_mobile: {key}[{at}] is {value!r}; allowed are {', '.join(map(str, allowed))}")
        ids[key] = [allowed.index(value) for value in values]
    blocks = np.stack([ids["ks"], ids["e"]], axis=1).reshape(ofa_mobile.NUM_STAGES, -1)
    row = [*ids["r"], *np.column_stack([ids["d"], blocks]).reshape(-1)]
    return conversion.from_valid_arch("ofa_mobile", np.array(row, np.int32))


def write_ofa(genotype: ChainGenotype) -> str:
    """Returns the text of a genotype, where blocks that are not there have the smallest kernel and expansion."""
    row = conversion.to_arch(genotype, "ofa_mobile")
    stages = row[1:].reshape(ofa_mobile.NUM_STAGES, -1)
    blocks = stages[:, 1:].reshape(-1, 2)
    record = {
        "wid": None,
        "ks": [ofa_mobile.KERNELS[kernel] for kernel in blocks[:, 0]],
        "e": [ofa_mobile.EXPANSIONS[expansion] for expansion in blocks[:, 1]],
        "d": [ofa_mobile.DEPTHS[depth] for depth in stages[:, 0]],
        "r": [ofa_mobile.RESOLUTIONS[row[0]]],
    }
    return str(record)


def _object(text, kind, keys, ignored=()):
    """The dictionary of a text, in JSON or in Python, with these keys."""
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        try:
            record = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            raise ValueError(f"{kind}: not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    if not isinstance(record, dict) or set(record) - set(ignored) != set(keys):
        raise ValueError(f"{kind}: an object with the keys {', '.join(keys)} belongs here; got {text[:60]!r}")
    return record
