"""Checked reading of tar archives, compressed or not: members of interest, within limits."""

import os
import pathlib
import tarfile
from collections.abc import Callable

from common.file_formats import files

_BROKEN = "is cut short, damaged or no tar archive"


def read(path: str | os.PathLike, is_wanted: Callable[[str], bool]) -> tuple[dict[str, bytes], list[str]]:
    """Returns (contents of the wanted files by name without folders, the names of all files).

    Raises:
      ValueError: the archive is missing, damaged, holds a sparse file or two wanted files of one name, or expands to
        more than `files.limit` bytes.
    """
    found, names, total = {}, [], 0
    most = files.limit(files.check(path))
    with files.reporting(path, _BROKEN), files.opened(path) as file, _open(file, path) as archive:
        for member in archive:
            total += member.size
            if member.issparse() or member.size < 0 or total > most:
                raise files.FormatError(f"{path}: {member.name[:60]} has {member.size:,} bytes, too many to be read")
            name = pathlib.PurePosixPath(member.name).name
            if not member.isfile():
                continue
            names.append(name)
            if is_wanted(name):
                if name in found:
                    raise files.FormatError(f"{path} holds two files called {name[:60]}; keep one of them")
                found[name] = archive.extractfile(member).read()
    return found, names


def _open(file, path):
    try:
        return tarfile.open(fileobj=file, mode="r|")
    except (tarfile.TarError, EOFError) as error:
        found = files.kind_of(path)
        raise files.FormatError(
            f"{path} is {f'{found}, not a' if found else 'empty, damaged or no'} tar archive"
        ) from error
