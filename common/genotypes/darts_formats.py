"""How DARTS writes cells, and many after it: `Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=...)`."""

import ast
import re
from typing import Any

from common.genotypes import operations
from common.genotypes.genotype import (
    Branch,
    Cell,
    CellGenotype,
    RecurrentGenotype,
    RecurrentNode,
)

# What DARTS calls an operation that has another name elsewhere.
_PREFERRED = ("skip_connect", "none", "dil_conv_3x3", "dil_conv_5x5", "dil_conv_7x7")
_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
_MAX_STATES = 1000  # of a range: enough to be told that a cell has no such state
_RECURRENT_FIELDS = ("recurrent", "concat")


def read(text: str) -> CellGenotype:
    """Returns the genotype of a text, which is parsed, never run.

    Raises:
      ValueError: the text is no such genotype; the message says where.
    """
    fields = _parse(text, "darts", _FIELDS)
    return CellGenotype(*(_read_cell(fields[name], fields[f"{name}_concat"], name) for name in ("normal", "reduce")))


def write(genotype: CellGenotype) -> str:
    """Returns the text of a genotype, with the names that DARTS has for its operations; undone by `read`."""
    parts = []
    for name, cell in (("normal", genotype.normal), ("reduce", genotype.reduction)):
        pairs = []
        for node, branches in enumerate(cell.nodes):
            if len(branches) != 2:
                raise ValueError(f"darts: {name}, node {node} has {len(branches)} branches; in this format it has 2")
            pairs += [
                (operations.find(branch.operation, _PREFERRED) or branch.operation, branch.state) for branch in branches
            ]
        parts += [f"{name}={pairs}", f"{name}_concat={list(cell.output)}"]
    return f"Genotype({', '.join(parts)})"


def read_recurrent(text: str) -> RecurrentGenotype:
    """Returns the genotype of `Genotype(recurrent=[('relu', 0), ...], concat=range(1, 9))`; raises as `read` does."""
    fields = _parse(text, "darts_rnn", _RECURRENT_FIELDS)
    pairs = _pairs(fields["recurrent"], "darts_rnn: recurrent", operations.ACTIVATIONS)
    return _made(
        RecurrentGenotype,
        tuple(RecurrentNode(*pair) for pair in pairs),
        _integers(fields["concat"], "darts_rnn: concat"),
        "darts_rnn",
    )


def write_recurrent(genotype: RecurrentGenotype) -> str:
    """Returns the text of a genotype; undone by `read_recurrent`."""
    everything = tuple(range(1, len(genotype.nodes) + 1))
    concat = f"range(1, {len(everything) + 1})" if genotype.output == everything else list(genotype.output)
    return f"Genotype(recurrent={[tuple(node) for node in genotype.nodes]}, concat={concat})"


def _parse(text: str, kind: str, fields: tuple[str, ...]) -> dict[str, Any]:
    """The literal values of the fields of `Genotype(...)`, with a name and an equals sign before it or not."""
    shape = f"Genotype({', '.join(f'{field}=[...]' for field in fields)})"
    try:
        call = ast.parse(re.sub(r"^\s*\w+\s*=\s*(?=Genotype\b)", "", text).strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{kind}: cannot be parsed: {error}; write {shape}") from error
    is_call = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Genotype"
    if not is_call or call.args or sorted(str(word.arg) for word in call.keywords) != sorted(fields):
        raise ValueError(f"{kind}: write {shape}; got {text[:60]!r}")
    return {word.arg: _literal(word.value, f"{kind}: {word.arg}") for word in call.keywords}


def _literal(node: ast.expr, place: str) -> Any:
    """The value of a literal or of `range(a, b)`."""
    try:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "range" and not node.keywords:
            return list(range(*map(ast.literal_eval, node.args))[:_MAX_STATES])
        return ast.literal_eval(node)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{place} is no literal and no range: {ast.unparse(node)[:60]}") from error


def _read_cell(pairs, concat, name):
    found = _pairs(pairs, f"darts: {name}", operations.CONVOLUTIONAL)
    if len(found) % 2:
        raise ValueError(f"darts: {name} has {len(found)} pairs; a node has 2, so give an even number")
    branches = [Branch(*pair) for pair in found]
    nodes = tuple(zip(branches[0::2], branches[1::2], strict=True))
    return _made(Cell, nodes, _integers(concat, f"darts: {name}_concat"), f"darts: {name}")


def _pairs(value, place, names):
    if not isinstance(value, list | tuple):
        raise ValueError(f"{place} is a list of (operation, state); got {value!r}")
    for at, pair in enumerate(value):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or type(pair[1]) is not int:
            raise ValueError(f"{place}, pair {at} is (operation, state); got {pair!r}")
        if pair[0] not in names:
            raise ValueError(f"{place}, pair {at}: unknown operation {pair[0]!r}; choose one of {', '.join(names)}")
    return value


def _integers(value, place):
    if not isinstance(value, list | tuple) or any(type(item) is not int for item in value):
        raise ValueError(f"{place} is a list of states; got {value!r}")
    return tuple(value)


def _made(record, nodes, output, place):
    try:
        return record(nodes, output)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
