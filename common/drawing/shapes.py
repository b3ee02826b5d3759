"""What a picture is made of: boxes, labels and curves, in a plane whose y axis points down."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

from common.drawing import lettering, palette

SUBSCRIPT = 0.72  # size of its letters, against those that it follows
SUBSCRIPT_DROP = 0.22  # how far it stands below them, in their size


class Point(NamedTuple):
    """A point of the plane."""

    x: float
    y: float


class Box(NamedTuple):
    """A rectangle with round corners, or a circle where `radius` is half its sides.

    Attributes:
      x, y: its upper left corner.
      width, height: its size.
      radius: of its corners.
      fill, line: colours; `none` leaves the outline out.
      is_dashed: whether the outline is.
      is_behind: whether curves may run across it: the frame of a node.
    """

    x: float
    y: float
    width: float
    height: float
    radius: float
    fill: str
    line: str = "none"
    is_dashed: bool = False
    is_behind: bool = False


class Label(NamedTuple):
    """A line of text.

    Attributes:
      x: the middle of it, or its left end.
      y: half the height of its capital letters.
      text: the words; nothing in them is markup.
      subscript: smaller letters after them.
      size: of the letters.
      ink: their colour.
      is_bold: whether they are.
      is_left: whether `x` is the left end.
    """

    x: float
    y: float
    text: str
    subscript: str = ""
    size: float = 12.0
    ink: str = palette.INK
    is_bold: bool = False
    is_left: bool = False

    @property
    def width(self) -> float:
        """An upper bound of its width."""
        return text_width(self.text, self.subscript, self.size, is_bold=self.is_bold)

    @property
    def baseline(self) -> float:
        """The y on which its letters stand."""
        return self.y + 0.36 * self.size

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a rectangle that holds all its letters."""
        left = self.x if self.is_left else self.x - self.width / 2
        drop = SUBSCRIPT_DROP * self.size if self.subscript else 0.0
        return left, self.y - 0.6 * self.size, left + self.width, self.y + 0.6 * self.size + drop


class Curve(NamedTuple):
    """A line of cubic curves.

    Attributes:
      points: the first point, then three for each part: two that steer it and its end.
      group: those of one group may merge.
      crossing: a part of it, four points, where it crosses other groups with a gap; may be empty.
      is_arrow: whether its end has a head.
      ink: its colour.
    """

    points: tuple[Point, ...]
    group: int
    crossing: tuple[Point, ...] = ()
    is_arrow: bool = False
    ink: str = palette.EDGE


@dataclasses.dataclass(frozen=True)
class Picture:
    """Boxes behind, curves, boxes in front, labels: in this order, and within each in the order given.

    Attributes:
      width, height: size of the whole, from the origin.
      boxes: all of them.
      curves: sorted by group.
      labels: all of them.
    """

    width: float
    height: float
    boxes: tuple[Box, ...] = ()
    curves: tuple[Curve, ...] = ()
    labels: tuple[Label, ...] = ()

    def moved(self, x: float, y: float, first_group: int = 0) -> "Picture":
        """Returns all of it further right and down, with other groups."""
        boxes = (box._replace(x=box.x + x, y=box.y + y) for box in self.boxes)
        labels = (label._replace(x=label.x + x, y=label.y + y) for label in self.labels)
        curves = (
            curve._replace(
                points=_moved(curve.points, x, y),
                crossing=_moved(curve.crossing, x, y),
                group=curve.group + first_group,
            )
            for curve in self.curves
        )
        return Picture(self.width + x, self.height + y, tuple(boxes), tuple(curves), tuple(labels))


def beside(pictures: Sequence[Picture], gap: float) -> Picture:
    """Returns pictures side by side, their upper borders level."""
    placed, x = [], 0.0
    for picture in pictures:
        placed.append(picture.moved(x, 0.0, 1 + _last_group(placed)))
        x = placed[-1].width + gap
    return overlaid(placed)


def stacked(pictures: Sequence[Picture], gap: float) -> Picture:
    """Returns pictures below each other, their left borders level."""
    placed, y = [], 0.0
    for picture in pictures:
        placed.append(picture.moved(0.0, y, 1 + _last_group(placed)))
        y = placed[-1].height + gap
    return overlaid(placed)


def overlaid(pictures: Sequence[Picture]) -> Picture:
    """Returns all that is in some pictures as one."""
    return Picture(
        max((picture.width for picture in pictures), default=0.0),
        max((picture.height for picture in pictures), default=0.0),
        tuple(box for picture in pictures for box in picture.boxes),
        tuple(sorted((curve for picture in pictures for curve in picture.curves), key=lambda curve: curve.group)),
        tuple(label for picture in pictures for label in picture.labels),
    )


def _last_group(pictures: Sequence[Picture]) -> int:
    return max((curve.group for picture in pictures for curve in picture.curves), default=-1)


def _moved(points: tuple[Point, ...], x: float, y: float) -> tuple[Point, ...]:
    return tuple(Point(point.x + x, point.y + y) for point in points)


def text_width(text: str, subscript: str, size: float, *, is_bold: bool = False) -> float:
    """Returns an upper bound of the width of a label."""
    smaller = lettering.width(subscript, SUBSCRIPT * size, is_bold=is_bold)
    return lettering.width(text, size, is_bold=is_bold) + smaller


def straight(start: Point, end: Point) -> tuple[Point, ...]:
    """Returns the points after the first of a straight line."""
    return start, end, end


def swing(start: Point, end: Point) -> tuple[Point, ...]:
    """Returns the points after the first of a curve that is level at both ends."""
    middle = (start.x + end.x) / 2
    return Point(middle, start.y), Point(middle, end.y), end


def head(curve: Curve, length: float = 7.0, spread: float = 3.4) -> tuple[Point, Point, Point]:
    """Returns the corners of the head of an arrow, its tip first."""
    tip = curve.points[-1]
    before = next(point for point in reversed(curve.points[:-1]) if point != tip)
    distance = math.hypot(tip.x - before.x, tip.y - before.y)
    along = Point((tip.x - before.x) / distance, (tip.y - before.y) / distance)
    foot = Point(tip.x - length * along.x, tip.y - length * along.y)
    return (
        tip,
        Point(foot.x - spread * along.y, foot.y + spread * along.x),
        Point(foot.x + spread * along.y, foot.y - spread * along.x),
    )
