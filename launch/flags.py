"""Command-line flags from configuration dataclasses."""

from collections.abc import Iterable
from typing import Any, TypeVar

from absl import flags

from common import config as configs

Config = TypeVar("Config")


def define_cache(values: flags.FlagValues) -> None:
    """Defines --compilation_cache_dir."""
    text = "folder of compiled programs, for later runs; empty: none; by default in the user's cache folder"
    flags.DEFINE_string("compilation_cache_dir", None, text, flag_values=values)


_DEFINE = {
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_bool,
    str: flags.DEFINE_string,
}


def define(
    values: flags.FlagValues, config: Any, *, prefix: str = "", note: str = "", omit: Iterable[str] = ()
) -> None:
    """Defines one flag per field of a configuration dataclass, those of nested dataclasses included.

    Help, choices and default come from the dataclass; `--help` groups the flags under the first line of its docstring.
    A field whose flag is defined already (a setting of another algorithm) shares it.

    Args:
      values: where to define.
      config: an instance, whose values are the defaults.
      prefix: of the flags' names.
      note: appended to each help text, such as the algorithm or evaluator that the setting is for.
      omit: fields without a flag.
    """
    kind = type(config)
    section = (kind.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    if not section or section.startswith(f"{kind.__name__}("):  # python -OO drops docstrings
        section = f"Settings of {kind.__module__}.{kind.__qualname__}"
    for field in configs.fields(type(config)):
        default = getattr(config, field.name)
        if field.is_nested:
            define(values, default, prefix=prefix, note=note, omit=omit)
        elif field.name not in omit:
            _define_field(values, field, default, name=prefix + field.name, note=note, section=section)


def read(values: flags.FlagValues, config: Config, *, prefix: str = "") -> Config:
    """Returns `config` with the fields whose flags were given on the command line.

    Raises:
      ValueError: a value is not allowed, or without effect for want of another; the message names the flag.
    """
    changed = configs.replace(config, _given(values, config, prefix))
    configs.require(*_effects(values, changed, prefix, {}))
    return changed


def given(values: flags.FlagValues, names: Iterable[str]) -> list[str]:
    """Returns those of the flags `names` that were given on the command line."""
    return [name for name in names if name in values and not values[name].using_default_value]


def _given(values, config, prefix):
    found = {}
    for field in configs.fields(type(config)):
        name = prefix + field.name
        if field.is_nested:
            found |= _given(values, getattr(config, field.name), prefix)
        elif given(values, [name]):
            found[field.name] = _checked(field, values, name)
    return found


def _effects(values, config, prefix, outer):
    """Yields the rules that the flags given have an effect; `outer` are the settings of the dataclasses around."""
    known = outer | {field.name: getattr(config, field.name) for field in configs.fields(type(config))}
    for field in configs.fields(type(config)):
        if field.is_nested:
            yield from _effects(values, known[field.name], prefix, known)
        elif field.needs and field.needs.name in known and given(values, [prefix + field.name]):
            flag = f"--{prefix}{field.needs.name}"
            flag = " or ".join(f"{flag}={value}" for value in field.needs.values) or flag
            text = f"--{prefix}{field.name} has no effect without {flag}; give that too, or leave it out"
            yield field.needs.is_met(known[field.needs.name]), text


def _checked(field, values, name):
    """Returns the value of the flag `name` for a field."""
    value = values[name].value
    if field.is_sequence:
        try:
            value = tuple(map(field.kind, value))
        except ValueError as error:
            raise ValueError(f"--{name} must be numbers; got {','.join(map(str, value))}") from error
    configs.check(field, value, name=f"--{name}")
    return value


def _define_field(values, field, default, *, name, note, section):
    text = field.help
    if field.choices and not all(str(choice) in text for choice in field.choices):
        text = f"{text}: {', '.join(map(str, field.choices))}"
    text = f"{text} ({note})" if note else text
    if name in values:
        if values[name].help != text:
            values[name].help += f"; {text}"
        values[name].fields = [*getattr(values[name], "fields", ()), field]
        return
    kind = flags.DEFINE_list if field.is_sequence else _DEFINE[field.kind]
    kind(name, list(default) if field.is_sequence else default, text, flag_values=values, module_name=section)
    values[name].fields = [field]


def check_given(values: flags.FlagValues) -> None:
    """Raises a `ValueError` that names every flag given on the command line with a value that is not allowed."""
    faults = []
    for name in given(values, values):
        found = []
        for field in getattr(values[name], "fields", ()):
            try:
                _checked(field, values, name)
            except ValueError as error:
                found.append(str(error))
        if found and len(found) == len(values[name].fields):  # settings of several algorithms may share a flag
            faults.append(found[0])
    if faults:
        raise ValueError("; ".join(faults))
