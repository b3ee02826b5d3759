"""A picture as SVG."""

from xml.sax import saxutils

from common.drawing import lettering, palette, shapes

FONTS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


def render(picture: shapes.Picture, name: str) -> str:
    """Returns an SVG document that ends in a newline; `name` is its title for screen readers."""
    width, height = _number(picture.width), _number(picture.height)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="{FONTS}">',
        f"<title>{saxutils.escape(lettering.clean(name))}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{palette.BACKGROUND}"/>',
    ]
    lines += [_DRAW[type(part)](part) for part in picture.parts()]
    lines += [_label(label) for label in picture.labels]
    return "\n".join([*lines, "</svg>", ""])


def _box(box: shapes.Box) -> str:
    line = "" if box.line == "none" else f' stroke="{box.line}"' + (' stroke-dasharray="4 3"' if box.is_dashed else "")
    return (
        f'<rect x="{_number(box.x)}" y="{_number(box.y)}" width="{_number(box.width)}" '
        f'height="{_number(box.height)}" rx="{_number(box.radius)}" fill="{box.fill}"{line}/>'
    )


def _path(stroke: shapes.Stroke) -> str:
    first, *rest = (f"{_number(point.x)} {_number(point.y)}" for point in stroke.points)
    parts = " ".join(f"C{rest[at]} {rest[at + 1]} {rest[at + 2]}" for at in range(0, len(rest), 3))
    return f'<path d="M{first} {parts}" fill="none" stroke="{stroke.ink}" stroke-width="{_number(stroke.width)}"/>'


def _head(head: shapes.Head) -> str:
    corners = " ".join(f"{_number(x)},{_number(y)}" for x, y in head.corners)
    return f'<polygon points="{corners}" fill="{head.ink}"/>'


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


_DRAW = {shapes.Box: _box, shapes.Stroke: _path, shapes.Head: _head}
