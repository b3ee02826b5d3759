"""One self-contained HTML page that loads nothing, reads well on a phone, and follows the light or dark theme.

All texts are escaped here; only the SVG of pictures and drawings is taken as markup. The page's content security policy
forbids it to load anything.
"""

import base64
import html
import io
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import image as matplotlib_image

from common.drawing import lettering
from common.report import canvas, page_style


class Section(NamedTuple):
    """A heading and its content, HTML made by the functions of this file; left out if empty."""

    title: str
    body: str


def document(
    title: str,
    subtitle: str,
    sections: Iterable[Section],
    *,
    is_finished: bool | None = None,
    reload_seconds: int | None = None,
) -> str:
    """Returns the page, an HTML document.

    Args:
      subtitle: below it; ends in the state of its subject, if given.
      is_finished: the state of its subject.
      reload_seconds: after so many seconds a browser loads the page again; None: never.
    """
    reload = f'<meta http-equiv="refresh" content="{reload_seconds}">\n' if reload_seconds else ""
    subtitle += "" if is_finished is None else ", finished" if is_finished else ", unfinished"
    parts = [f"<section>\n<h2>{escape(one.title)}</h2>\n{one.body}\n</section>" for one in sections if one.body]
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n{reload}'
        f"<style>{page_style.STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n<h1>{escape(title)}</h1>\n<p class="sub">{escape(subtitle)}</p>\n</header>\n<main>\n'
        + "\n".join(parts)
        + f'\n</main>\n<div id="tip" role="status"></div>\n<script>{page_style.SCRIPT}</script>\n</body>\n</html>\n'
    )


def escape(text: object) -> str:
    """Returns a text escaped for HTML, on one line."""
    return html.escape(lettering.clean(" ".join(str(text).split())))


def pictures(made: Iterable[canvas.Picture]) -> str:
    """Returns a grid of pictures with titles and captions."""
    return grid(figure(one.title, canvas.svg(one), one.caption) for one in made)


def figure(title: str, svg: str, caption: str = "") -> str:
    """Returns an SVG element with a title above it and a caption below; it scrolls where it would be too small."""
    title = f"<h3>{escape(title)}</h3>\n" if title else ""
    caption = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>\n{title}{_scrolled(svg)}\n{caption}</figure>"


def drawing(title: str, svg: str, caption: str = "") -> str:
    """Returns the drawing of an architecture as `figure` does, with a zoom; a wide one has the page's full width."""
    width = float(_WIDTH.search(svg)[1])
    opening = f'<figure class="drawing{" wide" * (width > _WIDE)}" style="--natural: {width:.0f}px">'
    zoom = '<label class="zoom"><input type="checkbox"> enlarge</label>\n<div class="scroll"'
    made = figure(title, svg, caption).replace("<figure>", opening, 1)
    return made.replace('<div class="scroll"', zoom, 1)


def _scrolled(svg):
    """Returns an SVG element whose letters have at least `_SMALLEST` pixels, scrolling in a narrow window."""
    least = float(_WIDTH.search(svg)[1]) * _SMALLEST / min(map(float, _SIZES.findall(svg)), default=_SMALLEST)
    svg = svg.strip().replace("<svg ", f'<svg style="min-width: {least:.0f}px" ', 1)
    return f'<div class="scroll" tabindex="0">{svg}</div>'


def images(found: Iterable[tuple[np.ndarray, str]]) -> str:
    """Returns images uint8[H, W, C] of C = 1, 3 or 4 channels in a row, each with a text below it."""
    parts = []
    for pixels, text in found:
        buffer = io.BytesIO()
        pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
        matplotlib_image.imsave(buffer, np.ascontiguousarray(pixels), format="png")
        data = base64.b64encode(buffer.getvalue()).decode()
        label = f"<figcaption>{escape(text)}</figcaption>" if text else ""
        parts.append(
            f'<figure><img src="data:image/png;base64,{data}" width="{_SIDE}" height="{_SIDE}" '
            f'alt="{escape(text)}">'
            f"{label}</figure>"
        )
    return '<div class="images">' + "".join(parts) + "</div>" if parts else ""


