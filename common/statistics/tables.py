"""Tables as text: Markdown for pages, LaTeX for papers."""

from collections.abc import Sequence

_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\`*_|<>[]#"})
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}"}
    | {">": r"\textgreater{}", "±": r"$\pm$", "\N{EN DASH}": "--", "∞": r"$\infty$"}
)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table, the first column aligned to the left and the others to the right.

    Raises:
      ValueError: a row differs from the header in length.
    """
    _check(header, rows)
    first, *others = [[_one_line(cell).translate(_MARKDOWN) for cell in line] for line in (header, *rows)]
    lines = [first, ["---", *["---:"] * (len(header) - 1)], *others]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def latex(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Returns a LaTeX `tabular` with the rules of the package booktabs, the first column aligned to the left.

    Raises:
      ValueError: a row differs from the header in length.
    """
    _check(header, rows)
    lines = [" & ".join(_one_line(cell).translate(_LATEX) for cell in line) + r" \\" for line in (header, *rows)]
    columns = "l" + "r" * (len(header) - 1)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
    return "\n".join([*body, r"\end{tabular}", ""])


def _one_line(cell):
    return " ".join(str(cell).split())


def _check(header, rows):
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} cells, the header {len(header)}: {list(row)}")
