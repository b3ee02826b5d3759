"""Configuration dataclasses: field descriptions, validation and JSON, all from the annotations.

A setting is declared once:

    height: Annotated[int, "levels of the tree", Range(at_least=1, at_most=16)] = 4
    regressor: Annotated[Literal["ridge", "adam"], "linear model of a node"] = "ridge"

`launch.commands` makes command-line flags of the same descriptions.
"""

import dataclasses
import functools
import math
import numbers
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from common import spelling

Config = TypeVar("Config")
MAX_SEED = 2**32 - 1  # beyond, random keys would repeat

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclasses.dataclass(frozen=True)
class Range:
    """Bounds of a number, for the annotation of a field."""

    at_least: float = -math.inf
    above: float = -math.inf
    at_most: float = math.inf
    below: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.at_least <= value <= self.at_most and self.above < value < self.below

    def __str__(self) -> str:
        bounds = (("at least", self.at_least), ("above", self.above), ("at most", self.at_most), ("below", self.below))
        finite = (
            (text, int(bound) if bound == int(bound) else bound) for text, bound in bounds if math.isfinite(bound)
        )
        return " and ".join(f"{text} {bound}" for text, bound in finite)


Seed = Annotated[int, "seed of all random numbers", Range(at_least=0, at_most=MAX_SEED)]


@dataclasses.dataclass(frozen=True)
class Needs:
    """A setting without which another one has no effect, for the annotation of the latter."""

    name: str  # of a field of the same dataclass, or of one that holds it
    values: tuple[Any, ...] = ()  # of that field, with which there is an effect; none: any but None, False and 0

    def is_met(self, value: Any) -> bool:
        """Returns whether the other setting has an effect, given the value of this one."""
        return value in self.values if self.values else bool(value)


@dataclasses.dataclass(frozen=True)
class Field:
    """Description of one setting.

    Attributes:
      name: of the field.
      kind: int, float, bool, str, or a dataclass whose fields are settings too.
      help: one phrase: the meaning, the unit.
      choices: the allowed values, empty where any will do.
      bounds: of a number; of each of a sequence.
      is_optional: whether None is allowed.
      is_sequence: whether the value is a tuple of `kind`.
      needs: the setting without which this one has no effect.
    """

    name: str
    kind: type
    help: str
    choices: tuple[Any, ...] = ()
    bounds: Range = Range()
    is_optional: bool = False
    is_sequence: bool = False
    needs: Needs | None = None

    @property
    def is_nested(self) -> bool:
        """Whether the value is a configuration dataclass."""
        return dataclasses.is_dataclass(self.kind)


@typing.dataclass_transform(frozen_default=True)
def dataclass(cls: type[Config]) -> type[Config]:
    """Makes a class a configuration dataclass: frozen, with fields that are validated.

    A class with further rules has a `__post_init__`, which is called when each field is valid.
    """
    rules = getattr(cls, "__post_init__", None)

    def validate_all(self):
        validate(self)
        if rules:
            rules(self)

    cls.__post_init__ = validate_all
    return dataclasses.dataclass(frozen=True)(cls)


