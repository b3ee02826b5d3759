"""Markdown page of the published architectures: picture, source, published results and text of each."""

import pathlib
import textwrap

from common import drawing
from common.genotypes import published

_HEAD = """\
# Published architectures

    python -m launch.genotype --document=docs/genotypes.md

writes this page and its pictures from `common/genotypes/published.json`.

Drawings read from left to right. A line that branches carries the same tensor to all its ends. In a convolutional cell
a grey frame is a node, the sum of its operations, with its number in the circle. In a recurrent cell a node is one
activation, with its number in front, and 0 is the first state of the cell. Parameters are those of the network in the
same row, without its auxiliary head.
"""
_WIDTH = 116  # of the lines of a published text


def files() -> dict[str, str]:
    """Returns the contents of the page, `genotypes.md`, and of the drawings, `genotypes/NAME.svg`, by path."""
    contents = _filled(", ".join(f"[{name}](#{name})" for name in published.PUBLISHED) + ".")
    found = {"genotypes.md": "\n".join([_HEAD, contents, *map(_section, published.PUBLISHED.values())]) + "\n"}
    for name, made in published.PUBLISHED.items():
        found[f"genotypes/{name}.svg"] = drawing.svg(made.genotype, title=name)
    return found


def write(document: str | pathlib.Path) -> None:
    """Writes the page of published architectures, and their drawings into a folder of the same name without `.md`."""
    document = pathlib.Path(document)
    if document.suffix != ".md":
        raise ValueError(f"document must be a path that ends in .md; got {str(document)!r}")
    for path, text in files().items():
        at = document.parent / path.replace("genotypes", document.stem, 1)
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(text.replace("](genotypes/", f"]({document.stem}/"), encoding="utf-8")


def _section(made: published.Published) -> str:
    lines = ["", f"## {made.name}", "", f"![{made.name}](genotypes/{made.name}.svg)", ""]
    home = f"in the search space `{made.space}`" if made.space else "in no search space of this project"
    lines.append(_filled(f"{made.source}; {home}."))
    if made.note:
        lines += ["", _filled(made.note)]
    if made.claims:
        lines += ["", "| dataset | metric | value | parameters | network | source |", "|---|---|---|---|---|---|"]
        lines += [_row(claim) for claim in made.claims]
    text = textwrap.wrap(made.text, _WIDTH, break_on_hyphens=False)
    return "\n".join([*lines, "", f"As published, format `{made.format}`:", "", *(f"    {line}" for line in text)])


def _row(claim: published.Claim) -> str:
    """Returns the row of a claim; parameters in round thousands are known to that precision and given in millions."""
    params = "" if claim.params is None else f"{claim.params:,}"
    if params.endswith(",000"):
        params = f"{claim.params / 1e6:g} million"
    cells = (claim.dataset, claim.metric, f"{claim.value:g}", params, claim.setting, claim.by)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _filled(text: str) -> str:
    """Returns a paragraph whose lines break only at blanks."""
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
