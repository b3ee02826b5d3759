"""Cells as text: `Genotype(normal=[...], ...)` of DARTS, and the JSON of NAO's TensorFlow program."""

import ast
import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from common.genotypes import genotype as genotypes
from common.genotypes import json_text, operations
from common.genotypes.genotype import NUM_INPUTS, Branch, Cell, CellGenotype, RecurrentGenotype
from common.spaces import nao_cnn

# Names in DARTS of operations that have other names elsewhere.
_PREFERRED = ("skip_connect", "none", "dil_conv_3x3", "dil_conv_5x5", "dil_conv_7x7")
_MAX_STATES = 1000  # of a range: enough to report that a cell has no such state
_CELLS = {"conv_dag": "normal", "reduc_dag": "reduction"}
_LOOSE_ENDS = "loose_ends"
_UNKNOWN = ("conv_5x5", "avg_pool_7x7")  # NAO's program cannot build these


def read_darts(text: str) -> CellGenotype:
    """Returns the genotype of a DARTS text, which is parsed, never run.

    A log line before `Genotype(` is skipped. Pairs may be grouped by node, and may have a third part, as some programs
    print them: a weight, or the number of the node's own state. A `ValueError` says where a text is no such genotype.
    """
    fields = _parse(text, "darts", ("normal", "normal_concat", "reduce", "reduce_concat"))
    return CellGenotype(*(_read_cell(fields[name], fields[f"{name}_concat"], name) for name in ("normal", "reduce")))


def write_darts(genotype: CellGenotype) -> str:
    """Returns the DARTS text of a genotype, with DARTS's names of its operations; undone by `read_darts`."""
    parts = []
    for name, cell in (("normal", genotype.normal), ("reduce", genotype.reduction)):
        pairs = [
            (operations.find(branch.operation, _PREFERRED) or branch.operation, branch.state)
            for node, branches in enumerate(cell.nodes)
            for branch in _two(branches, f"darts: {name}, node {node}")
        ]
        parts += [f"{name}={pairs}", f"{name}_concat={list(cell.output)}"]
    return f"Genotype({', '.join(parts)})"


def read_darts_recurrent(text: str) -> RecurrentGenotype:
    """Returns the genotype of `Genotype(recurrent=[('relu', 0), ...], concat=...)`; raises as `read_darts` does."""
    fields = _parse(text, "darts_rnn", ("recurrent", "concat"))
    pairs = _pairs(fields["recurrent"], "darts_rnn: recurrent", operations.ACTIVATIONS, first_state=1, per_node=1)
    nodes = tuple(genotypes.RecurrentNode(*pair) for pair in pairs)
    return _made(RecurrentGenotype, nodes, fields["concat"], "darts_rnn", "darts_rnn: concat")


def write_darts_recurrent(genotype: RecurrentGenotype) -> str:
    """Returns the DARTS text of a recurrent cell; undone by `read_darts_recurrent`."""
    nodes, states = list(map(tuple, genotype.nodes)), range(1, len(genotype.nodes) + 1)
    return (
        f"Genotype(recurrent={nodes}, concat={states if genotype.output == tuple(states) else list(genotype.output)})"
    )


def _parse(text: str, kind: str, fields: tuple[str, ...]) -> dict[str, Any]:
    """Returns the literal values of the fields of the one `Genotype(...)` in a text."""
    shape = f"Genotype({', '.join(f'{field}=[...]' for field in fields)})"
    calls = [found.start() for found in re.finditer(r"\bGenotype\s*\(", text)]
    if len(calls) != 1:
        raise ValueError(f"{kind}: write one {shape}; got {len(calls)} in {text[:60]!r}")
    text = text[calls[0] : text.rfind(")") + 1]
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" in line {error.lineno}, column {error.offset}" if getattr(error, "lineno", None) else ""
        raise ValueError(f"{kind}: cannot be parsed{place}; write {shape}") from None
    names = sorted(str(word.arg) for word in call.keywords) if isinstance(call, ast.Call) else []
    if names != sorted(fields) or call.args:
        raise ValueError(f"{kind}: write {shape}; got {text[:60]!r}")
    return {word.arg: _literal(word.value, f"{kind}: {word.arg}") for word in call.keywords}


def _literal(node: ast.expr, place: str) -> Any:
    """Returns the value of a literal or of `range(a, b)`."""
    try:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            return list(range(*map(ast.literal_eval, node.args))[:_MAX_STATES])
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        raise ValueError(f"{place} is neither a literal nor a range of states") from None


def _read_cell(value: Any, concat: Any, name: str) -> Cell:
    pairs = _pairs(value, f"darts: {name}", operations.CONVOLUTIONAL, first_state=NUM_INPUTS, per_node=2)
    if len(pairs) % 2:
        raise ValueError(f"darts: {name} has {len(pairs)} pairs; a node has 2, so give an even number")
    branches = [Branch(*pair) for pair in pairs]
    nodes = tuple(zip(branches[0::2], branches[1::2], strict=True))
    return _made(Cell, nodes, concat, f"darts: {name}", f"darts: {name}_concat")


