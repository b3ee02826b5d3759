"""Published architectures by name, and how a user names an architecture."""

import difflib
import pathlib

from common.genotypes import json_text, published_lanas, published_nao, published_others
from common.genotypes.genotype import Genotype
from common.genotypes.publication import Claim, Published

__all__ = ["PUBLISHED", "Claim", "Published", "get"]

PUBLISHED: dict[str, Published] = {
    made.name: made for made in (*published_nao.PUBLISHED, *published_lanas.PUBLISHED, *published_others.PUBLISHED)
}


def get(name_or_path: str) -> Genotype:
    """Returns a genotype from the name of a published one, the path of a JSON file, or JSON text.

    Raises:
      ValueError: there is no such name and no such file, or what it holds is no genotype; where it is close
        to a name, the message tells.
    """
    if name_or_path in PUBLISHED:
        return PUBLISHED[name_or_path].genotype
    if name_or_path.lstrip().startswith("{"):
        return json_text.from_text(name_or_path)
    path = pathlib.Path(name_or_path)
    if path.is_file():
        try:
            return json_text.from_text(path.read_text(encoding="utf-8"))
        except ValueError as error:  # also text that is no UTF-8
            raise ValueError(f"{path}: {error}") from error
    near = difflib.get_close_matches(name_or_path.lower(), PUBLISHED, n=3, cutoff=0.7)
    hint = f"did you mean {' or '.join(near)}?" if near else f"published are {', '.join(PUBLISHED)}"
    raise ValueError(f"no published architecture and no file {name_or_path!r}; {hint}")
