"""How NAO writes its cells: the dictionaries of its TensorFlow program."""

import json

from common.genotypes import operations
from common.genotypes.genotype import NUM_INPUTS, Branch, Cell, CellGenotype, loose_ends
from common.spaces import nao_cnn

_CELLS = {"conv_dag": "normal", "reduc_dag": "reduction"}
_INPUTS = ("node_1", "node_2")
_LOOSE_ENDS = "loose_ends"
_UNKNOWN = ("conv_5x5", "avg_pool_7x7")  # NAO's program cannot build these
_KINDS = sorted(nao_cnn.KINDS, key=len, reverse=True)


def read_json(text: str) -> CellGenotype:
    """Returns the genotype of NAO's JSON, `{"conv_dag": {"node_1": ["node_1", null, ...], ...}, "reduc_dag": ...}`.

    Nodes 1 and 2 are the inputs of the cell, node k is state k - 1. Each later node is `[its name, input,
    input, operation, operation]`. The cell puts out all states that no branch reads, unless it has a list
    `loose_ends` of the names of others.

    Raises:
      ValueError: the text is no such JSON; the message says where.
    """
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"nao_json: not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    if not isinstance(record, dict) or set(record) != set(_CELLS):
        raise ValueError(f"nao_json: an object with {' and '.join(_CELLS)} belongs here; got {text[:60]!r}")
    return CellGenotype(**{cell: _read_cell(record[key], key) for key, cell in _CELLS.items()})


def write_json(genotype: CellGenotype) -> str:
    """Returns NAO's JSON of a genotype, with `loose_ends` only where they are not all states that no branch reads."""
    return json.dumps({key: _write_cell(getattr(genotype, cell), key) for key, cell in _CELLS.items()})


def _read_cell(record, place):
    if not isinstance(record, dict):
        raise ValueError(f"nao_json: {place} is an object with node_1, node_2, ...; got {record!r}")
    names = [f"node_{at}" for at in range(1, len(record) + (_LOOSE_ENDS not in record))]
    missing = [name for name in names if name not in record]
    if missing or len(names) <= NUM_INPUTS:
        raise ValueError(
            f"nao_json: {place} has the keys {', '.join(record)}; they are node_1, node_2, ... without a gap, and "
            f"{_LOOSE_ENDS} where given"
        )
    nodes = []
    for name in names[NUM_INPUTS:]:
        entry = record[name]
        if not isinstance(entry, list) or len(entry) != 5 or entry[0] != name:
            raise ValueError(
                f"nao_json: {place}, {name} is [{name!r}, input, input, operation, operation]; got {entry!r}"
            )
        before = names[: NUM_INPUTS + len(nodes)]
        nodes.append(
            tuple(_read_branch(*pair, before, f"nao_json: {place}, {name}") for pair in zip(entry[1:3], entry[3:]))
        )
    ends = record.get(_LOOSE_ENDS, [names[state] for state in loose_ends(tuple(nodes))])
    unknown = [end for end in ends if end not in names] if isinstance(ends, list) else [ends]
    if unknown or not ends or len(set(ends)) < len(ends):
        raise ValueError(f"nao_json: {place}, {_LOOSE_ENDS} is a list of different nodes of the cell; got {ends!r}")
    return Cell(tuple(nodes), tuple(sorted(map(names.index, ends))))


def _read_branch(source, operation, before, place):
    if source not in before:
        raise ValueError(f"{place} reads {source!r}; allowed are the nodes before it, {', '.join(before)}")
    names = {_to_nao(name): name for name in operations.CONVOLUTIONAL if _to_nao(name)}
    if operation not in list(names):
        raise ValueError(f"{place}: unknown operation {operation!r}; choose one of {', '.join(names)}")
    return Branch(names[operation], before.index(source))


def _write_cell(cell, place):
    record = {name: [name, None, None, None, None] for name in _INPUTS}
    for at, branches in enumerate(cell.nodes, start=NUM_INPUTS + 1):
        if len(branches) != 2:
            raise ValueError(f"nao_json: {place}, node_{at} has {len(branches)} branches; nodes of this format have 2")
        names = []
        for branch in branches:
            own = _to_nao(branch.operation) or _to_nao(operations.find(branch.operation, _OWN) or "")
            if not own:
                raise ValueError(f"nao_json: {place}, node_{at}: the format has no operation {branch.operation!r}")
            names.append(own)
        record[f"node_{at}"] = [f"node_{at}", *(f"node_{branch.state + 1}" for branch in branches), *names]
    if cell.output != loose_ends(cell.nodes):
        record[_LOOSE_ENDS] = [f"node_{state + 1}" for state in cell.output]
    return record


def _to_nao(name):
    """The name in NAO's dictionaries, kind and kernel, such as `conv 1x3+3x1`; None where they have none."""
    kind = next((kind for kind in _KINDS if name == kind or name.startswith(f"{kind}_")), None)
    kernel = name[len(kind or "") + 1 :]
    if kind is None or name in _UNKNOWN or (kernel not in nao_cnn.KERNELS and name != "identity"):
        return None
    return f"{kind} {kernel.replace('_', '+')}".strip()


_OWN = tuple(name for name in operations.CONVOLUTIONAL if _to_nao(name))
