"""Tables that commands print."""

from collections.abc import Iterable, Mapping, Sequence

import rich.console
import rich.table
import rich.text


def show(title: str, header: Sequence[str] | None, rows: Iterable[Sequence[str]]) -> None:
    """Prints a table whose cells wrap.

    Args:
      title: of the table.
      header: names of the columns; None: none are shown.
      rows: texts, none of which are markup.
    """
    table = rich.table.Table(title=title, show_header=header is not None)
    rows = [[rich.text.Text(cell) for cell in row] for row in rows]
    for name in header or [""] * len(rows[0]):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row)
    rich.console.Console().print(table)


def show_facts(title: str, facts: Mapping[str, str]) -> None:
    """Prints a table of names and values."""
    show(title, None, facts.items())
