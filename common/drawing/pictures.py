"""A genotype as one picture: title, graphs with captions in layers from left to right or in columns, legend."""

import dataclasses
import itertools
from collections.abc import Sequence

from common.drawing import graphs, layout, lettering, nodes, palette, shapes
from common.drawing.shapes import Point
from common.genotypes import genotype as genotypes

_MAX_VERTICES = 100  # of a layered drawing, which takes a minute then
_GAP = 14.0  # between the items of a layer
_LANE = (34.0, 96.0)  # least and largest distance of two layers
_STEEP = 0.3  # width of a lane against the height that its steepest edge climbs
_LEAVE, _LEAD = 3.0, 8.0  # straight ends of an edge
_CHAIN_LANE = 40.0  # between the columns of a chain
_CHAIN_GAP = 16.0  # between its blocks
_HEADING = 26.0  # above them
_MARGIN = 20.0  # around all
_TITLE, _CAPTION, _LEGEND = 15.0, 12.0, 11.0  # sizes of letters
_SWATCH = 12.0  # side of the samples of colour
_APART = 24.0  # between title, graphs and legend
_BESIDE = 48.0  # between two graphs side by side
_WIDEST = 1000.0  # of these
_SQUEEZE = "SE: squeeze-and-excitation, which scales each channel by a factor computed from the whole image"
_NARROWEST = 320.0  # of the lines of the legend


def picture(genotype: genotypes.Genotype | genotypes.Cell, *, title: str | None = None) -> shapes.Picture:
    """Returns the picture of a genotype under its title; or raises a `ValueError`, as `drawing.svg` says."""
    found = graphs.graphs(genotype)
    parts = [_words(lettering.clean(title), _TITLE, palette.INK)] if title else []
    drawn = [_captioned(graph) for graph in found]
    if sum(part.width for part in drawn) + _BESIDE * (len(drawn) - 1) <= _WIDEST:
        parts.append(shapes.arranged(drawn, _BESIDE))
    else:
        parts += drawn
    legend = _legend(found, max(_NARROWEST, *(part.width for part in parts)))
    whole = shapes.arranged([*parts, legend] if legend.labels else parts, _APART, below=True).moved(_MARGIN, _MARGIN)
    return dataclasses.replace(whole, width=whole.width + _MARGIN, height=whole.height + _MARGIN)


def _words(text: str, size: float, ink: str) -> shapes.Picture:
    """Returns a bold line of text."""
    label = shapes.Label(0.0, size / 2, text, size=size, ink=ink, is_bold=True, is_left=True)
    return shapes.Picture(label.width, size, labels=(label,))


def _captioned(graph: graphs.Graph) -> shapes.Picture:
    """Returns a graph's picture under its caption."""
    drawn = panel(graph)
    if not graph.caption:
        return drawn
    return shapes.arranged([_words(graph.caption, _CAPTION, palette.FAINT_INK), drawn], _CAPTION, below=True)


def _legend(found: Sequence[graphs.Graph], width: float) -> shapes.Picture:
    """Returns the meaning of colours and circles, in as many lines as needed."""
    vertices = [vertex for graph in found for vertex in graph.vertices]
    kinds = palette.in_order({operation.kind for vertex in vertices for operation in vertex.operations})
    side = _SWATCH
    samples = []
    for kind in kinds:
        samples.append(
            (kind.name + kind.note, shapes.Box(0.0, 0.0, side, side, 3.0, kind.fill, kind.line, kind.is_dashed))
        )
    if any(vertex.number is not None for vertex in vertices):
        circle = shapes.Box(0.0, 0.0, side, side, side / 2, palette.BACKGROUND, palette.EDGE)
        samples.append(("node: the sum of its operations", circle))
    if any(operation.details.endswith("SE") for vertex in vertices for operation in vertex.operations):
        samples.append((_SQUEEZE, None))
    lines: list[list[shapes.Picture]] = [[]]
    for text, box in samples:
        entry = _entry(text, box, width)
        if lines[-1] and shapes.arranged([*lines[-1], entry], side).width > width:
            lines.append([])
        lines[-1].append(entry)
    return shapes.arranged([shapes.arranged(line, side) for line in lines], 0.6 * side, below=True)


