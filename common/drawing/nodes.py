"""One vertex as a picture: a box with a word, or several in a frame, added up in a circle."""

from typing import NamedTuple

from common.drawing import graphs, palette, shapes
from common.drawing.shapes import Point

LETTERS = 12.0  # size of the letters in boxes
_SMALL = 9.5  # of those in badges and circles
_DETAILS = 10.5  # of the line below
_HEIGHT = 26.0  # of a box that reads one vertex
_LINE = 14.0  # more with a line of details
_PORT = 14.0  # between two edges into one box
_MARGIN = 10.0  # beside the text in a box
_STACK = 5.0  # between the operations of a node
_PADDING = 7.0  # of the frame around them
_RADIUS = 10.0  # of the circle where they are added up
_FAN = 20.0  # from the operations to the circle
_BADGE = 8.5  # radius of the badge of an operation
_CORNER = 6.0


class Port(NamedTuple):
    """Where an edge arrives."""

    source: int  # the vertex that it comes from
    offset: float  # below the middle of the vertex


def operation_width(operation: graphs.Operation) -> float:
    """Returns the width of the box of an operation."""
    badge = 2 * _BADGE if operation.badge else 0.0
    text = shapes.text_width(operation.text, operation.subscript, LETTERS)
    text = max(text, shapes.text_width(operation.details, "", _DETAILS))
    return max(2 * _MARGIN + badge + text, _HEIGHT + 4)


def width(vertex: graphs.Vertex, box: float) -> float:
    """Returns the width of a vertex with boxes of the given width."""
    return box if vertex.number is None else 2 * _PADDING + box + _FAN + 2 * _RADIUS


def height(vertex: graphs.Vertex) -> float:
    """Returns the height of a vertex."""
    stack = sum(map(_box_height, vertex.operations)) + _STACK * (len(vertex.operations) - 1)
    return stack if vertex.number is None else stack + 2 * _PADDING


def inset(vertex: graphs.Vertex) -> float:
    """Returns how far within a vertex edges end."""
    return 0.0 if vertex.number is None else _PADDING


def ports(vertex: graphs.Vertex) -> list[Port]:
    """Returns where the edges into a vertex arrive, from top to bottom."""
    found = []
    for operation, middle in zip(vertex.operations, _middles(vertex)):
        first = middle - _PORT * (len(operation.reads) - 1) / 2
        found += [Port(source, first + _PORT * at) for at, source in enumerate(operation.reads)]
    return found


def draw(vertex: graphs.Vertex, middle: Point, box: float, group: int) -> shapes.Picture:
    """Returns the picture of a vertex with boxes of width `box`; `group` is that of the curves within it."""
    left = middle.x - width(vertex, box) / 2
    boxes, curves, labels = [], [], []
    for operation, offset in zip(vertex.operations, _middles(vertex)):
        at = Point(left + inset(vertex) + box / 2, middle.y + offset)
        _draw_operation(operation, at, box, boxes, labels)
        if vertex.number is not None:
            start = Point(at.x + box / 2, at.y)
            end = Point(start.x + _FAN + 2, middle.y)
            curves.append(shapes.Curve((start, *shapes.swing(start, end)), group))
    if vertex.number is not None:
        high = height(vertex)
        frame = shapes.Box(left, middle.y - high / 2, width(vertex, box), high, _CORNER + _PADDING / 2, palette.FRAME)
        boxes.append(frame._replace(line=palette.FRAME_LINE, is_behind=True))
        at = Point(left + _PADDING + box + _FAN + _RADIUS, middle.y)
        boxes.append(_circle(at, _RADIUS, palette.BACKGROUND, palette.EDGE))
        labels.append(shapes.Label(at.x, at.y, vertex.number, size=_SMALL + 1))
    return shapes.Picture(0.0, 0.0, tuple(boxes), tuple(curves), tuple(labels))


def _draw_operation(
    operation: graphs.Operation, at: Point, box: float, boxes: list[shapes.Box], labels: list[shapes.Label]
) -> None:
    """Adds the box of an operation, the badge in it and its words."""
    kind, high = operation.kind, _box_height(operation)
    left, top = at.x - box / 2, at.y - high / 2
    boxes.append(shapes.Box(left, top, box, high, _CORNER, kind.fill, kind.line, kind.is_dashed))
    x = at.x
    if operation.badge:
        x += _BADGE
        boxes.append(_circle(Point(left + _BADGE + 4, at.y), _BADGE, palette.BACKGROUND, "none"))
        labels.append(shapes.Label(left + _BADGE + 4, at.y, operation.badge, size=_SMALL))
    y = at.y - (_LINE / 2 if operation.details else 0)
    labels.append(shapes.Label(x, y, operation.text, operation.subscript, size=LETTERS, ink=kind.ink))
    if operation.details:
        labels.append(shapes.Label(x, y + _LINE, operation.details, size=_DETAILS, ink=kind.ink))


def _middles(vertex: graphs.Vertex) -> list[float]:
    """Returns the heights of the middles of a vertex's operations, below its own."""
    top, found = -height(vertex) / 2 + inset(vertex), []
    for operation in vertex.operations:
        high = _box_height(operation)
        found.append(top + high / 2)
        top += high + _STACK
    return found


def _box_height(operation: graphs.Operation) -> float:
    return max(_HEIGHT + (_LINE if operation.details else 0), _PORT * len(operation.reads) + 4)


def _circle(middle: Point, radius: float, fill: str, line: str) -> shapes.Box:
    return shapes.Box(middle.x - radius, middle.y - radius, 2 * radius, 2 * radius, radius, fill, line)
