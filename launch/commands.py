"""The frame of a command: flags from configuration dataclasses, --help, errors of one line, exit codes.

Every command has its own flag values, so several can run in one process.
"""

import os
import pathlib
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import jax
from absl import flags

from common import compilation, exit_codes, flag_files, paths
from common import config as configs

FLAG_FILES = pathlib.Path(__file__).parent / "flagfiles"
Config = TypeVar("Config")
_TOGETHER = ("limit", "objectives", "pick")  # whose values all hold; of other flags the last one counts
_DEFINE = {int: flags.DEFINE_integer, float: flags.DEFINE_float, bool: flags.DEFINE_bool, str: flags.DEFINE_string}


def run_main(
    command: str,
    description: str,
    define: Callable[[flags.FlagValues], None],
    run: Callable[[flags.FlagValues], None],
    argv: Sequence[str] | None = None,
) -> int:
    """Runs a command: parses its flags, and turns errors into one line and an exit code, see `exit_codes`.

    Args:
      command: its name, or that of its module outside launch, for --help.
      define: defines its flags, of which `run` gets the values.
      argv: the command line without the program, by default that of the process.
    """
    code = exit_codes.piped(lambda: _run_main(command, description, define, run, argv))
    return exit_codes.ended(code) if argv is None else code


def _run_main(command, description, define, run, argv):
    flags.FLAGS.mark_as_parsed()  # libraries with flags of their own, such as grain, read their defaults
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        values = _parsed(command, define, flag_files.expand(argv, FLAG_FILES, once=_TOGETHER))
        if values.help:
            print(_help(command, description, values))
            return 0
        typed_words = [word.lstrip("-").partition("=")[0] for word in argv if word.startswith("-")]
        for name in values:
            values[name].is_typed = name in typed_words or f"no{name}" in typed_words
        return exit_codes.guarded(lambda: _start(values, run), has_traceback=values.traceback)
    except (ValueError, flags.Error) as error:
        return exit_codes.fail(f"{exit_codes.one_line(error)} (--help lists all flags)", code=2)


def _help(command, description, values):
    """Returns the description of a command and its flags, those of one dataclass under its title."""
    lines = [f"python -m {command if '.' in command else f'launch.{command}'} [--flag=value ...]"]
    lines += ["", (description or "").strip()]
    groups = {"Flags of the command": []}  # by title; those of the command itself are defined in several modules
    for section, found in values.flags_by_module_dict().items():
        groups.setdefault(section if " " in section else "Flags of the command", []).extend(found)
    for title, found in groups.items():
        lines += ["", f"{title}:".replace("None: ", "by default ")]
        for flag in found:
            default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
            shown = "" if default is None or default is False or default == "" else f" (default: {default})"
            text = f"--{flag.name}: {flag.help}{shown}".replace("None: ", "by default ")  # no value of a flag
            lines += textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="      ")
    return "\n".join(lines)


def define_cache(values: flags.FlagValues) -> None:
    """Defines --compilation_cache_dir."""
    text = "folder of compiled programs, for later runs; empty: none; by default in the user's cache folder"
    flags.DEFINE_string("compilation_cache_dir", None, text, flag_values=values)


def define(values: flags.FlagValues, config: Any, *, prefix: str = "", note: str = "") -> None:
    """Defines one flag per field of a configuration dataclass, those of nested dataclasses included.

    Help, choices and default come from the dataclass; `--help` groups the flags under the first line of its docstring.
    A field whose flag is defined already (a setting of another algorithm) shares it.

    Args:
      config: an instance, whose values are the defaults.
      prefix: of the flags' names.
      note: appended to each help text, such as the algorithm or evaluator that the setting is for.
    """
    kind = type(config)
    section = (kind.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    if not section or section.startswith(f"{kind.__name__}("):  # python -OO drops docstrings
        section = f"Settings of {kind.__module__}.{kind.__qualname__}"
    for field in configs.fields(type(config)):
        default = getattr(config, field.name)
        if field.is_nested:
            define(values, default, prefix=prefix, note=note)
        else:
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


def typed(values: flags.FlagValues, names: Iterable[str]) -> list[str]:
    """Returns those given on the command line itself; one of a flag file may lose its effect as another is replaced."""
    return [name for name in given(values, names) if getattr(values[name], "is_typed", True)]


def given_with(values: flags.FlagValues, *prefixes: str) -> list[str]:
    """Returns the flags that were given on the command line and whose names begin with one of `prefixes`."""
    return [name for name in given(values, values) if name.startswith(prefixes)]


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
        elif known[field.name] is False or not typed(values, [prefix + field.name]):
            continue  # off, as it is without effect; or not asked for
        elif field.needs and field.needs.name in known:
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
    default = list(default) if field.is_sequence else default
    if name not in values:
        kind = flags.DEFINE_list if field.is_sequence else _DEFINE[field.kind]
        kind(name, default, text, flag_values=values, module_name=section)
        values[name].texts = {}
    flag, texts = values[name], getattr(values[name], "texts", {values[name].help: [""]})
    texts.setdefault(text, []).append(note if default == flag.default else f"{note}: {default} by default")
    flag.fields, flag.texts = [*getattr(flag, "fields", ()), field], texts
    flag.help = "; ".join(each + f" ({', '.join(notes)})" * any(notes) for each, notes in texts.items())


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
    configs.require(*((False, fault) for fault in faults))


def _parsed(command, define, words):
    """Returns the flag values of a command line; a `ValueError` names all that is wrong with it."""
    try:
        return _parse(command, define, words)
    except flags.Error as error:
        faults, words = [], list(words)
        while words:
            group = [words.pop(0)]
            if "=" not in group[0] and words and not words[0].startswith("-"):
                group.append(words.pop(0))
            try:
                _parse(command, define, group)
            except flags.Error as fault:
                faults.append(_usage_message(fault))
        raise ValueError("; ".join(dict.fromkeys(faults or [_usage_message(error)]))) from error


def _parse(command, define, words):
    values = flags.FlagValues()
    define(values)
    flags.DEFINE_bool("traceback", False, "print the traceback of an error", flag_values=values)
    flags.DEFINE_bool("help", False, "print this help", short_name="h", flag_values=values)
    text = "file with one flag per line, or the name of one that ships, such as lanas_paper"
    flags.DEFINE_string("flagfile", None, text, flag_values=values)  # its flags are in `words` already
    if rest := values([command, *words])[1:]:
        raise flags.Error(f"unexpected argument {rest[0]!r}; flags are written --name=value")
    for name in set(values) - {"text"}:  # elsewhere only paths begin with ~ or $
        value = values[name].value
        try:
            values[name].value = jax.tree.map(lambda each: paths.expand(each) if isinstance(each, str) else each, value)
        except ValueError as error:
            raise flags.Error(f"--{name}={error}") from error
    return values


def _usage_message(error):
    text = re.sub("invalid literal for int.*", "must be a whole number", exit_codes.one_line(error))
    return re.sub("could not convert string to float.*", "must be a number", text)


def _start(values, run):
    """Sets up the process, before anything is on the device, and runs a command."""
    check_given(values)
    if "executor" in values and values.executor == "process":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # workers need the memory
    compilation.reset_variables()
    if "compilation_cache_dir" in values:
        compilation.enable_cache(values.compilation_cache_dir)
    run(values)
