"""Checked reading of CSV: the lines as cells, with their numbers."""

import csv
import os
import re
from collections.abc import Iterable

from common.file_formats import files


def parse(text: str, path: str | os.PathLike) -> list[tuple[int, list[str]]]:
    """Returns (line number, cells) of each line that is not empty; `path` is for messages."""
    reader = csv.reader(text.splitlines(), strict=True)
    lines = []
    while True:
        try:
            line = next(reader)
        except StopIteration:
            return lines
        except csv.Error as error:
            problem = "its quotation marks do not match, or a cell is too long"
            raise files.FormatError(f"line {reader.line_num} of {path} is not CSV: {problem}") from error
        if line:
            lines.append((reader.line_num, line))


def check_case(columns: Iterable[str], known: str, path: str | os.PathLike) -> None:
    """Raises a `ValueError` if columns have a name of the regular expression `known`, but in capital letters."""
    wrong = [name for name in columns if re.fullmatch(f"(?i:{known})", name) and not re.fullmatch(known, name)]
    if wrong:
        right = ", ".join(name.lower() for name in wrong)
        raise files.FormatError(
            f"{path} has the columns {', '.join(wrong)}; write their names in small letters: {right}"
        )
