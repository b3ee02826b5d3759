"""Flag files: one flag per line, by their path or, for those that ship with the package, by their name."""

import os
import pathlib
import re
from collections.abc import Sequence

from common import paths
from common.file_formats import text_file

_FLAG = re.compile(r"--?flagfile(?:=(.*))?", re.DOTALL)
_SUFFIX = ".cfg"


def expand(
    argv: Sequence[str],
    folder: str | os.PathLike,
    *,
    once: Sequence[str] = (),
    within: tuple[pathlib.Path, ...] = (),
) -> list[str]:
    """Returns a command line with the flags of its flag files in their places.

    Empty lines and lines that begin with # or // are left out; a flag file may name others.

    Args:
      argv: the command line without the program.
      folder: of the flag files that ship with the package.
      once: names of flags whose last value must not silently replace others; one that follows a flag file may
        replace those of the file.
      within: the flag files that this command line is in.

    Raises:
      ValueError: a file is missing, is no text, or includes itself, or a flag of `once` is given twice.
    """
    found, words, given = [], list(argv), []  # the last: (name of a flag, whether a flag file gives it)
    while words:
        word = words.pop(0)
        if word == "--":
            return [*found, word, *words]
        if not (match := _FLAG.fullmatch(word)):
            found.append(word)
            given.append((_flag_name(word), False))
            continue
        if (name := match[1]) is None:
            if not words:
                raise ValueError("--flagfile needs a file: --flagfile=NAME")
            name = words.pop(0)
        path = find(name.strip(), folder)
        if path in within:
            raise ValueError(f"flag file {path} includes itself")
        lines = [line.strip() for line in text_file.read(path).splitlines()]
        lines = [line for line in lines if line and not line.startswith(("#", "//"))]
        if wrong := next((line for line in lines if re.match(r"--?\w+\s", line)), None):
            raise ValueError(f"{path}: flags are written --name=value, one a line; got {wrong!r:.60}")
        inner = expand(lines, folder, once=once, within=(*within, path))
        given += [(name, True) for name in set(map(_flag_name, inner))]
        found += inner
    for name in once:
        are_of_files = [is_of_file for each, is_of_file in given if each == name]
        if len(are_of_files) > 1 and (are_of_files[-1] or not all(are_of_files[:-1])):
            where = f"{within[-1]}: " if within else ""
            raise ValueError(f"{where}--{name} is given twice; give it once, with commas between the values")
    return found


def _flag_name(word):
    return word.lstrip("-").partition("=")[0] if word.startswith("-") else None


def find(name: str, folder: str | os.PathLike) -> pathlib.Path:
    """Returns the flag file called `name`: a path, or the name of one in `folder`, with or without its suffix.

    Raises:
      ValueError: there is none.
    """
    folder, path = pathlib.Path(folder), paths.path(name)
    if name and path.is_file():
        return path.absolute()
    is_shipped = path.parts[:-1] in ((), ("flagfiles",), ("launch", "flagfiles"))
    for file in (path.name, path.name + _SUFFIX):
        if is_shipped and (folder / file).is_file():
            return folder / file
    names = ", ".join(sorted(file.stem for file in folder.glob(f"*{_SUFFIX}")))
    raise ValueError(f"no flag file {name!r}; give the path of a file, or the name of one that ships: {names}")
