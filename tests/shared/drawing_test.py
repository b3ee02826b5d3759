"""Drawings of genotypes: nothing overlaps, every edge is drawn, and the SVG is well formed and reproducible."""

import dataclasses
import itertools
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from absl.testing import parameterized

from common import drawing
from common.drawing import graphs, lettering, pictures
from common.genotypes import genotype as genotypes
from common.genotypes import published
from tests.shared import random_genotypes

SVG = "{http://www.w3.org/2000/svg}"
BRANCHES = (("max_pool_3x3", 0), ("max_pool_3x3", 1)), (("skip_connect", 2), ("max_pool_3x3", 1))
CELL = genotypes.Cell(tuple(tuple(itertools.starmap(genotypes.Branch, node)) for node in BRANCHES), (2, 3))
OTHER_CELL = genotypes.Cell(CELL.nodes[:1], (0, 2))
BY_HAND = {
    "cell": CELL,
    "cell_of_one_output": genotypes.Cell(CELL.nodes, (3,)),
    "cell_of_its_inputs": genotypes.Cell((), (0, 1)),
    "same_cells": genotypes.CellGenotype(CELL, CELL),
    "two_cells": genotypes.CellGenotype(CELL, OTHER_CELL),
    "recurrent": genotypes.RecurrentGenotype(
        (genotypes.RecurrentNode("tanh", 0), genotypes.RecurrentNode("relu", 1), genotypes.RecurrentNode("relu", 0)),
        (2, 3),
    ),
    "chain": genotypes.ChainGenotype((("mb6_k7", "mb3_k5"), (), ("mb3_k3",)), 224),
    "chain_of_nothing": genotypes.ChainGenotype(()),
    "graph": genotypes.GraphGenotype(
        ("input", "conv3x3-bn-relu", "maxpool3x3", "output"), ((0, 1), (0, 3), (1, 2), (2, 3))
    ),
    "graph_with_a_stray_vertex": genotypes.GraphGenotype(("input", "maxpool3x3", "output"), ((0, 2),)),
    "edges": genotypes.EdgeGenotype(
        3, ((0, 1, "nor_conv_3x3"), (0, 2, "skip_connect"), (1, 2, "none"))
    ),
    "long_names": genotypes.GraphGenotype(("input", "W" * 60, "m@%" * 9, "output"), ((0, 1), (1, 2), (0, 2), (2, 3))),
}  # fmt: skip


def corners(box):
    return box.x, box.y, box.x + box.width, box.y + box.height


def is_apart(a, b, slack=1e-6):
    return a[2] <= b[0] + slack or b[2] <= a[0] + slack or a[3] <= b[1] + slack or b[3] <= a[1] + slack


def is_within(a, b, slack=1e-6):
    return b[0] - slack <= a[0] and b[1] - slack <= a[1] and a[2] <= b[2] + slack and a[3] <= b[3] + slack


def samples(points):
    """Returns 33 points of each part of a curve."""
    found = []
    for at in range(0, len(points) - 1, 3):
        a, b, c, d = points[at : at + 4]
        for step in range(33):
            t = step / 32
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
            found.append(tuple(sum(w * p[axis] for w, p in zip(weights, (a, b, c, d))) for axis in (0, 1)))
    return found


def faults(picture):
    """Returns what overlaps in a picture, or sticks out of it, as texts."""
    whole = (0.0, 0.0, picture.width, picture.height)
    labels = [(f"label {label.text!r}", label.bounds) for label in picture.labels]
    front = [(f"box at {corners(box)[:2]}", corners(box)) for box in picture.boxes if not box.is_behind]
    frames = [(f"frame at {corners(box)[:2]}", corners(box)) for box in picture.boxes if box.is_behind]
    found = [f"{name} sticks out" for name, at in labels + front + frames if not is_within(at, whole)]
    found += [f"{a} overlaps {b}" for (a, x), (b, y) in itertools.combinations(labels, 2) if not is_apart(x, y)]
    found += [f"{a} overlaps {b}" for (a, x), (b, y) in itertools.combinations(frames, 2) if not is_apart(x, y)]
    for (a, x), (b, y) in itertools.product(labels, front + frames):
        found += [f"{a} overlaps {b}"] * (not is_apart(x, y) and not is_within(x, y))
    for (a, x), (b, y) in itertools.permutations(front, 2):
        found += [f"{a} overlaps {b}"] * (not is_apart(x, y) and not is_within(x, y) and not is_within(y, x))
    bare = [(name, at) for name, at in labels if not any(is_within(at, box) for _, box in front)]
    for curve in picture.curves:
        points = samples(curve.points)
        found += ["a curve sticks out"] * any(not is_within((*at, *at), whole) for at in points)
        for name, (left, top, right, bottom) in front + bare:
            inner = (left + 2.5, top + 2.5, right - 2.5, bottom - 2.5)
            found += [f"a curve runs through {name}"] * any(not is_apart((*at, *at), inner, 0.0) for at in points)
        for name, at in frames:
            ends = (curve.points[0], curve.points[-1])
            is_foreign = not any(is_within((*end, *end), at) for end in ends)
            found += [f"a curve runs through {name}"] * (is_foreign and any(is_within((*p, *p), at) for p in points))
    return found


