"""Pictures by matplotlib, without its global state: as PNG files, and as small ones in other figures."""

import os

from matplotlib import axes as axes_lib
from matplotlib import figure, patches
from matplotlib import path as paths
from matplotlib.backends import backend_agg

from common.drawing import graphs, palette, pictures, shapes
from common.genotypes import genotype as genotypes

_POINTS = 72.0  # the unit of pictures is a point
_APART = 18.0  # between the small graphs of a genotype


def draw_png(
    genotype: genotypes.Genotype | genotypes.Cell, path: str | os.PathLike, *, title: str | None = None
) -> None:
    """Writes the picture that `drawing.svg` returns as a PNG file, with two pixels for each of the SVG's."""
    picture = pictures.picture(genotype, title=title)
    size = (picture.width / _POINTS, picture.height / _POINTS)
    canvas = backend_agg.FigureCanvasAgg(figure.Figure(size, dpi=_POINTS, facecolor=palette.BACKGROUND))
    axes = canvas.figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, picture.width), ylim=(picture.height, 0))
    _draw(axes, picture)
    for label in picture.labels:
        _write(axes, label, len(axes.patches))
    canvas.figure.savefig(path, format="png", dpi=2 * _POINTS, metadata={"Software": None})


def draw_small(genotype: genotypes.Genotype, axes: axes_lib.Axes, *, width: float) -> list[palette.Kind]:
    """Draws the graphs of a genotype without words, below each other, to fill axes; returns the kinds of operations.

    Args:
      axes: whose limits are set; the scales of both directions are equal.
      width: of the axes, in points.
    """
    found = graphs.graphs(genotype)
    picture = shapes.arranged([pictures.panel(graph) for graph in found], _APART, below=True)
    axes.set(xlim=(-1, picture.width + 1), ylim=(picture.height + 1, -1), aspect="equal", anchor="S")
    _draw(axes, picture, max(width / picture.width, 0.5))
    operations = (one for graph in found for vertex in graph.vertices for one in vertex.operations)
    return palette.in_order({operation.kind for operation in operations})


def _draw(axes, picture, scale=1.0):
    """Draws all but the labels, lines of `scale` times their width."""
    axes.set_axis_off()
    for layer, part in enumerate(picture.parts()):
        artist = _DRAW[type(part)](part)
        artist.set(zorder=layer, linewidth=scale * artist.get_linewidth())
        axes.add_artist(artist)


def _box(box: shapes.Box) -> patches.Patch:
    style = {"facecolor": box.fill, "edgecolor": box.line, "linewidth": 1.0}
    if box.is_dashed:
        style["linestyle"] = (0, (4, 3))
    if box.radius == box.width / 2 == box.height / 2:
        return patches.Circle((box.x + box.radius, box.y + box.radius), box.radius, **style)
    corners = patches.BoxStyle.Round(pad=0, rounding_size=min(box.radius, box.width / 2, box.height / 2))
    return patches.FancyBboxPatch((box.x, box.y), box.width, box.height, boxstyle=corners, **style)


def _line(stroke: shapes.Stroke) -> patches.Patch:
    outline = paths.Path(stroke.points, [paths.Path.MOVETO] + [paths.Path.CURVE4] * (len(stroke.points) - 1))
    return patches.PathPatch(outline, facecolor="none", edgecolor=stroke.ink, linewidth=stroke.width, capstyle="butt")


def _head(head: shapes.Head) -> patches.Patch:
    return patches.Polygon(head.corners, facecolor=head.ink, edgecolor="none")


def _write(axes, label: shapes.Label, layer: int) -> None:
    """Writes a label: words and subscript as two texts, the second where the first ends."""
    style = {"color": label.ink, "weight": "bold" if label.is_bold else "normal", "parse_math": False, "zorder": layer}
    style |= {"family": "DejaVu Sans", "va": "baseline"}
    if not label.subscript:
        align = "left" if label.is_left else "center"
        axes.text(label.x, label.baseline, label.text, size=label.size, ha=align, **style)
        return
    words = axes.text(label.bounds[0], label.baseline, label.text, size=label.size, ha="left", **style)
    extent = words.get_window_extent()
    right = axes.transData.inverted().transform((extent.x1, extent.y0))[0]
    drop = shapes.SUBSCRIPT_DROP * label.size
    axes.text(right, label.baseline + drop, label.subscript, size=shapes.SUBSCRIPT * label.size, ha="left", **style)


_DRAW = {shapes.Box: _box, shapes.Stroke: _line, shapes.Head: _head}
