"""Drawing of pictures: matplotlib without its global state, colours, and SVG that follows the theme of its page.

Tips are shown when the pointer is over a mark. Texts are never taken as markup, neither by matplotlib nor in SVG.
"""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib import axes, figure
from matplotlib.backends import backend_agg

from common.drawing import lettering, palette
from common.records import run_dir

INK, FAINT, GRID, PAPER = palette.INK, palette.FAINT_INK, palette.FRAME_LINE, "#fdfdfe"
# Palette of Okabe and Ito, colours dark enough for lines; dashes also tell series apart without colour.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 2)), (0, (3, 3)), "-")
# Readable with colour vision deficiency; few colours, as matplotlib rasterises scales of many.
COLORMAP = matplotlib.colormaps["cividis"].resampled(40)
WIDTH = 5.1  # inches of most pictures: their letters have 9 pixels or more in a window of 400
FORMATS = ("svg", "png", "pdf")
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.0,
    "text.parse_math": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
}
styled = matplotlib.rc_context(STYLE)  # decorates the functions that draw
_VARIABLES = {INK: "--ink", FAINT: "--faint", GRID: "--grid", PAPER: "--paper"}
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_DOTS_PER_INCH, _ROW_HEIGHT = 200, 0.18  # the latter in inches, of a row of a legend


class Picture(NamedTuple):
    """A figure with its texts."""

    name: str  # of its file, without a suffix; unique on a page
    title: str
    caption: str  # how to read it, and how it was made
    figure: figure.Figure
    tips: Mapping[str, Sequence[str]] = {}  # gid of an artist -> a text for each of its marks, in order


def new(width: float = WIDTH, height: float = 3.4, **subplots) -> tuple[figure.Figure, axes.Axes]:
    """Returns an empty figure of a size in inches, and its axes; `subplots` are the arguments of matplotlib's."""
    made = figure.Figure((width, height), layout="constrained", facecolor="none")
    backend_agg.FigureCanvasAgg(made)
    return made, made.subplots(**subplots)


def legend(shown: figure.Figure, marks: Sequence, labels: Sequence[str], **style) -> None:
    """Adds a legend of as many columns, at most three, as fit the figure, which grows by all rows but two."""
    tight = {"columnspacing": 1.2, "handlelength": 1.4, "handletextpad": 0.6}
    for ncols in (3, 2, 1):
        made = shown.legend(marks, labels, ncols=ncols, **tight, **style)
        if ncols == 1 or made.get_window_extent().width <= shown.bbox.width:
            break
        made.remove()
    num_rows = -(-len(labels) // ncols)
    shown.set_figheight(shown.get_figheight() + _ROW_HEIGHT * max(num_rows - 2, 0))


def scale(marks, label: str, **style) -> None:
    """Adds the colour scale of `marks` beside their axes."""
    bar = marks.figure.colorbar(marks, label=label, **style)
    bar.solids.set_edgecolor("face")  # no gaps between the colours


def series(at: int) -> dict[str, object]:
    """Returns the style of the line of series number `at`."""
    return {"color": SERIES[at % len(SERIES)], "linestyle": DASHES[at % len(DASHES)]}


def lines(
    axes, found: Mapping[str, np.ndarray], tip: Callable[[str, float, float], str], level: float | None = None
) -> dict[str, list[str]]:
    """Draws series float[N, 2] by their labels, as lines with marks, and a dotted level; returns the tips of marks."""
    tips = {}
    for at, (label, points) in enumerate(found.items()):
        if not len(points):
            continue
        axes.plot(*points.T, **series(at), label=label)
        shown = points[some(len(points), 300)]
        axes.scatter(*shown.T, s=12, color=SERIES[at]).set_gid(label)
        tips[label] = [tip(label, x, y) for x, y in shown]
    if level is not None:
        axes.axhline(level, color=FAINT, lw=1, ls=DASHES[2])
    return tips


def jitter(count: int, width: float) -> np.ndarray:
    """Returns float[count], offsets of marks from -width / 2 to width / 2, the same in each call."""
    return ((np.arange(count) * 0.618034) % 1 - 0.5) * width


def some(count: int, most: int = 2000) -> np.ndarray:
    """Returns int[at most `most`], the indices of the marks to draw: all `count`, or evenly spaced ones."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)) if count else np.zeros(0, int)


def words(text: str) -> str:
    """Returns a text for a picture: on one line, without control characters, cut to a maximal length."""
    text = lettering.clean(" ".join(str(text).split()))
    return text if len(text) <= lettering.MAX_LETTERS else text[: lettering.MAX_LETTERS - 1] + "…"


def write(picture: Picture, path: str | os.PathLike) -> None:
    """Writes a picture on a white background to a file whose suffix is one of `FORMATS`."""
    if str(path).endswith(".svg"):
        run_dir.write_text(path, _svg(picture, paper="white") + "\n")
        return
    with matplotlib.rc_context(STYLE):
        picture.figure.savefig(path, dpi=_DOTS_PER_INCH, facecolor="white")


def svg(picture: Picture) -> str:
    """Returns a self-contained SVG element for a page; equal for equal pictures."""
    text = _svg(picture, paper="none")
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable}, {color})")
    return text


def _svg(picture, *, paper):
    buffer = io.BytesIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": picture.name}):
        silent = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        picture.figure.savefig(buffer, format="svg", facecolor=paper, metadata=silent)
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(buffer.getvalue())
    for child in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(child)
    by_id = {element.get("id"): element for element in root.iter()}
    for gid, texts in picture.tips.items():
        hidden = {inner for element in by_id[gid].iter(f"{{{_SVG}}}defs") for inner in element.iter()}
        drawn = (f"{{{_SVG}}}use", f"{{{_SVG}}}path")  # marks of different sizes are separate paths
        marks = [element for element in by_id[gid].iter() if element.tag in drawn and element not in hidden]
        if len(marks) != len(texts):
            raise ValueError(f"{gid} has {len(marks)} marks and {len(texts)} tips")
        for mark, text in zip(marks, texts, strict=True):
            ElementTree.SubElement(mark, f"{{{_SVG}}}title").text = lettering.clean(text)
    _rename(root, picture.name)
    root.set("role", "img")
    title = ElementTree.Element(f"{{{_SVG}}}title")
    title.text = lettering.clean(picture.title)
    root.insert(0, title)
    return ElementTree.tostring(root, encoding="unicode")


def _rename(root, name):
    """Makes the ids that are referred to unique on a page, and drops all others."""
    href = f"{{{_XLINK}}}href"
    linked = {element.get(href, "")[1:] for element in root.iter()}
    linked |= {element.get("clip-path", "")[5:-1] for element in root.iter()}
    for element in root.iter():
        if element.get("id") in linked:
            element.set("id", f"{name}-{element.get('id')}")
        else:
            element.attrib.pop("id", None)
        if href in element.attrib:
            element.set(href, f"#{name}-{element.get(href)[1:]}")
        if "clip-path" in element.attrib:
            element.set("clip-path", f"url(#{name}-{element.get('clip-path')[5:-1]})")
