"""A genotype as one picture: title, graphs with captions, legend."""

import dataclasses
from collections.abc import Sequence

from common.drawing import graphs, lettering, palette, panels, shapes
from common.genotypes import genotype as genotypes

_MARGIN = 20.0  # around all
_TITLE, _CAPTION, _LEGEND = 15.0, 12.0, 11.0  # sizes of letters
_SWATCH = 12.0  # side of the samples of colour
_APART = 24.0  # between title, graphs and legend
_BESIDE = 48.0  # between two graphs side by side
_WIDEST = 1000.0  # of these
_NARROWEST = 320.0  # of the lines of the legend


def picture(genotype: genotypes.Genotype | genotypes.Cell, *, title: str | None = None) -> shapes.Picture:
    """Returns the picture of a genotype.

    Args:
      genotype: what to draw.
      title: a line above it.

    Raises:
      ValueError: where it is no genotype, or one whose edges lead backward.
    """
    found = graphs.graphs(genotype)
    parts = [_words(lettering.clean(title), _TITLE, palette.INK)] if title else []
    drawn = [_captioned(graph) for graph in found]
    if sum(part.width for part in drawn) + _BESIDE * (len(drawn) - 1) <= _WIDEST:
        parts.append(shapes.beside(drawn, _BESIDE))
    else:
        parts += drawn
    legend = _legend(found, max(_NARROWEST, *(part.width for part in parts)))
    whole = shapes.stacked([*parts, legend] if legend.labels else parts, _APART).moved(_MARGIN, _MARGIN)
    return dataclasses.replace(whole, width=whole.width + _MARGIN, height=whole.height + _MARGIN)


def _words(text: str, size: float, ink: str) -> shapes.Picture:
    """Returns a bold line of text."""
    label = shapes.Label(0.0, size / 2, text, size=size, ink=ink, is_bold=True, is_left=True)
    return shapes.Picture(label.width, size, labels=(label,))


def _captioned(graph: graphs.Graph) -> shapes.Picture:
    """Returns a graph's picture under its caption."""
    drawn = panels.panel(graph)
    if not graph.caption:
        return drawn
    return shapes.stacked([_words(graph.caption, _CAPTION, palette.FAINT_INK), drawn], _CAPTION)


def _legend(found: Sequence[graphs.Graph], width: float) -> shapes.Picture:
    """Returns what colours and circles mean, in as many lines as they need."""
    vertices = [vertex for graph in found for vertex in graph.vertices]
    kinds = {operation.kind for vertex in vertices for operation in vertex.operations}
    side = _SWATCH
    samples = [
        (kind.name, shapes.Box(0.0, 0.0, side, side, 3.0, kind.fill, kind.line, kind.is_dashed))
        for kind in palette.in_order(kinds)
    ]
    if any(vertex.number is not None for vertex in vertices):
        circle = shapes.Box(0.0, 0.0, side, side, side / 2, palette.BACKGROUND, palette.EDGE)
        samples.append(("node: the sum of its operations", circle))
    lines: list[list[shapes.Picture]] = [[]]
    for name, box in samples:
        label = shapes.Label(side + 6.0, side / 2, name, size=_LEGEND, ink=palette.FAINT_INK, is_left=True)
        entry = shapes.Picture(side + 6.0 + label.width, side, (box,), (), (label,))
        if lines[-1] and shapes.beside([*lines[-1], entry], side).width > width:
            lines.append([])
        lines[-1].append(entry)
    return shapes.stacked([shapes.beside(line, side) for line in lines], 0.6 * side)
