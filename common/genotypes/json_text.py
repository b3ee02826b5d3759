"""Genotypes as JSON text: one object with a `kind` and a `version`.

{"kind": "cell", "version": 1,
"normal": {"nodes": [[["conv_3x3", 0], ["avg_pool_5x5", 1]], ...], "output": [3, 5, 6]}, "reduction": {...}}
{"kind": "recurrent", "version": 1, "nodes": [["relu", 0], ...], "output": [1, ...]}
{"kind": "chain", "version": 1, "stages": [["mb6_k7", ...], ...], "resolution": 224}
{"kind": "graph", "version": 1, "operations": ["input", ..., "output"], "edges": [[0, 1], ...]}
{"kind": "edge", "version": 1, "num_states": 4, "edges": [[0, 1, "nor_conv_3x3"], ...]}

A text is read along the type annotations of the records, so there is no second description of their fields.
"""

import ast
import dataclasses
import json
import typing
from typing import Any

from common.file_formats import files, json_values
from common.genotypes import genotype as genotypes
from common.genotypes import operations
from common.genotypes.genotype import Genotype

VERSION = 1
MAX_LENGTH = 100_000  # characters of the text of a genotype
_MAX_ITEMS = 1000  # of a list, or states of a cell
_KINDS: dict[str, type] = {
    "cell": genotypes.CellGenotype,
    "recurrent": genotypes.RecurrentGenotype,
    "chain": genotypes.ChainGenotype,
    "graph": genotypes.GraphGenotype,
    "edge": genotypes.EdgeGenotype,
}
_NAMES = {  # of the operations of each kind; the blocks of chains are `operations.BLOCK`
    "cell": operations.CONVOLUTIONAL,
    "recurrent": operations.ACTIVATIONS,
    "graph": ("input", *operations.VERTICES, "output"),
    "edge": operations.EDGES,
}


def to_text(genotype: Genotype) -> str:
    """Returns the text of a genotype, the same for equal genotypes; undone by `from_text`."""
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in to_dict(genotype).items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def to_dict(genotype: Genotype) -> dict[str, Any]:
    """Returns the content of `to_text` as dictionaries, lists, strings and integers."""
    for kind, record in _KINDS.items():
        if isinstance(genotype, record):
            return {"kind": kind, "version": VERSION, **json.loads(json.dumps(dataclasses.asdict(genotype)))}
    raise ValueError(f"not a genotype: {genotype!r}")


def from_text(text: str) -> Genotype:
    """Returns the genotype of a text, or raises a `ValueError` that says where it is no JSON or no genotype."""
    return from_dict(parse(clean(text)))


def from_dict(record: Any) -> Genotype:
    """Returns the genotype of a record made by `to_dict`; raises as `from_text` does."""
    if not isinstance(record, dict):
        raise ValueError(f"a genotype is a JSON object with a kind; got {_short(record)}")
    kind = record.get("kind")
    if kind not in list(_KINDS):
        raise ValueError(f"unknown kind {kind!r} of genotype; choose one of {', '.join(_KINDS)}")
    if type(record.get("version")) is not int or record["version"] != VERSION:
        raise ValueError(f"version of a genotype is {VERSION}; got {record.get('version')!r}")
    faults: list[str] = []
    made = _read(_KINDS[kind], record, "", kind, faults)
    files.refuse(faults)
    if kind == "graph" and (made.operations[:1] != ("input",) or made.operations[1:][-1:] != ("output",)):
        faults.append("operations: the first must be input and the last output")
    if kind == "edge":
        _expect(2 <= made.num_states <= _MAX_ITEMS, made.num_states, "num_states", f"from 2 to {_MAX_ITEMS}", faults)
    if kind in ("graph", "edge"):
        last = (len(made.operations) if kind == "graph" else made.num_states) - 1
        faults += [
            f"edges[{at}] is from {source} to {target}; allowed are 0 <= from < to <= {last}"
            for at, (source, target, *_) in enumerate(made.edges)
            if not 0 <= source < target <= last
        ]
    files.refuse(faults)
    return made


