"""Statistics over several tasks: by hand, and their properties."""

import math

import numpy as np
import pytest
from absl.testing import parameterized

from common.statistics import across, comparison, intervals, study

INF, NAN = math.inf, math.nan


def curves(best):
    best = np.array(best, np.float32)
    return study.Curves(best, np.full_like(best, NAN), np.cumsum(np.ones(best.shape), axis=1))


def two_tasks():
    """Optima 1 and 0.5. Regrets of random search in the end: 1/2, 1/4, 1/4 (median 1/4), and 1/8 always."""
    return {
        "x": {
            "random": curves([[0.25, 0.5], [0.5, 0.75], [0.5, 0.75]]),
            "mine": curves([[0.5, 1.0], [0.75, 0.75], [0.5, 0.5]]),
            "extra": curves([[0.5, 0.5]] * 3),
        },
        "y": {"mine": curves([[0.25, 0.25], [0.5, 0.5], [0.25, 0.375]]), "random": curves([[0.25, 0.375]] * 3)},
    }


OPTIMA = {"x": 1.0, "y": 0.5}


class ScaledTest(parameterized.TestCase):
    def test_by_hand(self):
        got = across.scaled(two_tasks(), OPTIMA, num_queries=2)
        assert (got.tasks, got.algorithms, got.left_out) == (("x", "y"), ("random", "mine"), {"extra": ("y",)})
        np.testing.assert_array_equal(got.unit, [[0.5, 0.25], [0.25, 0.125]])
        np.testing.assert_array_equal(got.regret["random"][0], [[1.5, 2], [1, 1], [1, 1]])
        np.testing.assert_array_equal(got.regret["mine"][0], [[1, 0], [0.5, 1], [1, 2]])
        np.testing.assert_array_equal(got.regret["mine"][1], [[1, 2], [0, 0], [1, 1]])
        np.testing.assert_array_equal(got.queries["mine"], [[2, INF, INF], [INF, 1, INF]])
        # The middle of 0, 0, 1, 1, 2, 2 is all but a quarter of six (one, rounded down) at each end.
        final = [task[:, -1] for task in got.regret["mine"]]
        assert intervals.interquartile_mean(*final).center == (0 + 1 + 1 + 2) / 4
        assert intervals.mean(*final).center == 1

        got = across.scaled(two_tasks(), OPTIMA, num_queries=1)
        np.testing.assert_array_equal(got.regret["mine"][0], [[1], [0.5], [1]])
        np.testing.assert_array_equal(got.queries["mine"], [[INF, INF, INF], [INF, 1, INF]])

    def test_units_of_known_networks(self):
        """Means 0.5 and 0.25 of all networks, so regrets are divided by 0.5 and 0.25; no random search is needed."""
        tasks = {task: {name: one for name, one in of.items() if name != "random"} for task, of in two_tasks().items()}
        tasks["y"]["extra"] = curves([[0.25, 0.25]] * 3)
        got = across.scaled(tasks, OPTIMA, num_queries=2, means={"x": 0.5, "y": 0.25})
        np.testing.assert_array_equal(got.unit, [[0.5, 0.5], [0.25, 0.25]])
        np.testing.assert_array_equal(got.regret["mine"][0], [[1, 0], [0.5, 0.5], [1, 1]])
        np.testing.assert_array_equal(got.regret["mine"][1], [[1, 1], [0, 0], [1, 0.5]])

    def test_units_of_fitness_do_not_matter(self):
        """A task whose points are a tenth of another's comes to the same."""
        tasks = two_tasks()
        scaled = {name: curves(1 - (1 - one.best_fitness) / 10) for name, one in tasks["x"].items()}
        got = across.scaled({"x": tasks["x"], "tenth": scaled}, {"x": 1.0, "tenth": 1.0}, num_queries=2)
        for name in ("random", "mine", "extra"):
            np.testing.assert_allclose(got.regret[name][1], got.regret[name][0], rtol=1e-5)

    def test_nothing_measured_yet_and_rounding(self):
        """Fitness is float32: what differs from the optimum by less than its spacing has found it."""
        tasks = two_tasks()
        tasks["x"] = {name: curves([[-INF, 0.5]] * 3) for name in ("random", "mine")}
        tasks["y"]["mine"] = curves([[0.1, 0.5 - 1e-7]] * 3)
        got = across.scaled(tasks, OPTIMA, num_queries=2)
        np.testing.assert_array_equal(got.regret["mine"][0], [[NAN, 1]] * 3)
        np.testing.assert_array_equal(got.regret["mine"][1][:, -1], 0)

    @parameterized.parameters(
        ("at least two tasks; got x", None),
        ("must be 1 to 2, the smallest budget; got 0", {}, OPTIMA, 0),
        ("must be 1 to 2, the smallest budget; got 3", {}, OPTIMA, 3),
        ("optimum of y is unknown", {}, {"x": 1.0, "y": None}),
        ("divided by those of random, which is missing on y", {"random": None}),
        ("only random is present on all tasks", {"mine": None}),
        ("numbers of seeds differ.*mine on y: 2, random on x: 3", {"mine": [[0.25, 0.25]] * 2}),
        ("random has a median regret of 0 on y after 2 queries", {"random": [[0.5, 0.5]] * 3}),
    )
    def test_bad_input(self, message, changed, optima=OPTIMA, num_queries=2):
        """Curves of the second task are changed or, with None, left out."""
        tasks = two_tasks()
        second = tasks.pop("y")
        if changed is not None:
            second |= {name: None if best is None else curves(best) for name, best in changed.items()}
            tasks["y"] = {name: one for name, one in second.items() if one is not None}
        with pytest.raises(ValueError, match=message):
            across.scaled(tasks, optima, num_queries=num_queries)

    def test_profile_by_hand(self):
        """Tasks count the same, however many searches they have: half of two, and all, a third or none of three."""
        band = across.profile(np.array([0.0, 1.0]), np.array([0.5, 2.0, 2.0]), thresholds=np.array([0, 0.5, 2]))
        np.testing.assert_allclose(band.center, [(1 / 2 + 0) / 2, (1 / 2 + 1 / 3) / 2, 1])
        np.testing.assert_allclose((band.low[2], band.high[2]), 1)
        band = across.profile(np.array([INF, NAN]), thresholds=np.array([0, 1e9]))
        np.testing.assert_array_equal(band.center, 0)


