"""Command-line flags from configuration dataclasses, and the frame of a command.

Every command has its own flag values, so several can run in one process.
"""

import contextlib
import dataclasses
import errno
import os
import re
import sys
import textwrap
import traceback
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from absl import flags

from common import config as configs
from common import executors, search, tables
from common.executors import config as executor_config
from common.records import measurements

Config = TypeVar("Config")

MAX_SEED = 2**32 - 1  # beyond, keys would repeat
BROKEN_PIPE = 141  # as shells report a program that SIGPIPE ended

_NETWORK = {
    "num_cells": (flags.DEFINE_integer, "cells in all, the two reductions among them"),
    "width": (flags.DEFINE_integer, "channels of an operation in the first cell"),
    "drop_path_keep": (flags.DEFINE_float, "probability at the end of training to keep a branch; 1 drops none"),
    "dropout_keep": (flags.DEFINE_float, "probability to keep a feature before the classifier"),
    "auxiliary": (flags.DEFINE_bool, "whether there is an auxiliary head"),
    "dtype": (flags.DEFINE_string, "of activations: float32 or bfloat16"),
    "remat": (flags.DEFINE_bool, "whether activations are computed twice, which takes less memory"),
}


def run_main(
    command: str,
    description: str,
    define: Callable[[flags.FlagValues], None],
    run: Callable[[flags.FlagValues], None],
    argv: Sequence[str] | None = None,
) -> int:
    """Runs a command: parses its flags, and turns errors into one line and an exit code.

    `ValueError` and `OSError` are errors of the user or the system, one line on standard error. Any other exception is
    a bug, and keeps its traceback.

    Args:
      command: its name, for --help.
      description: what it does, for --help.
      define: defines its flags.
      run: runs it.
      argv: the command line without the program, by default that of the process.

    Returns:
      The exit code: 0 success, 1 error, 2 usage error, 130 interrupted, 141 broken pipe (as in `| head`).
    """
    try:
        code = _run_main(command, description, define, run, argv)
        print(end="", flush=True)  # a broken pipe shows here, not at exit
        return code
    except (BrokenPipeError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):  # rich exits by one
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)  # for what Python flushes at exit
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                os.dup2(nowhere, stream.fileno())
        return BROKEN_PIPE


def _run_main(command, description, define, run, argv):
    values = flags.FlagValues()
    flags.FLAGS.mark_as_parsed()  # libraries with flags of their own, such as grain, read their defaults
    define(values)
    flags.DEFINE_bool("traceback", False, "print the traceback of an error", flag_values=values)
    flags.DEFINE_bool("help", False, "print this help", short_name="h", flag_values=values)
    try:
        rest = values([command, *(sys.argv[1:] if argv is None else argv)])[1:]
        if rest:
            raise flags.Error(f"unexpected argument {rest[0]!r}; flags are written --name=value")
    except flags.Error as error:
        text = re.sub("invalid literal for int.*", "must be a whole number", _one_line(error))
        text = re.sub("could not convert string to float.*", "must be a number", text)
        return _fail(f"{text} (--help lists all flags)", code=2)
    if values.help:
        print(_help(command, description, values))
        return 0
    try:
        run(values)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        if values.traceback:
            traceback.print_exc()
        return _fail(_system_message(error) if isinstance(error, OSError) else _one_line(error), code=1)
    except KeyboardInterrupt:
        return _fail("interrupted; resume it by the same command with the --workdir printed above", code=130)
    return 0


def define_common(values: flags.FlagValues, *, budget: int) -> None:
    """Defines the flags that all searches share; `budget` is the default one."""

    def define(name, default, text, of=flags.DEFINE_string):
        of(name, default, text, flag_values=values)

    define("benchmark", "digits_convnet", f"one of {', '.join(tables.BENCHMARKS)}")
    define("dataset", None, "of a benchmark that has several, for example cifar100")
    define("protocol", "validation", "fitness that the search sees: validation, or test (the LaNAS paper's protocol)")
    define("data_dir", os.environ.get("NAS_DATA_DIR"), "folder of the benchmark files; else $NAS_DATA_DIR")
    define("budget", budget, "architectures to measure", flags.DEFINE_integer)
    define("seed", 0, "decides everything random; of a study, the first of its seeds", flags.DEFINE_integer)
    define("workdir", None, "folder of the run, to start or to go on with; by default a fresh one under runs/")
    define("compilation_cache_dir", None, "where compiled programs are kept; empty: nowhere")


def define_executor(values: flags.FlagValues) -> None:
    """Defines the flags of commands that measure on the host."""

    def define(name, default, text):
        flags.DEFINE_string(name, default, text, flag_values=values)

    define("executor", "inline", f"where measurements run: {', '.join(executors.EXECUTORS)}")
    define_config(values, executor_config.Config())
    define("mode", "synchronous", "synchronous: a round waits for all before it; asynchronous: no worker ever waits")
    define("warm_start", None, "file of earlier measurements to begin with (.jsonl or .csv), beside the budget")
    define("export", None, "file to write all measurements to in the end (.jsonl or .csv)")