def clean(text: str) -> str:
    """Returns a text without blanks, newlines and byte order marks at its ends, if it is not too long."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"a genotype is a text of at most {MAX_LENGTH:,} characters; got {len(text):,}")
    return text.strip().strip("\ufeff").strip()


def parse(text: str) -> Any:
    """Returns the value of a text in JSON or as Python prints it; a `ValueError` says where it is neither."""
    try:
        return json_values.parse(text)
    except ValueError as error:
        problem = str(error)
    try:
        if problem.startswith("not JSON from"):
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        pass
    raise ValueError(problem)


def _read(hint: Any, value: Any, place: str, kind: str, faults: list[str]) -> Any:
    """Returns the record, tuple, integer or name of type `hint` that a JSON value at `place` stands for.

    What is wrong is appended to `faults`; the result then means nothing.
    """
    items = typing.get_args(hint)
    if hint is int:
        return _expect(type(value) is int, value, place, "an integer", faults)
    if hint is str:
        return _operation(value, place, kind, faults)
    if hint == int | None:
        is_right = value is None or (type(value) is int and value > 0)
        return _expect(is_right, value, place, "a positive integer or null", faults)
    if dataclasses.is_dataclass(hint):
        return _record(hint, value, place, kind, faults)
    if items[-1:] == (...,):
        is_right = isinstance(value, list) and len(value) <= _MAX_ITEMS
        value = _expect(is_right, value, place, f"a list of at most {_MAX_ITEMS}", faults) or ()
        return tuple(_read(items[0], item, f"{place}[{at}]", kind, faults) for at, item in enumerate(value))
    items = items or tuple(typing.get_type_hints(hint).values())  # of a named tuple
    is_right = isinstance(value, list) and len(value) == len(items)
    value = _expect(is_right, value, place, f"a list of {len(items)}", faults) or ()
    parts = [_read(item, part, f"{place}[{at}]", kind, faults) for at, (item, part) in enumerate(zip(items, value))]
    return hint(*parts) if is_right and hasattr(hint, "_fields") else tuple(parts)


def _record(made: type, value: Any, place: str, kind: str, faults: list[str]) -> Any:
    hints = typing.get_type_hints(made)
    expected = [*hints] if place else ["kind", "version", *hints]
    where = place or f"{kind} genotype"
    num_before = len(faults)
    value = _expect(isinstance(value, dict), value, where, f"an object with {', '.join(expected)}", faults)
    if value is None:
        return None
    for name in dict.fromkeys([*expected, *value]):
        if name not in value or name not in expected:
            problem = "unknown" if name in value else "missing"
            faults.append(f"{where}: {name!r:.60} is {problem}; its keys are {', '.join(expected)}")
    fields = {
        name: _read(hint, value[name], f"{place}.{name}".lstrip("."), kind, faults)
        for name, hint in hints.items()
        if name in value
    }
    if len(faults) > num_before:
        return None
    try:
        return made(**fields)
    except ValueError as error:
        faults.append(f"{where}: {error}")


def _operation(value: Any, place: str, kind: str, faults: list[str]) -> str:
    if kind == "chain":
        is_known = isinstance(value, str) and operations.BLOCK.fullmatch(value)
        known = "blocks are mbE_kK, such as mb6_k5, or identity"
    else:
        is_known, known = value in _NAMES[kind], f"choose one of {', '.join(_NAMES[kind])}"
    if not is_known:
        faults.append(f"{place}: unknown operation {_short(value)}; {known}")
    return value


def _expect(is_right: bool, value: Any, place: str, expected: str, faults: list[str]) -> Any:
    """Returns the value, or None where it is wrong, which is appended to `faults`."""
    if is_right:
        return value
    faults.append(f"{place} must be {expected}; got {_short(value)}")


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except RecursionError:
        return "a deeply nested value"
    return text if len(text) <= 60 else text[:57] + "..."