CASES = {
    **BY_HAND,
    **{name: published.get(name) for name in ("naonet_a", "nao_ptb", "lanet", "amoebanet_b_nao", "enas_rnn")},
    **{
        f"random {kind} {seed}": random_genotypes.make(kind, seed)
        for kind in random_genotypes.KINDS
        for seed in range(2)
    },
}


class FaultsTest(parameterized.TestCase):
    """The checker itself."""

    def test_it_finds_what_is_wrong(self):
        picture = pictures.picture(CELL)
        label, curve = next(label for label in picture.labels if label.text == "concat"), picture.curves[0]
        moved = (label._replace(x=label.x + 20), label._replace(x=picture.width), label)
        across = curve._replace(points=(curve.points[0], *[curve.points[0]._replace(x=picture.width)] * 3))
        texts = faults(dataclasses.replace(picture, curves=(across,), labels=moved))
        for fault in ("overlaps box", "overlaps label 'concat'", "sticks out"):
            assert any(f"label 'concat' {fault}" in text for text in texts), texts
        assert any("a curve runs through" in text for text in texts), texts


class PictureTest(parameterized.TestCase):
    @parameterized.parameters(*CASES)
    def test_nothing_overlaps(self, case):
        assert not faults(pictures.picture(CASES[case], title="a title that is a good deal longer"))

    @parameterized.parameters(*(case for case in CASES if not isinstance(CASES[case], genotypes.ChainGenotype)))
    def test_every_edge_is_drawn_and_no_other(self, case):
        for graph in graphs.graphs(CASES[case]):
            picture = pictures.panel(graph)
            pills = [box for box in picture.boxes if not box.is_behind and box.radius < box.height / 2]
            operations = [operation for vertex in graph.vertices for operation in vertex.operations]
            drawn = []
            for curve in picture.curves:
                if curve.is_arrow:
                    x, y = curve.points[-1]
                    (pill,) = (box for box in pills if box.x == pytest.approx(x) and box.y < y < box.y + box.height)
                    inside = [label for label in picture.labels if is_within(label.bounds, corners(pill))]
                    drawn.append((curve.group, inside[-1].text))
            assert sorted(drawn) == sorted((read, op.text) for op in operations for read in op.reads)

    @parameterized.parameters(
        (genotypes.GraphGenotype(("input", "a", "output"), ((1, 0),)), "from 1 to 0"),
        (genotypes.EdgeGenotype(2, ((0, 2, "a"),)), "from 0 to 2"),
        (genotypes.RecurrentGenotype((genotypes.RecurrentNode("tanh", 0),) * 99, (1,)), "100 vertices; got 103"),
        ("naonet_a", "a str"),
    )
    def test_what_cannot_be_drawn(self, genotype, message):
        with pytest.raises(ValueError, match=message):
            drawing.svg(genotype)


class SvgTest(parameterized.TestCase):
    @parameterized.parameters(*BY_HAND)
    def test_content(self, name):
        picture, text = pictures.picture(BY_HAND[name], title=name), drawing.svg(BY_HAND[name], title=name)
        assert text.count("http") == 1, "only the name space"
        assert all(word not in text for word in ("href", "url(", "@import", "<style", "<script"))
        root = ElementTree.fromstring(text)
        assert float(root.get("width")) == pytest.approx(picture.width, abs=0.01)
        assert float(root.get("height")) == pytest.approx(picture.height, abs=0.01)
        assert len(root.findall(f"{SVG}rect")) == len(picture.boxes) + 1  # the background
        assert ["".join(text.itertext()) for text in root.findall(f"{SVG}text")] == [
            label.text + label.subscript for label in picture.labels
        ]
        assert len(root.findall(f"{SVG}polygon")) == sum(curve.is_arrow for curve in picture.curves)

    @parameterized.parameters("<script>", "a & \"b'", '"><g/>', "]]>", "\x00\x08\x1b", "\ud800", "\ufffe", "\U0001f600")
    def test_any_name_is_escaped(self, name):
        genotype = genotypes.GraphGenotype(("input", name, "output"), ((0, 1), (1, 2)))
        text = drawing.svg(genotype, title=name)
        text.encode("utf-8")
        root = ElementTree.fromstring(text)
        assert {element.tag for element in root.iter()} <= {
            SVG + tag for tag in ("svg", "title", "rect", "path", "polygon", "text", "tspan")
        }
        assert lettering.clean(name) in [element.text for element in root.findall(f"{SVG}text")]
        assert not faults(pictures.picture(genotype, title=name))

    def test_equal_in_every_process(self):
        program = "from common import drawing; from common.genotypes import published as p"
        program += "; print(drawing.svg(p.get('nao_ws')))"
        environment = {**os.environ, "PYTHONHASHSEED": "1"}
        run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)
        assert run.stdout.decode() == drawing.svg(published.get("nao_ws")) + "\n"
