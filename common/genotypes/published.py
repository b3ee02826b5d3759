"""Published architectures by name, read from `published.json`, and how a user names an architecture.

Cells of NAO's replicas of other papers have names that end in `_nao`.
"""

import dataclasses
import importlib.resources
import json
import pathlib
from typing import NamedTuple

from common import spelling
from common.file_formats import files
from common.genotypes import formats, json_text
from common.genotypes.genotype import Genotype


class Claim(NamedTuple):
    """A published result of an architecture.

    Attributes:
      dataset: such as `cifar10`.
      metric: name and unit of the value, such as `test error, %`.
      value: the figure.
      by: the publication that states it, and where.
      setting: width, depth and training, as far as they are known.
      params: parameters of that network without its auxiliary head, None if unknown.
    """

    dataset: str
    metric: str
    value: float
    by: str
    setting: str = ""
    params: int | None = None


@dataclasses.dataclass(frozen=True)
class Published:
    """A published architecture.

    Attributes:
      name: its key in `PUBLISHED`.
      genotype: the architecture.
      source: the paper, and the place of its text.
      format: the key in `common.genotypes.formats.FORMATS` of the format in which it was published.
      text: as published, except for line breaks.
      space: the search space that contains it, None if no space does.
      claims: its published results; figures that no source at hand confirms are left out.
      note: remarks.
    """

    name: str
    genotype: Genotype
    source: str
    format: str
    text: str
    space: str | None = None
    claims: tuple[Claim, ...] = ()
    note: str = ""


def get(name_or_path: str) -> Genotype:
    """Returns a genotype from the name of a published one, the path of a file, or a text.

    A file or text must be in a format that shows itself, such as JSON or `Genotype(...)`.

    Raises:
      ValueError: there is no such name and no such file, or its content is not a genotype.
    """
    if name_or_path in PUBLISHED:
        return PUBLISHED[name_or_path].genotype
    if formats.recognize(name_or_path) is not None:
        return read(name_or_path)
    path = pathlib.Path(name_or_path)
    if path.is_file():
        try:
            return _read_file(path)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    if path.exists():
        files.check(path)  # raises, and says what it is
    hint = spelling.hint(name_or_path.lower(), PUBLISHED) or f"published are {', '.join(PUBLISHED)}"
    raise ValueError(f"no published architecture and no file {name_or_path!r}; {hint}")


def read(text: str) -> Genotype:
    """Returns the genotype of a text in a format that shows itself; raises a `ValueError` otherwise."""
    name = formats.recognize(text)
    if name is None:
        raise ValueError(
            "its format does not show: name it, as in `python -m launch.genotype --text=- --from_format=nao_small "
            "--output=mine.json < FILE`"
        )
    return formats.get(name).read(text)


def _read_file(path: pathlib.Path) -> Genotype:
    with path.open("rb") as file:
        content = file.read(4 * json_text.MAX_LENGTH + 1)  # of more, no text is read
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError("UTF-16 text; save it as UTF-8")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    return read(text)


PUBLISHED: dict[str, Published] = {}
for _record in json.loads(importlib.resources.files("common.genotypes").joinpath("published.json").read_text("utf-8")):
    _record["claims"] = tuple(Claim(**claim) for claim in _record["claims"])
    PUBLISHED[_record["name"]] = Published(genotype=formats.get(_record["format"]).read(_record["text"]), **_record)