@functools.cache
def fields(cls: type) -> tuple[Field, ...]:
    """Returns the descriptions of the fields of a configuration dataclass, in order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(_described(field.name, hints[field.name]) for field in dataclasses.fields(cls))


def validate(config: Any) -> None:
    """Raises a `ValueError` for all fields whose type, choice or range is wrong."""
    gathered(*(functools.partial(check, field, getattr(config, field.name)) for field in fields(type(config))))


def require(*rules: tuple[bool, str]) -> None:
    """Raises a `ValueError` with the texts of all rules, pairs of whether it holds and a text, that do not hold."""
    if broken := [text for holds, text in rules if not holds]:
        raise ValueError("; ".join(broken))


def gathered(*functions: Callable[[], Any]) -> list[Any]:
    """Returns the results of calling each function; raises a `ValueError` with the messages of all that raise one."""
    results, faults = [], []
    for function in functions:
        try:
            results.append(function())
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("; ".join(dict.fromkeys(faults)))
    return results


def check(field: Field, value: Any, *, name: str | None = None) -> None:
    """Raises a `ValueError` unless `value` is allowed for a field; the message calls it `name`."""
    name = name or field.name
    if field.is_nested:
        if not isinstance(value, field.kind):
            raise ValueError(f"{name} must be a {field.kind.__module__}.{field.kind.__name__}; got {value!r}")
    elif field.is_sequence:
        if not isinstance(value, tuple):
            raise ValueError(f"{name} must be a tuple; got {value!r}")
        for item in value:
            _check_one(field, item, name)
    elif value is not None or not field.is_optional:
        _check_one(field, value, name)


def one_of(name: str, value: Any, allowed: Iterable[Any]) -> None:
    """Raises a `ValueError` that lists the allowed values, and names the nearest, if `value` is none of them."""
    if value not in (allowed := tuple(allowed)):
        texts = list(map(str, allowed))
        advice = "; ".join(filter(None, (f"choose one of {', '.join(texts)}", spelling.hint(str(value), texts))))
        raise ValueError(f"unknown {name} {value!r}; {advice}")


def replace(config: Config, values: Mapping[str, Any]) -> Config:
    """Returns a copy with the given fields replaced, those of nested dataclasses included.

    Args:
      values: by field name; a name that several nested dataclasses share is set in each.

    Raises:
      ValueError: there is no field of a name, or a value is not allowed.
    """
    if unknown := values.keys() - set(flat_names(config)):
        raise ValueError(f"unknown settings {', '.join(sorted(unknown))} of {type(config).__module__}")
    changed = {field.name: values[field.name] for field in fields(type(config)) if field.name in values}

    def replace_in(field):
        nested = getattr(config, field.name)
        changed[field.name] = replace(nested, {name: values[name] for name in flat_names(nested) if name in values})

    parts = [functools.partial(replace_in, field) for field in fields(type(config)) if field.is_nested]
    return gathered(*parts, lambda: dataclasses.replace(config, **changed))[-1]


def flat_names(config: Any) -> list[str]:
    """Returns the names of all fields, those of nested dataclasses in place of their own."""
    names = []
    for field in fields(type(config)):
        names += flat_names(getattr(config, field.name)) if field.is_nested else [field.name]
    return names


def to_json(config: Any) -> dict[str, Any]:
    """Returns the settings as JSON types; undone by `from_json`."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in _items(config)}


def from_json(cls: type[Config], record: Mapping[str, Any]) -> Config:
    """Returns the configuration that `to_json` wrote.

    Raises:
      ValueError: a field is missing (unless it can be None), unknown or not allowed, as in a file of another version.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"settings must be an object; got {record!r}")
    names = {field.name for field in fields(cls)}
    optional = {field.name for field in fields(cls) if field.is_optional}  # None in records without them
    if differing := sorted(names - optional - set(record) | set(record) - names):
        raise ValueError(f"settings of another version: {', '.join(differing)} missing or unknown")
    values = {}
    for field in fields(cls):
        value = record.get(field.name)
        if field.is_nested:
            value = from_json(field.kind, value)
        elif field.is_sequence and isinstance(value, list):
            value = tuple(value)
        values[field.name] = value
    return cls(**values)


def _items(config):
    for field in fields(type(config)):
        value = getattr(config, field.name)
        yield field.name, to_json(value) if field.is_nested else value


def _described(name, hint):
    metadata = typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ()
    kind = typing.get_args(hint)[0] if metadata else hint
    text = next((item for item in metadata if isinstance(item, str)), "")
    bounds = next((item for item in metadata if isinstance(item, Range)), Range())
    needs = next((item for item in metadata if isinstance(item, Needs)), None)
    choices, is_optional, is_sequence = (), False, False
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        is_optional = True
        (kind,) = (option for option in typing.get_args(kind) if option is not type(None))
    if typing.get_origin(kind) is tuple:
        is_sequence, kind = True, typing.get_args(kind)[0]
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        kind = type(choices[0])
    return Field(name, kind, text, choices, bounds, is_optional, is_sequence, needs)


def _check_one(field, value, name):
    if field.choices:
        one_of(name, value, field.choices)
        return
    allowed = {int: numbers.Integral, float: numbers.Real}.get(field.kind, field.kind)
    if not isinstance(value, allowed) or (isinstance(value, bool) and field.kind is not bool):
        raise ValueError(f"{name} must be {_KINDS[field.kind]}; got {value!r}")
    if field.kind in (int, float) and not (math.isfinite(value) and value in field.bounds):
        raise ValueError(f"{name} must be {str(field.bounds) or 'finite'}; got {value}")
