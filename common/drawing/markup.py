"""A picture as SVG."""

import itertools
from xml.sax import saxutils

from common.drawing import lettering, palette, shapes

FONTS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
LINE_WIDTH = 1.4  # of curves
HALO_WIDTH = 5.0  # of the gap where they cross others


def render(picture: shapes.Picture, name: str) -> str:
    """Returns an SVG document, whose text ends in a new line.

    Args:
      picture: what to draw.
      name: what screen readers call it.
    """
    width, height = _number(picture.width), _number(picture.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="{FONTS}">',
        f"<title>{saxutils.escape(lettering.clean(name))}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{palette.BACKGROUND}"/>',
        *(_box(box) for box in picture.boxes if box.is_behind),
    ]
    for _, group in itertools.groupby(picture.curves, key=lambda curve: curve.group):
        curves = list(group)
        lines += [_path(curve.crossing, palette.BACKGROUND, HALO_WIDTH) for curve in curves if curve.crossing]
        lines += [_path(curve.points, curve.ink, LINE_WIDTH) for curve in curves]
        lines += [_head(curve) for curve in curves if curve.is_arrow]
    lines += [_box(box) for box in picture.boxes if not box.is_behind]
    lines += [_label(label) for label in picture.labels]
    return "\n".join([*lines, "</svg>", ""])


def _box(box: shapes.Box) -> str:
    line = "" if box.line == "none" else f' stroke="{box.line}"' + (' stroke-dasharray="4 3"' if box.is_dashed else "")
    return (
        f'<rect x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}" '
        f'height="{_number(box.height)}" rx="{_number(box.radius)}" fill="{box.fill}"{line}/>'
    )


def _path(points: tuple[shapes.Point, ...], ink: str, width: float) -> str:
    first, *rest = (f"{_number(point.x)} {_number(point.y)}" for point in points)
    parts = " ".join(f"C{rest[at]} {rest[at + 1]} {rest[at + 2]}" for at in range(0, len(rest), 3))
    return f'<path d="M{first} {parts}" fill="none" stroke="{ink}" stroke-width="{_number(width)}"/>'


def _head(curve: shapes.Curve) -> str:
    corners = " ".join(f"{_number(x)},{_number(y)}" for x, y in shapes.head(curve))
    return f'<polygon points="{corners}" fill="{curve.ink}"/>'


def _label(label: shapes.Label) -> str:
    anchor = "" if label.is_left else ' text-anchor="middle"'
    weight = ' font-weight="bold"' if label.is_bold else ""
    text = saxutils.escape(label.text)
    if label.subscript:
        size, drop = shapes.SUBSCRIPT * label.size, shapes.SUBSCRIPT_DROP * label.size
        text += f'<tspan dy="{_number(drop)}" font-size="{_number(size)}">{saxutils.escape(label.subscript)}</tspan>'
    return (
        f'<text x="{_number(label.x)}" y="{_number(label.baseline)}" font-size="{_number(label.size)}" '
        f'fill="{label.ink}"{weight}{anchor}>{text}</text>'
    )


def _number(value: float) -> str:
    """Returns a length in hundredths of a pixel, without zeros at its end."""
    return f"{value:.2f}".rstrip("0").rstrip(".").replace("-0", "0" if abs(value) < 0.005 else "-0")