def _entry(text: str, box: shapes.Box | None, width: float) -> shapes.Picture:
    """Returns a text of the legend, in as many lines as needed, beside a sample of its colour."""
    left, lines = _SWATCH + 6.0, [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and left + lettering.width(longer, _LEGEND) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    style = {"size": _LEGEND, "ink": palette.FAINT_INK, "is_left": True}
    labels = tuple(shapes.Label(left, _SWATCH / 2 + 1.3 * _LEGEND * at, line, **style) for at, line in enumerate(lines))
    height = _SWATCH + 1.3 * _LEGEND * (len(lines) - 1)
    return shapes.Picture(max(label.bounds[2] for label in labels), height, (box,) if box else (), (), labels)


def panel(graph: graphs.Graph) -> shapes.Picture:
    """Returns the picture of a graph, without its caption."""
    if not graph.vertices:
        return shapes.Picture(0.0, 0.0)
    return _columns(graph) if graph.columns else _layers(graph)


def _layers(graph: graphs.Graph) -> shapes.Picture:
    """Returns the layered drawing."""
    if len(graph.vertices) > _MAX_VERTICES:
        raise ValueError(f"can draw graphs of at most {_MAX_VERTICES} vertices; got {len(graph.vertices)}")
    reads = [[read for operation in vertex.operations for read in operation.reads] for vertex in graph.vertices]
    plan = layout.layering(reads)
    vertices = _untangled(graph.vertices, plan)
    boxes = _box_widths(vertices)
    num_bends = len(plan.owner) - len(vertices)
    widths = [*map(nodes.width, vertices, boxes), *[0.0] * num_bends]
    heights = [*map(nodes.height, vertices), *[0.0] * num_bends]
    links = _links(vertices, plan)
    middles = layout.heights(plan.layers, tuple(heights), tuple(links), _GAP)
    columns = _lanes(plan.layers, widths, middles, links)

    place, column_of = {}, {}
    for column, layer in zip(columns, plan.layers):
        place.update({item: Point(sum(column) / 2, middles[item]) for item in layer})
        column_of.update(dict.fromkeys(layer, column))
    parts = [nodes.draw(vertex, place[at], boxes[at], at) for at, vertex in enumerate(vertices)]
    curves = []
    for source, target, offset, _ in links:
        leave = Point(column_of[source][1] + _LEAVE, middles[source])
        arrive = Point(column_of[target][0], middles[target] + offset)
        start, end = Point(column_of[source][1], leave.y), Point(column_of[target][1], arrive.y)
        is_arrow = target < len(vertices)
        if source < len(vertices):
            start = Point(place[source].x + widths[source] / 2 - nodes.inset(vertices[source]), leave.y)
        if is_arrow:
            arrive = Point(arrive.x - _LEAD, arrive.y)
            end = Point(place[target].x - widths[target] / 2 + nodes.inset(vertices[target]), arrive.y)
        crossing = (leave, *shapes.swing(leave, arrive))
        points = (start, *shapes.straight(start, leave), *crossing[1:], *shapes.straight(arrive, end))
        curves.append(shapes.Curve(points, plan.owner[source], crossing, is_arrow))
    return _joined(parts, curves)


def _untangled(vertices: Sequence[graphs.Vertex], plan: layout.Layering) -> list[graphs.Vertex]:
    """Returns the vertices with operations, and their inputs, from top to bottom in the order of the edges."""
    place = {item: at for layer in plan.layers for at, item in enumerate(layer)}
    result = []
    for at, vertex in enumerate(vertices):
        above = {plan.owner[source]: place[source] for source, target in plan.edges if target == at}
        operations = []
        for operation in vertex.operations:
            reads = tuple(sorted(operation.reads, key=above.__getitem__))
            height = sum(above[read] for read in reads) / max(len(reads), 1)
            operations.append((height, len(operations), operation._replace(reads=reads)))
        result.append(dataclasses.replace(vertex, operations=tuple(operation for *_, operation in sorted(operations))))
    return result


def _box_widths(vertices: Sequence[graphs.Vertex]) -> list[float]:
    """Returns the width of the boxes of each vertex: all operations as the widest of them, states as needed."""
    needed = [max(map(nodes.operation_width, vertex.operations)) for vertex in vertices]
    is_state = [vertex.operations[0].kind == palette.STATE for vertex in vertices]
    widest = max((width for width, plain in zip(needed, is_state) if not plain), default=0.0)
    return [width if plain else widest for width, plain in zip(needed, is_state)]


def _links(vertices: Sequence[graphs.Vertex], plan: layout.Layering) -> list[layout.Link]:
    """Returns the edges between items, one for each place where one arrives."""
    links = []
    for source, target in plan.edges:
        num_bends = (source >= len(vertices)) + (target >= len(vertices))
        owner = plan.owner[source]
        ports = nodes.ports(vertices[target]) if target < len(vertices) else [nodes.Port(owner, 0.0)]
        links += [layout.Link(source, target, port.offset, num_bends) for port in ports if port.source == owner]
    return links


def _lanes(
    layers: Sequence[Sequence[int]], widths: Sequence[float], middles: Sequence[float], links: Sequence[layout.Link]
) -> list[tuple[float, float]]:
    """Returns the left and right border of each layer, further apart where edges climb more."""
    columns, x = [], 0.0
    for rank, layer in enumerate(layers):
        if rank:
            into = (link for link in links if link.target in layer)
            climbs = (abs(middles[link.target] + link.offset - middles[link.source]) for link in into)
            x += min(max(_LANE[0], _STEEP * max(climbs, default=0.0) + _LEAD), _LANE[1])
        columns.append((x, x + max(widths[item] for item in layer)))
        x = columns[-1][1]
    return columns


def _columns(graph: graphs.Graph) -> shapes.Picture:
    """Returns the drawing of a chain: a column of blocks for each stage."""
    box = max(_box_widths(graph.vertices))
    high = max(map(nodes.height, graph.vertices))
    pitch = box + _CHAIN_LANE
    places = [(column, row) for column, size in enumerate(graph.columns) for row in range(size)]
    middles = [Point(box / 2 + x * pitch, _HEADING + high / 2 + y * (high + _CHAIN_GAP)) for x, y in places]
    parts = [nodes.draw(vertex, middle, box, 0) for vertex, middle in zip(graph.vertices, middles)]
    curves = [_chain_edge(start, end, box, high) for start, end in itertools.pairwise(middles)]
    style = {"size": 11.0, "ink": palette.FAINT_INK}
    columns = enumerate(graph.headings)
    return _joined(parts, curves, [shapes.Label(box / 2 + at * pitch, 7.0, name, **style) for at, name in columns])


def _chain_edge(start: Point, end: Point, box: float, high: float) -> shapes.Curve:
    """Returns the edge from block to block: straight down, or from the foot of a column to the head of the next."""
    if start.x == end.x:
        start, end = Point(start.x, start.y + high / 2), Point(end.x, end.y - high / 2)
        return shapes.Curve((start, *shapes.straight(start, end)), 0, is_arrow=True)
    start, end = Point(start.x + box / 2, start.y), Point(end.x - box / 2, end.y)
    arrive = Point(end.x - _LEAD, end.y)
    return shapes.Curve((start, *shapes.swing(start, arrive), *shapes.straight(arrive, end)), 0, is_arrow=True)


def _joined(
    parts: Sequence[shapes.Picture], curves: Sequence[shapes.Curve], labels: Sequence[shapes.Label] = ()
) -> shapes.Picture:
    """Returns one picture of all vertices and edges, with its size."""
    whole = shapes.overlaid([*parts, shapes.Picture(0.0, 0.0, (), tuple(curves), tuple(labels))])
    rights = [box.x + box.width for box in whole.boxes] + [label.bounds[2] for label in whole.labels]
    lows = [box.y + box.height for box in whole.boxes]
    lows += [point.y for curve in whole.curves for point in curve.points]
    return dataclasses.replace(whole, width=max(rights, default=0.0), height=max(lows, default=0.0))