def _pairs(value: Any, place: str, names: Sequence[str], *, first_state: int, per_node: int) -> list[tuple[str, int]]:
    """Returns the (operation, state) pairs of a list of pairs, or of a list of nodes with `per_node` pairs each."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{place} must be a list of (operation, state); got {value!r:.60}")
    if value and all(isinstance(node, list | tuple) and node and isinstance(node[0], list | tuple) for node in value):
        for at, node in enumerate(value):
            if len(node) != per_node:
                raise ValueError(f"{place}, node {at} has {len(node)} pairs; a node of this format has {per_node}")
        value = [pair for node in value for pair in node]
    pairs = []
    for at, pair in enumerate(value):
        own = first_state + at // per_node
        is_pair = isinstance(pair, list | tuple) and len(pair) in (2, 3) and type(pair[1]) is int
        if not is_pair or not all(type(part) is float or (type(part) is int and part == own) for part in pair[2:]):
            raise ValueError(f"{place}, pair {at} must be (operation, state); got {pair!r:.60}")
        if pair[0] not in names:
            raise ValueError(f"{place}, pair {at}: unknown operation {pair[0]!r}; choose one of {', '.join(names)}")
        pairs.append((pair[0], pair[1]))
    return pairs


def _made(record: type, nodes: tuple, output: Any, place: str, output_place: str) -> Any:
    if not isinstance(output, list | tuple) or any(type(state) is not int for state in output):
        raise ValueError(f"{output_place} must be a list of states; got {output!r:.60}")
    try:
        return record(nodes, tuple(output))
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _two(branches: Sequence, place: str) -> Sequence:
    if len(branches) != 2:
        raise ValueError(f"{place} has {len(branches)} branches; nodes of this format have 2")
    return branches


def read_nao(text: str) -> CellGenotype:
    """Returns the genotype of NAO's JSON, `{"conv_dag": {"node_1": ["node_1", null, ...], ...}, "reduc_dag": ...}`.

    Nodes 1 and 2 are the inputs of the cell. Each later node is `[its name, input, input, operation, operation]`. The
    cell outputs all states that no branch reads, unless a list `loose_ends` names others. A `ValueError` says where a
    text is no such JSON.
    """
    record = json_text.parse(text)
    if not isinstance(record, dict) or set(record) != set(_CELLS):
        raise ValueError(f"nao_json: write an object with {' and '.join(_CELLS)}; got {text[:60]!r}")
    return CellGenotype(**{cell: _read_dag(record[key], f"nao_json: {key}") for key, cell in _CELLS.items()})


def write_nao(genotype: CellGenotype) -> str:
    """Returns NAO's JSON of a genotype, with `loose_ends` only if they are not all states that no branch reads."""
    return json.dumps({key: _write_dag(getattr(genotype, cell), f"nao_json: {key}") for key, cell in _CELLS.items()})


def _read_dag(record: Any, place: str) -> Cell:
    if not isinstance(record, dict):
        raise ValueError(f"{place} must be an object with node_1, node_2, ...; got {record!r:.60}")
    names = [f"node_{at}" for at in range(1, len(record) + (_LOOSE_ENDS not in record))]
    if any(name not in record for name in names) or len(names) <= NUM_INPUTS:
        keys = f"node_1, node_2, ... without a gap, and optionally {_LOOSE_ENDS}"
        raise ValueError(f"{place} has the keys {', '.join(record)}; write {keys}")
    nodes = []
    for name in names[NUM_INPUTS:]:
        entry, before = record[name], names[: NUM_INPUTS + len(nodes)]
        if not isinstance(entry, list) or len(entry) != 5 or entry[0] != name:
            expected = f"[{name!r}, input, input, operation, operation]"
            raise ValueError(f"{place}, {name} must be {expected}; got {entry!r:.60}")
        pairs = zip(entry[1:3], entry[3:], strict=True)
        nodes.append(tuple(_read_branch(*pair, before, f"{place}, {name}") for pair in pairs))
    ends = record.get(_LOOSE_ENDS, [names[state] for state in genotypes.loose_ends(tuple(nodes))])
    is_list = isinstance(ends, list) and all(end in names for end in ends)
    if not is_list or not ends or len(set(ends)) < len(ends):
        raise ValueError(f"{place}, {_LOOSE_ENDS} must be a list of different nodes of the cell; got {ends!r:.60}")
    return Cell(tuple(nodes), tuple(sorted(map(names.index, ends))))


def _read_branch(source: Any, operation: Any, before: Sequence[str], place: str) -> Branch:
    if source not in before:
        raise ValueError(f"{place} reads {source!r}; allowed are the nodes before it, {', '.join(before)}")
    names = {published: name for name, published in _NAO_NAMES.items()}
    if operation not in list(names):
        raise ValueError(f"{place}: unknown operation {operation!r}; choose one of {', '.join(names)}")
    return Branch(names[operation], before.index(source))


def _write_dag(cell: Cell, place: str) -> dict[str, list]:
    record: dict[str, list] = {name: [name, None, None, None, None] for name in ("node_1", "node_2")}
    for at, branches in enumerate(cell.nodes, start=NUM_INPUTS + 1):
        names = []
        for branch in _two(branches, f"{place}, node_{at}"):
            name = operations.find(branch.operation, _NAO_NAMES)
            if name is None:
                raise ValueError(f"{place}, node_{at}: the format has no operation {branch.operation!r}")
            names.append(_NAO_NAMES[name])
        record[f"node_{at}"] = [f"node_{at}", *(f"node_{branch.state + 1}" for branch in branches), *names]
    if cell.output != genotypes.loose_ends(cell.nodes):
        record[_LOOSE_ENDS] = [f"node_{state + 1}" for state in cell.output]
    return record


def _nao_names() -> dict[str, str]:
    """Returns the names in NAO's dictionaries of the operations there, kind and kernel, such as `conv 1x3+3x1`."""
    names = {"identity": "identity"}
    for kind, kernel in itertools.product(nao_cnn.KINDS, nao_cnn.KERNELS):
        names[f"{kind}_{kernel}"] = f"{kind} {kernel.replace('_', '+')}"
    return {name: names[name] for name in operations.CONVOLUTIONAL if name in names and name not in _UNKNOWN}


_NAO_NAMES = _nao_names()
