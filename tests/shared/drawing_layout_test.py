"""The parts of a layered drawing against pencil and paper, and against trying all orders."""

import itertools
import math
import random

import pytest
from absl.testing import parameterized

from common.drawing import layering, levelling, placement


def edges_of(plan):
    """Returns the (vertex, reader) pairs that the edges of a layering stand for, by following their bends."""
    num_vertices = next((at for at, owner in enumerate(plan.owner) if owner != at), len(plan.owner))
    return sorted((plan.owner[source], target) for source, target in plan.edges if target < num_vertices)


def fewest_crossings(plan):
    """Returns the least crossings of any order of the layers."""
    orders = itertools.product(*(itertools.permutations(layer) for layer in plan.layers))
    return min(layering.num_crossings(layers, plan.edges) for layers in orders)


class LayeringTest(parameterized.TestCase):
    def test_crossings_by_hand(self):
        layers, edges = [[0, 1, 2], [3, 4, 5]], [(0, 4), (1, 3), (2, 3), (2, 5)]
        assert layering.num_crossings(layers, edges) == 2
        assert layering.num_crossings([[0, 1, 2], [4, 3, 5]], edges) == 0

    def test_a_long_edge_bends_in_every_layer_that_it_passes(self):
        plan = layering.layering([[], [0], [1], [0, 2]])
        assert sorted(map(len, plan.layers)) == [1, 1, 2, 2]
        assert plan.owner == (0, 1, 2, 3, 0, 0)
        assert set(plan.edges) == {(0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 3)}

    def test_long_edges_of_one_vertex_share_their_bends(self):
        plan = layering.layering([[], [0], [0, 1], [0, 2]])
        assert plan.owner == (0, 1, 2, 3, 0, 0)
        assert set(plan.edges) == {(0, 1), (1, 2), (2, 3), (0, 4), (4, 2), (4, 5), (5, 3)}

    def test_the_first_input_is_above_the_second(self):
        for reads in ([[], [], [1], [0], [2, 3]], [[], [], [0], [1], [2, 3]], [[], [], [0, 1]]):
            assert layering.layering(reads).layers[0] == (0, 1)

    def test_a_vertex_that_nothing_reads_and_one_that_reads_nothing(self):
        plan = layering.layering([[], [], [0], [0]])
        assert edges_of(plan) == [(0, 2), (0, 3)]
        assert sorted(itertools.chain(*plan.layers)) == list(range(len(plan.owner)))

    @parameterized.parameters(*range(20))
    def test_at_random(self, seed):
        draw = random.Random(seed)
        reads = [[source for source in range(target) if draw.random() < 0.45] for target in range(6)]
        plan = layering.layering(reads)
        assert edges_of(plan) == sorted((source, target) for target, those in enumerate(reads) for source in those)
        rank_of = {item: rank for rank, layer in enumerate(plan.layers) for item in layer}
        assert all(rank_of[target] == rank_of[source] + 1 for source, target in plan.edges)
        if math.prod(math.factorial(len(layer)) for layer in plan.layers) <= 3000:
            assert layering.num_crossings(plan.layers, plan.edges) == fewest_crossings(plan)


class PlacementTest(parameterized.TestCase):
    def test_a_chain_is_level(self):
        links = [levelling.Link(0, 1, 0.0, 0), levelling.Link(1, 2, 0.0, 0)]
        assert placement.heights([[0], [1], [2]], [10.0, 30.0, 10.0], links, 5.0) == pytest.approx([15.0] * 3)

    def test_edges_run_level_into_their_ports(self):
        links = [levelling.Link(0, 2, -20.0, 0), levelling.Link(1, 2, 20.0, 0)]
        heights = placement.heights([[0, 1], [2]], [10.0, 10.0, 60.0], links, 5.0)
        assert heights == pytest.approx([10.0, 50.0, 30.0])

    def test_neighbours_keep_their_distance(self):
        links = [levelling.Link(0, 2, 0.0, 0), levelling.Link(1, 2, 0.0, 0)]
        first, second, third = placement.heights([[0, 1], [2]], [10.0, 20.0, 10.0], links, 5.0)
        assert second - first == pytest.approx(20.0)
        assert third == pytest.approx(first) or third == pytest.approx(second)  # one line is level

    @parameterized.parameters(*range(10))
    def test_at_random(self, seed):
        draw = random.Random(seed)
        layers, item = [], 0
        for size in draw.choices(range(1, 6), k=5):
            layers.append(list(range(item, item + size)))
            item += size
        extents = [draw.choice((0.0, 26.0, 70.0)) for _ in range(item)]
        links = [
            levelling.Link(draw.choice(before), target, draw.uniform(-10, 10), draw.randint(0, 2))
            for before, layer in itertools.pairwise(layers)
            for target in layer
        ]
        heights = placement.heights(layers, extents, links, 14.0)
        assert min(height - extent / 2 for height, extent in zip(heights, extents)) == pytest.approx(0.0)
        for high, low in itertools.chain.from_iterable(map(itertools.pairwise, layers)):
            assert heights[low] - heights[high] >= (extents[low] + extents[high]) / 2 + 14.0 - 1e-5


class LevellingTest(parameterized.TestCase):
    def test_what_hangs_together_moves_together(self):
        # A line 0 - 1 - 2 that is level, one pixel off its end 3, beside which nothing stands.
        links = [levelling.Link(at, at + 1, 0.0, 2) for at in range(3)]
        moved = levelling.levelled([[0], [1], [2], [3]], [5.0, 5.0, 5.0, 6.0], links, [0.0] * 4, 10.0)
        assert len(set(moved)) == 1

    def test_what_is_in_the_way_is_pushed(self):
        links = [levelling.Link(0, 2, 0.0, 0)]
        moved = levelling.levelled([[0, 1], [2]], [0.0, 10.0, 1.0], links, [0.0] * 3, 10.0)
        assert moved == [1.0, 11.0, 1.0]

    def test_what_is_level_stays(self):
        links = [levelling.Link(0, 1, 2.0, 0)]
        assert levelling.levelled([[0], [1]], [7.0, 5.0], links, [4.0, 4.0], 10.0) == [7.0, 5.0]