class ImprovementTest(parameterized.TestCase):
    def test_across_by_hand(self):
        """Of 1 x 2 pairs one and a half, of 2 x 1 pairs none, whatever the scales."""
        first, second = [np.array([3.0]), np.array([1e-3, 2e-3])], [np.array([3.0, 1.0]), np.array([1.0])]
        assert comparison.improvement_across(first, second).center == (0.75 + 0) / 2

    def test_tasks_are_resampled_by_themselves(self):
        """First always before on one task and always behind on the other: no resample differs from a half."""
        low, high = np.zeros(4), np.ones(4)
        assert comparison.improvement_across([low, high], [high, low]) == (0.5, 0.5, 0.5)

    def test_resampled_values_by_hand(self):
        """Of 0 and 2 against 1: a resample has none, one or both above, with 1/4, 1/2 and 1/4."""
        pair = np.array([0.0, 2.0]), np.array([1.0])
        assert comparison.improvement(*pair) == (0.5, 0.0, 1.0)

    def test_improvements(self):
        compared = across.improvements(across.scaled(two_tasks(), OPTIMA, num_queries=2))
        final, queries = compared
        assert (final["of"], final["first"], final["second"]) == ("best_fitness", "random", "mine")
        # x: random 2, 1, 1 against 0, 1, 2: 0 + 1/2 better; 1/2 + 1 twice (the smaller regret is the better one).
        on_x = (0 + 0 + 0.5 + 2 * (0 + 0.5 + 1)) / 9
        on_y = 3 * (1 + 0 + 0.5) / 9
        assert final["improvement"][0] == pytest.approx((on_x + on_y) / 2)
        assert final["improvement"][1] < final["improvement"][0] < final["improvement"][2]
        # On both tasks one of mine found the optimum, and none of the others: 3 x 2 pairs are ties.
        assert (queries["of"], queries["improvement"][0]) == ("queries", pytest.approx(3 * 2 * 0.5 / 9))

    def test_bad_input(self):
        for tasks in (([], []), ([np.ones(2)], [np.ones(2)] * 2)):
            with pytest.raises(ValueError, match="of the same tasks, at least one; got"):
                comparison.improvement_across(*tasks)
