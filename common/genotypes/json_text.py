"""Genotypes as JSON text: one object with a `kind` and a `version`.

{"kind": "cell", "version": 1,
"normal": {"nodes": [[["conv_3x3", 0], ["avg_pool_5x5", 1]], ...], "output": [3, 5, 6]}, "reduction": {...}}
{"kind": "recurrent", "version": 1, "nodes": [["relu", 0], ...], "output": [1, ...]}
{"kind": "chain", "version": 1, "stages": [["mb6_k7", ...], ...], "resolution": 224}
{"kind": "graph", "version": 1, "operations": ["input", ..., "output"], "edges": [[0, 1], ...]}
{"kind": "edge", "version": 1, "num_states": 4, "edges": [[0, 1, "nor_conv_3x3"], ...]}
"""

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from common.genotypes import genotype as genotypes
from common.genotypes import operations
from common.genotypes.genotype import Genotype

VERSION = 1


def to_text(genotype: Genotype) -> str:
    """Returns the text of a genotype, the same every time; undone by `from_text`."""
    record = to_dict(genotype)
    return "{\n" + ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in record.items()) + "\n}\n"


def to_dict(genotype: Genotype) -> dict[str, Any]:
    """Returns what `to_text` writes, as dictionaries, lists, texts and integers."""
    kind = next((kind for kind, made in _KINDS.items() if isinstance(genotype, made.record)), None)
    if kind is None:
        raise ValueError(f"not a genotype: {genotype!r}")
    return {"kind": kind, "version": VERSION, **_plain(dataclasses.asdict(genotype))}


def from_text(text: str) -> Genotype:
    """Returns the genotype of a text.

    Raises:
      ValueError: it is no JSON, or no genotype; the message says where.
    """
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from error
    return from_dict(record)


def from_dict(record: Any) -> Genotype:
    """Returns the genotype of what `to_dict` made; raises as `from_text` does."""
    if not isinstance(record, dict):
        raise ValueError(f"a genotype is a JSON object with a kind; got {_short(record)}")
    if "kind" not in record or record["kind"] not in list(_KINDS):
        raise ValueError(f"unknown kind {record.get('kind')!r} of genotype; choose one of {', '.join(_KINDS)}")
    if type(record.get("version")) is not int or record["version"] != VERSION:
        raise ValueError(f"version of a genotype is {VERSION}; got {record.get('version')!r}")
    kind = _KINDS[record["kind"]]
    return kind.make(**_fields(record, "genotype", kind.fields, also=("kind", "version")))


Reader = Callable[[Any, str], Any]  # (JSON value, where it stands) -> what it says


class _Kind(NamedTuple):
    """A kind of genotype: its record, what makes and checks it, and how its fields are read."""

    record: type
    make: Callable[..., Genotype]
    fields: dict[str, Reader]


def _plain(value):
    """Records and tuples as lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _fields(record: Any, place: str, fields: dict[str, Reader], also: Sequence[str] = ()) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise ValueError(f"{place}: an object with {', '.join(fields)} belongs here; got {_short(record)}")
    missing = [name for name in fields if name not in record]
    unknown = [name for name in record if name not in fields and name not in also]
    if missing or unknown:
        found = f"{missing[0]!r} is missing" if missing else f"{unknown[0]!r} is unknown"
        raise ValueError(f"{place}: {found}; its keys are {', '.join([*also, *fields])}")
    return {
        name: read(record[name], name if place == "genotype" else f"{place}.{name}") for name, read in fields.items()
    }


def _list(read: Reader) -> Reader:
    def read_all(value, place):
        if not isinstance(value, list):
            raise ValueError(f"{place}: a list belongs here; got {_short(value)}")
        return tuple(read(item, f"{place}[{at}]") for at, item in enumerate(value))

    return read_all


def _record(made: Callable[..., Any], *readers: Reader) -> Reader:
    """Reads a list of fixed length."""

    def read(value, place):
        if not isinstance(value, list) or len(value) != len(readers):
            raise ValueError(f"{place}: a list of {len(readers)} belongs here; got {_short(value)}")
        return made(*(read(item, f"{place}[{at}]") for at, (read, item) in enumerate(zip(readers, value, strict=True))))

    return read


def _integer(value, place):
    if type(value) is not int:
        raise ValueError(f"{place}: an integer belongs here; got {_short(value)}")
    return value


def _resolution(value, place):
    if value is not None and (type(value) is not int or value < 1):
        raise ValueError(f"{place}: a positive integer or null belongs here; got {_short(value)}")
    return value


def _name_of(names: Sequence[str]) -> Reader:
    def read(value, place):
        if value not in names:
            raise ValueError(f"{place}: unknown operation {_short(value)}; choose one of {', '.join(names)}")
        return value

    return read


def _block(value, place):
    if not isinstance(value, str) or not re.fullmatch(operations.BLOCK, value):
        raise ValueError(f"{place}: unknown operation {_short(value)}; blocks are mbE_kK, such as mb6_k5, or identity")
    return value


def _cell(value, place):
    return _checked(place, genotypes.Cell, **_fields(value, place, _CELL))


def _checked(place, made, **fields):
    try:
        return made(**fields)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _recurrent(**fields):
    return _checked("recurrent cell", genotypes.RecurrentGenotype, **fields)


def _graph(operations, edges):
    size = len(operations)
    if size < 2 or operations[0] != "input" or operations[-1] != "output":
        raise ValueError("operations: the first is input and the last output")
    _check_edges(edges, size, "vertices")
    return genotypes.GraphGenotype(operations, edges)


def _edge(num_states, edges):
    _check_edges(edges, num_states, "states")
    return genotypes.EdgeGenotype(num_states, edges)


def _check_edges(edges, size, what):
    for at, (source, target, *_) in enumerate(edges):
        if not 0 <= source < target < size:
            raise ValueError(
                f"edges[{at}] goes from {source} to {target}; edges go from a lower to a higher one of the {what} "
                f"0 to {size - 1}"
            )


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_CELL = {
    "nodes": _list(_list(_record(genotypes.Branch, _name_of(operations.CONVOLUTIONAL), _integer))),
    "output": _list(_integer),
}
_KINDS = {
    "cell": _Kind(genotypes.CellGenotype, genotypes.CellGenotype, {"normal": _cell, "reduction": _cell}),
    "recurrent": _Kind(
        genotypes.RecurrentGenotype,
        _recurrent,
        {
            "nodes": _list(_record(genotypes.RecurrentNode, _name_of(operations.ACTIVATIONS), _integer)),
            "output": _list(_integer),
        },
    ),
    "chain": _Kind(
        genotypes.ChainGenotype, genotypes.ChainGenotype, {"stages": _list(_list(_block)), "resolution": _resolution}
    ),
    "graph": _Kind(
        genotypes.GraphGenotype,
        _graph,
        {
            "operations": _list(_name_of(("input", *operations.VERTICES, "output"))),
            "edges": _list(_record(lambda *edge: edge, _integer, _integer)),
        },
    ),
    "edge": _Kind(
        genotypes.EdgeGenotype,
        _edge,
        {
            "num_states": _integer,
            "edges": _list(_record(lambda *edge: edge, _integer, _integer, _name_of(operations.EDGES))),
        },
    ),
}
