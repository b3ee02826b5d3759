"""Elements of a picture: boxes, labels and curves, in a plane whose y axis points down."""

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from common.drawing import lettering, palette

SUBSCRIPT = 0.72  # size of its letters, against those that it follows
SUBSCRIPT_DROP = 0.22  # how far below their baseline, in their size
_LINE, _HALO = 1.4, 5.0  # width of curves, and of the gap where they cross others
_HEAD = (7.0, 3.4)  # length of the heads of arrows, and half their width


class Point(NamedTuple):
    """A point of the plane."""

    x: float
    y: float


class Box(NamedTuple):
    """A rectangle with its upper left corner at (x, y), or a circle where `radius` is half its sides."""

    x: float
    y: float
    width: float
    height: float
    radius: float  # of its corners
    fill: str
    line: str = "none"  # colour of the outline; `none` leaves it out
    is_dashed: bool = False
    is_behind: bool = False  # whether curves may run across it: the frame of a node


class Label(NamedTuple):
    """A line of text."""

    x: float  # the middle of it, or its left end
    y: float  # half the height of its capital letters
    text: str  # the words; nothing in them is markup
    subscript: str = ""  # smaller letters after them
    size: float = 12.0
    ink: str = palette.INK
    is_bold: bool = False
    is_left: bool = False  # whether `x` is the left end

    @property
    def width(self) -> float:
        """An upper bound of its width."""
        return text_width(self.text, self.subscript, self.size, is_bold=self.is_bold)

    @property
    def baseline(self) -> float:
        """The y of its baseline."""
        return self.y + 0.36 * self.size

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a rectangle around its letters."""
        left = self.x if self.is_left else self.x - self.width / 2
        drop = SUBSCRIPT_DROP * self.size if self.subscript else 0.0
        return left, self.y - 0.6 * self.size, left + self.width, self.y + 0.6 * self.size + drop


class Curve(NamedTuple):
    """A line of cubic curves."""

    points: tuple[Point, ...]  # the first point, then three for each part: two that steer it and its end
    group: int  # those of one group may merge
    crossing: tuple[Point, ...] = ()  # a part of it, four points, where it crosses other groups with a gap
    is_arrow: bool = False  # whether its end has a head


class Stroke(NamedTuple):
    """A line of cubic curves as it is painted."""

    points: tuple[Point, ...]
    ink: str
    width: float


class Head(NamedTuple):
    """The head of an arrow, its tip first."""

    corners: tuple[Point, Point, Point]
    ink: str = palette.EDGE


@dataclasses.dataclass(frozen=True)
class Picture:
    """Boxes behind, curves, boxes in front, labels: in this order, and within each in the order given."""

    width: float  # of the whole, from the origin
    height: float
    boxes: tuple[Box, ...] = ()
    curves: tuple[Curve, ...] = ()  # sorted by group
    labels: tuple[Label, ...] = ()

    def moved(self, x: float, y: float, first_group: int = 0) -> "Picture":
        """Returns all of it further right and down, with other groups."""

        def moved(points):
            return tuple(Point(point.x + x, point.y + y) for point in points)

        return Picture(
            self.width + x,
            self.height + y,
            tuple(box._replace(x=box.x + x, y=box.y + y) for box in self.boxes),
            tuple(
                Curve(moved(points), group + first_group, moved(crossing), is_arrow)
                for points, group, crossing, is_arrow in self.curves
            ),
            tuple(label._replace(x=label.x + x, y=label.y + y) for label in self.labels),
        )

    def parts(self) -> Iterator[Box | Stroke | Head]:
        """Returns everything but the labels, from back to front; curves of a group cross others with a gap."""
        yield from (box for box in self.boxes if box.is_behind)
        for _, group in itertools.groupby(self.curves, key=lambda curve: curve.group):
            curves = list(group)
            yield from (Stroke(curve.crossing, palette.BACKGROUND, _HALO) for curve in curves if curve.crossing)
            yield from (Stroke(curve.points, palette.EDGE, _LINE) for curve in curves)
            yield from (_head(curve) for curve in curves if curve.is_arrow)
        yield from (box for box in self.boxes if not box.is_behind)


def arranged(pictures: Sequence[Picture], gap: float, *, below: bool = False) -> Picture:
    """Returns pictures side by side, their upper borders level, or below each other, their left borders level."""
    placed: list[Picture] = []
    for picture in pictures:
        right, down = (placed[-1].width + gap, placed[-1].height + gap) if placed else (0.0, 0.0)
        groups = (curve.group for before in placed for curve in before.curves)
        place = (0.0, down) if below else (right, 0.0)
        placed.append(picture.moved(*place, 1 + max(groups, default=-1)))
    return overlaid(placed)


def overlaid(pictures: Sequence[Picture]) -> Picture:
    """Returns the contents of several pictures as one."""
    return Picture(
        max((picture.width for picture in pictures), default=0.0),
        max((picture.height for picture in pictures), default=0.0),
        tuple(box for picture in pictures for box in picture.boxes),
        tuple(sorted((curve for picture in pictures for curve in picture.curves), key=lambda curve: curve.group)),
        tuple(label for picture in pictures for label in picture.labels),
    )


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


def _head(curve: Curve) -> Head:
    """Returns the head of an arrow."""
    tip = curve.points[-1]
    before = next(point for point in reversed(curve.points[:-1]) if point != tip)
    distance = math.hypot(tip.x - before.x, tip.y - before.y)
    along = Point((tip.x - before.x) / distance, (tip.y - before.y) / distance)
    foot = Point(tip.x - _HEAD[0] * along.x, tip.y - _HEAD[0] * along.y)
    across = Point(-_HEAD[1] * along.y, _HEAD[1] * along.x)
    return Head((tip, Point(foot.x + across.x, foot.y + across.y), Point(foot.x - across.x, foot.y - across.y)))
