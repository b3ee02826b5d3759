"""The frame of a command: its flags, --help, errors of one line, exit codes.

Every command has its own flag values, so several can run in one process.
"""

import contextlib
import errno
import os
import pathlib
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Sequence

from absl import flags

from common import compilation, flag_files, paths
from launch import flags as launch_flags

BROKEN_PIPE = 141  # as shells report a program that SIGPIPE ended
FLAG_FILES = pathlib.Path(__file__).parent / "flagfiles"


def run_main(
    command: str,
    description: str,
    define: Callable[[flags.FlagValues], None],
    run: Callable[[flags.FlagValues], None],
    argv: Sequence[str] | None = None,
) -> int:
    """Runs a command: parses its flags, and turns errors into one line and an exit code.

    `ValueError` and `OSError` are errors of the user or the system, one line on standard error, as is `flags.Error`, a
    usage error. Any other exception is a bug, and keeps its traceback.

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
    flags.FLAGS.mark_as_parsed()  # libraries with flags of their own, such as grain, read their defaults
    try:
        words = flag_files.expand(sys.argv[1:] if argv is None else argv, FLAG_FILES)
        values = _parsed(command, define, words)
    except ValueError as error:
        return _fail(f"{_one_line(error)} (--help lists all flags)", code=2)
    if values.help:
        print(_help(command, description, values))
        return 0
    try:
        launch_flags.check_given(values)
        _prepare(values)
        run(values)
    except BrokenPipeError:
        raise
    except flags.Error as error:
        return _fail(f"{_one_line(error)} (--help lists all flags)", code=2)
    except (ValueError, OSError) as error:
        if values.traceback:
            traceback.print_exc()
        return _fail(_system_message(error) if isinstance(error, OSError) else _one_line(error), code=1)
    except KeyboardInterrupt:
        return _fail("interrupted; resume it by the same command with the --workdir printed above", code=130)
    except Exception as error:
        if not values.traceback and (problem := compilation.missing_platform(error)):
            return _fail(problem, code=1)
        raise
    return 0


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
    if rest := values([command, *words])[1:]:
        raise flags.Error(f"unexpected argument {rest[0]!r}; flags are written --name=value")
    for name in set(values) - {"text"}:  # elsewhere only paths begin with ~ or $
        value, expand = values[name].value, paths.expand
        try:
            if isinstance(value, str):
                values[name].value = expand(value)
            elif isinstance(value, list):
                values[name].value = [expand(each) if isinstance(each, str) else each for each in value]
        except ValueError as error:
            raise flags.Error(f"--{name}={error}") from error
    return values


def _usage_message(error):
    text = re.sub("invalid literal for int.*", "must be a whole number", _one_line(error))
    return re.sub("could not convert string to float.*", "must be a number", text)


def _prepare(values):
    """Sets up the process, before anything is on the device."""
    if "executor" in values and values.executor == "process":
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # workers need the memory
    compilation.reset_variables()
    if "compilation_cache_dir" in values:
        compilation.enable_cache(values.compilation_cache_dir)


def _help(command, description, values):
    lines = [f"python -m launch.{command} [--flag=value ...]", "", (description or "").strip()]
    groups = {}  # of flags by title; those of the command itself are defined in several modules
    for section, found in values.flags_by_module_dict().items():
        groups.setdefault(section if " " in section else "Flags of the command", []).extend(found)
    for title, found in groups.items():
        lines += ["", f"{title}:"]
        for flag in found:
            default = ",".join(flag.default) if isinstance(flag.default, list) else flag.default
            shown = "" if default in (None, "") else f" (default: {default})"
            text = f"--{flag.name}: {flag.help}{shown}"
            lines += textwrap.wrap(text, 110, initial_indent="  ", subsequent_indent="      ")
        if title == "Flags of the command":
            lines.append(
                "  --flagfile: file with one flag per line, or the name of one that ships, such as lanas_paper"
            )
    return "\n".join(lines)


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