def define_network(values: flags.FlagValues) -> None:
    """Defines the flags of networks that are trained on images."""
    for name, (define, text) in _NETWORK.items():
        define(name, None, f"{text}; by default as in --preset", flag_values=values)


def network_of(values: flags.FlagValues) -> dict[str, Any]:
    """Returns the settings of the network that were given on the command line."""
    return {name: values[name].value for name in _NETWORK if values[name].value is not None}


def check_common(values: flags.FlagValues) -> None:
    """Raises a `ValueError` for the first common flag that is out of range."""
    check_search(values)
    tables.get(values.benchmark)


def check_search(values: flags.FlagValues) -> None:
    """Raises a `ValueError` for the first flag out of range of those that every search has, whatever is searched."""
    if not 0 <= values.seed <= MAX_SEED:
        raise ValueError(f"--seed must be from 0 to {MAX_SEED}; got {values.seed}")
    if values.budget < 1:
        raise ValueError(f"--budget must be at least 1 measurement; got {values.budget}")
    if "executor" in values:
        one_of("executor", values.executor, executors.EXECUTORS)
        one_of("mode", values.mode, search.MODES)
        config_of(values, executor_config.Config())
        if values.export:
            measurements.check_name(values.export)


def one_of(flag: str, name: str, allowed: typing.Iterable[str]) -> None:
    """Raises a `ValueError` that lists what is allowed if `name` is not."""
    if name not in allowed:
        raise ValueError(f"unknown --{flag}={name}; choose one of {', '.join(sorted(allowed))}")


def define_config(values: flags.FlagValues, config: Any, *, only_if: str = "") -> None:
    """Defines one flag per field of a frozen dataclass, and of the dataclasses in its fields.

    The help is the text in the field's annotation, the default that of the instance `config`. A field
    whose flag is there already (another algorithm's) shares it.

    Args:
      values: where to define.
      config: an instance.
      only_if: what the flags are for, if not for all uses of the command.
    """
    for field in dataclasses.fields(config):
        kind, text = _annotation(config, field.name)
        default = getattr(config, field.name)
        if dataclasses.is_dataclass(default):
            define_config(values, default, only_if=only_if)
            continue
        if only_if:
            text = f"{text} ({only_if}, by default {default})"
            if field.name in values:
                text = f"{values[field.name].help}; {text}"
                delattr(values, field.name)
            default = None  # algorithms may differ in theirs
        _DEFINE[kind](field.name, default, text, flag_values=values)


def config_of(values: flags.FlagValues, config: Config) -> Config:
    """Returns `config` with the fields whose flags were given on the command line."""
    given = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            given[field.name] = config_of(values, value)
        elif not values[field.name].using_default_value:
            given[field.name] = getattr(values, field.name)
    return dataclasses.replace(config, **given)


_DEFINE = {
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_bool,
    str: flags.DEFINE_string,
}


def _annotation(config, name):
    """Returns (type, help with the choices) of a field."""
    (field,) = (field for field in configs.fields(type(config)) if field.name == name)
    if field.choices and not all(str(choice) in field.help for choice in field.choices):
        return field.kind, f"{field.help}: {', '.join(map(str, field.choices))}"
    return field.kind, field.help


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
      ValueError: a value is not allowed; the message names the flag.
    """
    return configs.replace(config, _given(values, config, prefix))


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
            value = values[name].value
            found[field.name] = _sequence(field, value, name) if field.is_sequence else value
            configs.check(field, found[field.name], name=f"--{name}")
    return found


def _sequence(field, texts, name):
    try:
        return tuple(map(field.kind, texts))
    except ValueError as error:
        raise ValueError(f"--{name} must be numbers; got {','.join(map(str, texts))}") from error


def _define_field(values, field, default, *, name, note, section):
    text = field.help
    if field.choices and not all(str(choice) in text for choice in field.choices):
        text = f"{text}: {', '.join(map(str, field.choices))}"
    text = f"{text} ({note})" if note else text
    if name in values:
        if values[name].help != text:
            values[name].help += f"; {text}"
        return
    kind = flags.DEFINE_list if field.is_sequence else _DEFINE[field.kind]
    kind(name, list(default) if field.is_sequence else default, text, flag_values=values, module_name=section)


def _help(command, description, values):
    lines = [f"python -m launch.{command} [--flag=value ...]", "", (description or "").strip()]
    for section, found in values.flags_by_module_dict().items():
        title = section if " " in section else "Flags of the command"
        lines += ["", f"{title}:"]
        for flag in found:
            default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
            shown = "" if default in (None, "") else f" (default: {default})"
            text = f"--{flag.name}: {flag.help}{shown}"
            lines += textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="      ")
    return "\n".join([*lines, "  --flagfile: file with one flag per line"])


def _one_line(error):
    return " ".join(str(error).split())


def _system_message(error):
    """Returns the file and the reason of an `OSError`."""
    where = f"{error.filename}: " if error.filename else ""
    advice = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        advice = "; make room and resume with the same --workdir"
    return _one_line(f"{where}{error.strerror or error}{advice}")


def _fail(message, *, code):
    print(f"error: {message}", file=sys.stderr)
    return code
