"""The record of a published architecture."""

import dataclasses
from typing import NamedTuple

from common.genotypes import formats
from common.genotypes.genotype import Genotype

ERROR, TOP_1, TOP_5 = "test error, %", "top-1 error, %", "top-5 error, %"
PERPLEXITY = "test perplexity"


class Claim(NamedTuple):
    """What somebody says that an architecture reaches.

    Attributes:
      dataset: such as `cifar10`.
      metric: what is measured, such as `test error, %`.
      value: the number.
      by: who says so, and where.
      setting: width, depth and training, as far as they are known.
      params: parameters of that network without its auxiliary head, as exactly as they are known, else None.
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
      name: its key in `common.genotypes.published.PUBLISHED`.
      genotype: the architecture.
      source: the paper, and where its text stands.
      format: the key in `common.genotypes.formats.FORMATS` of the format that it was published in.
      text: as published, but for line breaks.
      space: the search space that holds it, None if no space does.
      claims: what it is said to reach; figures that no source at hand confirms are left out.
      note: what else to know of it.
    """

    name: str
    genotype: Genotype
    source: str
    format: str
    text: str
    space: str | None = None
    claims: tuple[Claim, ...] = ()
    note: str = ""


def publish(name: str, format_name: str, text: str, **fields) -> Published:
    """Returns the record of a text in a format; the other fields are those of `Published`."""
    genotype = formats.get(format_name).read(text)
    return Published(name=name, genotype=genotype, format=format_name, text=text, **fields)