def grid(figures: Iterable[str]) -> str:
    """Returns figures side by side where there is room."""
    found = list(figures)
    return '<div class="grid">\n' + "\n".join(found) + "\n</div>" if found else ""


def table(
    header: Sequence[str], rows: Sequence[Sequence[object]], *, words: Iterable[str] = (), has_filter: bool = False
) -> str:
    """Returns a table that scrolls if it is too wide, sorted by clicks on its headings; empty without rows.

    Columns with long texts, the first and those in `words` are aligned to the left.

    Args:
      words: columns of short texts.
      has_filter: whether a field above it hides the rows that do not contain the words typed.
    """
    if not rows:
        return ""
    is_long = [any(len(str(row[at])) > _LONG for row in rows) for at in range(len(header))]
    classes = ["text" if long else "word" if name in words else "" for name, long in zip(header, is_long, strict=True)]

    def line(tag, cells):
        parts = zip(cells, classes, strict=True)
        found = (f"<{tag}{f' class={name}' if name else ''}>{escape(cell)}</{tag}>" for cell, name in parts)
        return f"<tr>{''.join(found)}</tr>"

    body = "\n".join(line("td", row) for row in rows)
    body = f"<thead>{line('th', header)}</thead>\n<tbody>\n{body}\n</tbody>"
    field = '<label class="filter">filter <input type="search"> <output></output></label>\n' if has_filter else ""
    return f'{field}<div class="scroll" tabindex="0"><table>\n{body}\n</table></div>'


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Returns a list of names and values."""
    return "<dl>\n" + "\n".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in pairs) + "\n</dl>"


def checks(items: Iterable[tuple[str, str, bool]]) -> str:
    """Returns a checklist of (item, text, is known): a tick if known, a question mark if not."""
    lines = [
        f'<li class="{"yes" if is_known else "no"}"><strong>{escape(item)}.</strong> {escape(text)}</li>'
        for item, text, is_known in items
    ]
    return '<ul class="check">\n' + "\n".join(lines) + "\n</ul>"


def folded(title: str, body: str) -> str:
    """Returns content that is shown on a click; empty without content."""
    return f"<details><summary>{escape(title)}</summary>\n{body}\n</details>" if body else ""


def listing(text: str) -> str:
    """Returns a text of several lines, verbatim."""
    return f"<pre>{html.escape(chr(10).join(map(lettering.clean, text.splitlines())))}</pre>"


def paragraph(text: str) -> str:
    """Returns a paragraph."""
    return f"<p>{escape(text)}</p>"


def note(text: str, title: str = "", *, ends: float | None = None) -> str:
    """Returns a highlighted note, with the time left until `ends` (seconds since 1970) by the clock of the reader."""
    title = f"<strong>{escape(title)}:</strong> " if title else ""
    left = "" if ends is None else f' <span data-ends="{ends:.0f}"></span>'
    return f'<p class="note">{title}{escape(text)}{left}</p>\n'


def unfinished(subject: str, text: str) -> str:
    """Returns a note on a search, a training or a study that can be resumed."""
    return note(f"{text} Start it again with the same --workdir to resume.", f"This {subject} is unfinished")


def links(found: Iterable[tuple[str, str, str]]) -> str:
    """Returns a list of links to other pages: (name, path of the file relative to this one, description)."""
    line = '<li><a href="{}">{}</a>: {}</li>'
    items = [line.format(escape(urllib.parse.quote(path)), escape(a), escape(b)) for a, path, b in found]
    return "<ul>\n" + "\n".join(items) + "\n</ul>" if items else ""


_LONG = 40  # letters; columns with longer cells are texts
_WIDE = 480.0  # pixels of drawings that get the full width of the page
_SMALLEST = 9.0  # pixels of the smallest letters of a picture
_SIDE = 64  # pixels of images
_SIZES, _WIDTH = re.compile(r"font-size(?:=\"|: )([0-9.]+)"), re.compile(r'<svg [^>]*?width="([0-9.]+)')
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
