"""Statistics over seeds: by hand, against SciPy's own functions, and their properties."""

import math
from typing import ClassVar

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from scipy import stats

from common import history as history_lib
from common import types
from common.evaluators import tabular
from common.spaces import factory
from common.statistics import comparison, intervals, study, suite, tables

INF, NAN = math.inf, math.nan


class IntervalsTest(chex.TestCase):
    def test_mean_of_two_seeds_by_hand(self):
        """Resampled means are 0, 1/2 and 1, with 1/4, 1/2 and 1/4: 95 % of them take all."""
        assert intervals.mean(np.array([0.0, 1.0])) == (0.5, 0.0, 1.0)

    def test_interquartile_mean_by_hand(self):
        """Of 8 values the two smallest and the two largest go."""
        values = np.array([100.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -100.0])
        assert intervals.interquartile_mean(values).center == (2 + 3 + 4 + 5) / 4
        assert intervals.interquartile_mean(values[:4], values[4:]).center == (2 + 3 + 4 + 5) / 4

    def test_tasks_are_resampled_by_themselves(self):
        tasks = np.full(4, 1.0), np.full(4, 3.0)
        assert intervals.interquartile_mean(*tasks) == (2.0, 2.0, 2.0)
        assert intervals.interquartile_mean(np.concatenate(tasks)).low < 2

    def test_median_and_quartiles_by_hand(self):
        assert intervals.median(np.array([4.0, 1.0, 2.0, 8.0, 16.0])) == (4.0, 2.0, 8.0)
        assert intervals.median(np.array([1.0, 2.0, INF])) == (2.0, 1.5, INF)
        assert intervals.median(np.array([INF, INF])) == (INF, INF, INF)

    def test_curves(self):
        curves = np.array([[-INF, 1.0, 3.0], [0.0, 1.0, 5.0]])
        for band in (intervals.mean(curves), intervals.interquartile_mean(curves)):
            np.testing.assert_array_equal(band, [[NAN, 1, 4], [NAN, 1, 3], [NAN, 1, 5]])
        assert intervals.mean(np.array([7.0])) == (7.0, 7.0, 7.0)

    def test_bad_input(self):
        for function in (intervals.mean, intervals.interquartile_mean, intervals.median):
            with pytest.raises(ValueError, match="at least one seed"):
                function(np.zeros((0, 3)))
        with pytest.raises(ValueError, match="at least one task"):
            intervals.interquartile_mean()


class ComparisonTest(chex.TestCase):
    def test_improvement_by_hand(self):
        """Of 2 x 3 pairs: 3 > 1 and 2, 3 = 3; 1 = 1, 1 < 2 and 3."""
        assert comparison.improvement(np.array([3.0, 1.0]), np.array([1.0, 2.0, 3.0])).center == (2 + 0.5 + 0.5) / 6
        assert comparison.improvement(np.array([2.0, INF]), np.array([0.0, 1.0])) == (1.0, 1.0, 1.0)

    def test_improvement_is_the_u_of_mann_and_whitney(self):
        generator = np.random.default_rng(1)
        first, second = generator.integers(0, 6, 20).astype(float), generator.integers(1, 7, 30).astype(float)
        u = stats.mannwhitneyu(first, second).statistic
        band = comparison.improvement(first, second)
        assert band.center == pytest.approx(u / 600)
        assert band.low < band.center < band.high

    def test_holm_by_hand(self):
        assert comparison.holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
        assert comparison.holm([0.9, 0.6]) == [1.0, 1.0]
        assert comparison.holm([]) == []

    def test_tests_by_hand(self):
        """Three against three, all larger: 2 of the 20 orders are as extreme. Five pairs, all larger: 2 of 32 signs."""
        (one,) = comparison.compare({"a": np.array([4.0, 5.0, 6.0]), "b": np.array([1.0, 2.0, 3.0])})
        assert (one.first, one.second, one.p_value) == ("a", "b", pytest.approx(0.1))
        assert one.improvement == (1.0, 1.0, 1.0)
        paired = {"a": np.array([2.0, 4, 6, 8, 10]), "b": np.array([1.0, 2, 3, 4, 5])}
        assert comparison.compare(paired, test="wilcoxon")[0].p_value == pytest.approx(2 / 32)

    def test_smaller_is_better_and_never_is_worst(self):
        queries = {"never": np.full(3, INF), "fast": np.array([5.0, 6.0, 7.0]), "slow": np.array([8.0, 9.0, INF])}
        compared = {(one.first, one.second): one for one in comparison.compare(queries, is_larger_better=False)}
        assert list(compared) == [("never", "fast"), ("never", "slow"), ("fast", "slow")]
        assert compared["never", "fast"].improvement.center == 0
        assert compared["never", "slow"].improvement.center == 0.5 / 3
        assert compared["fast", "slow"].improvement.center == 1
        assert all(one.adjusted >= one.p_value for one in compared.values())

    @parameterized.parameters(*comparison.TESTS)
    def test_equal_algorithms_do_not_differ(self, test):
        (one,) = comparison.compare({"a": np.ones(6), "b": np.ones(6)}, test=test)
        assert (one.p_value, one.adjusted, one.improvement) == (1.0, 1.0, (0.5, 0.5, 0.5))

    @parameterized.parameters(
        ({"a": np.zeros(0), "b": np.ones(2)}, "mann_whitney", "a needs one number per seed"),
        ({"a": np.array([NAN]), "b": np.ones(1)}, "mann_whitney", "or NaN"),
        ({"a": np.ones(3), "b": np.ones(2)}, "wilcoxon", "in pairs; got 3 and 2"),
        ({"a": np.ones(2), "b": np.array([1.0, INF])}, "wilcoxon", "finite"),
        ({"a": np.ones(2)}, "t", "unknown test 't'"),
    )
    def test_bad_input(self, samples, test, message):
        with pytest.raises(ValueError, match=message):
            comparison.compare(samples, test=test)


class KendallTauTest(chex.TestCase):
    def test_by_hand(self):
        # Of six pairs five are in one order, one is not.
        assert intervals.kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]).center == pytest.approx(4 / 6)
        # One pair is tied in the second array: 2 of 2 in order, over sqrt(3 * 2).
        assert intervals.kendall_tau([1, 2, 3], [1, 1, 2]).center == pytest.approx(2 / np.sqrt(6))
        assert intervals.kendall_tau([1, 2, 3, 4, 5, 6], [2, 4, 6, 8, 10, 12]) == pytest.approx((1, 1, 1))
        assert np.all(np.isnan(intervals.kendall_tau([1, 1, 1], [1, 2, 3])))
        # Of two numbers half of the resamples take one of them twice, and are left out; the others have one order.
        assert intervals.kendall_tau([1, 2], [3, 4]) == pytest.approx((1, 1, 1))

    @parameterized.parameters(
        ([1], [1], "at least 2"),
        ([1, 2], [1, 2, 3], r"shapes \(2,\) and \(3,\)"),
        ([1, np.nan], [1, 2], "leave out unknown ones"),
    )
    def test_bad_input(self, first, second, message):
        with pytest.raises(ValueError, match=message):
            intervals.kendall_tau(first, second)


def histories(fitness, is_measured=None, cost=2.0):
    fitness = np.asarray(fitness, np.float32)
    is_measured = np.ones(fitness.shape, bool) if is_measured is None else np.asarray(is_measured)
    return history_lib.History(
        archs=np.zeros((*fitness.shape, 1), np.int32),
        fitness=np.where(is_measured, fitness, NAN).astype(np.float32),
        cost=np.full(fitness.shape, cost, np.float32),
        status=np.where(is_measured, types.MEASURED, types.INFEASIBLE).astype(np.int32),
        size=np.full(len(fitness), fitness.shape[1], np.int32),
        others=np.zeros((*fitness.shape, 0), np.float32),
    )


def of(fitness, is_measured=None, *, test=None, optimum=None, targets=()):
    """The record of one algorithm in study.json."""
    fitness = np.asarray(fitness)
    found = study.curves(histories(fitness, is_measured), np.full(fitness.shape, NAN) if test is None else test)
    return study.of_algorithm(found, optimum=optimum, targets=targets)


class StudyTest(chex.TestCase):
    def test_checkpoints(self):
        assert study.checkpoints(30) == (30,)
        assert study.checkpoints(50) == (50,)
        assert study.checkpoints(120) == (50, 100, 120)
        assert study.shown((50, 100, 120)) == (50, 100, 120)
        assert study.shown(study.checkpoints(500)) == (50, 100, 150, 200, 300, 500)
        assert study.shown(study.checkpoints(500), most=4) == (50, 100, 300, 500)
        assert study.shown((1, 2, 3, 4, 5), most=4) == (1, 2, 3, 5)

    def test_best_so_far_by_hand(self):
        best, at = study.best_so_far(
            np.array([[0.9, 0.25, 0.25, 0.5, 0.125]]), np.array([[False, True, True, True, True]])
        )
        np.testing.assert_array_equal(best, [[-INF, 0.25, 0.25, 0.5, 0.5]])
        np.testing.assert_array_equal(at, [[-1, 1, 1, 3, 3]])

    def test_curves_by_hand(self):
        test = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], np.float32)
        got = study.curves(histories([[0.5, 0.25, 0.75], [NAN, 0.5, 0.5]], [[True] * 3, [False, True, True]]), test)
        np.testing.assert_array_equal(got.best_fitness, [[0.5, 0.5, 0.75], [-INF, 0.5, 0.5]])
        np.testing.assert_array_equal(got.test_of_best, np.array([[0.1, 0.1, 0.3], [NAN, 0.5, 0.5]], np.float32))
        np.testing.assert_array_equal(got.seconds, [[2, 4, 6], [2, 4, 6]])

    def test_targets_by_hand(self):
        best = np.array([[0.5, 0.75, 0.75], [0.25, 0.5, 0.5], [-INF, -INF, 0.75]])
        seconds = np.cumsum([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0], [8.0, 8.0, 8.0]], axis=1)
        np.testing.assert_array_equal(study.queries_to(best, 0.75), [2, INF, 3])
        np.testing.assert_array_equal(study.queries_to(best, 0.75 + 5e-7), [2, INF, 3])
        np.testing.assert_array_equal(study.queries_to(best, 0.75 + 5e-6), [INF, INF, INF])
        np.testing.assert_array_equal(study.seconds_to(study.Curves(best, best, seconds), 0.75), [3, INF, 24])
        # A rounded optimum (tables are float32) is found, a near miss is not.
        optimum = 94.3733333 / 100
        assert study.queries_to(np.array([[optimum - 1 / 30_000, optimum]], np.float32), optimum) == [2]

    def test_means_by_hand(self):
        """Seeds find the optimum 0.75 at query 2, at query 60, and never; query 1 of the last is infeasible."""
        fitness = np.full((3, 60), 0.25)
        fitness[0, 1] = fitness[1, 59] = 0.75
        fitness[2, 30] = 0.5
        is_measured = np.ones((3, 60), bool)
        is_measured[2, 0] = False
        test = np.full((3, 60), 0.125)
        test[0, 1], test[1, 59], test[2, 30] = 0.5, 0.25, 0.375
        got = of(fitness, is_measured, test=test, optimum=0.75)
        queries = np.array([2.0, 60.0, 60.0])
        sd = queries.std(ddof=1)
        wanted = {"mean": queries.mean(), "median": 60.0, "sd": sd, "se": sd / 3**0.5, "found": 2 / 3}
        assert got["queries_to_optimum"] == pytest.approx(wanted)
        assert got["best_fitness"] == pytest.approx({"50": (0.75 + 0.25 + 0.5) / 3, "60": (0.75 + 0.75 + 0.5) / 3})
        assert got["test_of_best"] == pytest.approx({"50": (0.5 + 0.125 + 0.375) / 3, "60": (0.5 + 0.25 + 0.375) / 3})
        assert got["simple_regret"] == pytest.approx({"50": 0.25, "60": 0.25 / 3})
        assert got["best_fitness_se"]["50"] == pytest.approx(0.25 / 3**0.5)
        assert got["test_of_best_se"]["60"] == pytest.approx(np.std([0.5, 0.25, 0.375], ddof=1) / 3**0.5)

    def test_unknown_values_are_none_and_one_seed_has_no_spread(self):
        got = of(np.full((2, 3), 0.5), [[True] * 3, [False] * 3])
        assert got["queries_to_optimum"] == {}
        assert got["best_fitness"] == {"3": None}
        assert got["test_of_best"] == {"3": None}
        assert "simple_regret" not in got
        got = of([[0.5, 0.25]], optimum=0.5)["queries_to_optimum"]
        assert got == {"mean": 1.0, "median": 1.0, "sd": 0.0, "se": 0.0, "found": 1.0}

    def test_intervals_and_targets_by_hand(self):
        got = of([[0.5, 0.75], [0.25, 0.5]], test=np.zeros((2, 2)), targets=(0.75, 0.5))
        assert got["intervals"]["best_fitness"]["2"]["mean"] == [0.625, 0.5, 0.75]
        assert got["intervals"]["best_fitness"]["2"]["median"] == [0.625, 0.5625, 0.6875]
        assert got["intervals"]["test_of_best"]["2"]["interquartile_mean"] == [0, 0, 0]
        assert got["targets"] == [
            {"target": 0.75, "found": 0.5, "queries": [INF, INF, INF], "seconds": [INF, INF, INF]},
            {"target": 0.5, "found": 1.0, "queries": [1.5, 1.25, 1.75], "seconds": [3.0, 2.5, 3.5]},
        ]

    def test_regret_by_hand(self):
        """Fitness of five networks: mean 0.5, optimum 1, so a regret of 0.25 is half of the scale."""
        fitness = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
        best = np.array([[-INF, 0.25, 0.75, 1.0 - 1e-7], [0.0, 0.5, 0.5, 0.5]])
        np.testing.assert_allclose(study.normalized_regret(best, fitness), [[INF, 1.5, 0.5, 0], [2, 1, 1, 1]])
        np.testing.assert_array_equal(study.better_left(best, fitness), [[5, 3, 1, 0], [4, 2, 2, 2]])
        found = study.curves(histories(best[:, 1:]), np.zeros((2, 3)))
        got = study.of_algorithm(found, optimum=1.0, targets=(), fitness=fitness, after=(1, 3))
        assert got["by_seed"]["queries"] == [3, INF]
        assert got["by_seed"]["normalized_regret"] == {"1": [1.5, 1], "3": [0, 1]}
        assert got["by_seed"]["better_left"] == {"1": [3, 2], "3": [0, 2]}
        assert (got["normalized_regret"], got["better_left"]) == ({"1": 1.25, "3": 0.5}, {"1": 2.5, "3": 1})
        assert list(got["best_fitness"]) == ["1", "3"]

    def test_fitness_of_all_networks(self):
        space = factory.product("pairs", (2, 2))
        archs = space.enumerate()
        evaluator = tabular.from_arrays("mine/a", space, archs[:3], [0.5, 0.25, 1.0])
        np.testing.assert_array_equal(study.fitness_of_all(evaluator), [0.25, 0.5, 1.0])
        assert study.fitness_of_all(evaluator._replace(optimum=None)) is None
        assert study.fitness_of_all(evaluator._replace(space=space._replace(enumerate=None))) is None
        assert study.fitness_of_all(tabular.from_arrays("mine/a", space, archs, [0.5] * 4)) is None

    def test_comparisons(self):
        best = {"good": [[0.5, 0.75], [0.75, 0.75]], "bad": [[0.5, 0.5], [0.25, 0.5]]}
        found = {name: study.curves(histories(values), np.zeros((2, 2))) for name, values in best.items()}
        final, queries = study.comparisons(found, targets=(0.75,))
        assert [final[name] for name in ("of", "first", "second")] == ["best_fitness", "good", "bad"]
        assert final["improvement"] == [1, 1, 1]
        assert (queries["of"], queries["target"], queries["improvement"]) == ("queries", 0.75, [1, 1, 1])
        assert 0 < queries["p_value"] <= queries["adjusted"] <= 1

    def test_test_fitness_is_looked_up_row_by_row(self):
        def test(key, archs):
            del key
            value = (archs[:, 0] * 2 + archs[:, 1]).astype(jnp.float32)
            return types.Evaluation(fitness=value, cost=value, ok=archs[:, 1] == 0)

        space = factory.search_space("toy", (4, 2), size=8, describe=str)
        more = {"protocol": "validation", "optimum": None, "num_archs": None, "is_traceable": True}
        evaluator = types.Evaluator(name="toy/small", space=space, evaluate=test, test=test, **more)
        archs = np.array([[[0, 0], [3, 0]], [[1, 1], [2, 0]]], np.int32)
        got = study.test_fitness(jax.random.split(jax.random.key(0), 2), evaluator, archs)
        np.testing.assert_array_equal(got, np.array([[0, 6], [NAN, 4]], np.float32))
        got = study.test_fitness(jax.random.split(jax.random.key(0), 2), evaluator._replace(test=None), archs)
        np.testing.assert_array_equal(got, np.full((2, 2), NAN))
        without = study.curves(histories([[0.5, 0.75]]))
        np.testing.assert_array_equal(without.test_of_best, [[NAN, NAN]])
        assert study.of_algorithm(without, optimum=0.75, targets=())["queries_to_optimum"]["mean"] == 2


def report(**regrets):
    """A study.json of searches with these regrets after 1 and 2 queries; 0 is the optimum."""
    algorithms = {}
    for name, (first, last) in regrets.items():
        queries = [1 if early == 0 else 2 if late == 0 else None for early, late in zip(first, last)]
        left = {"1": [4] * len(first), "2": [0 if late == 0 else 3 for late in last]}
        by_seed = {"queries": queries, "normalized_regret": {"1": first, "2": last}, "better_left": left}
        algorithms[name] = {"by_seed": by_seed}
    return {"budget": 2, "algorithms": algorithms}


class SuiteTest(parameterized.TestCase):
    reports: ClassVar = {
        "x": report(good=([0.5, 0.0], [0.0, 0.0]), regularized_evolution=([1.0, 1.0], [0.25, 0.5])),
        "y": report(good=([1.0, 1.0], [0.5, 1.0]), regularized_evolution=([1.0, 1.0], [0.5, 0.5]), other=([1], [1])),
    }

    def test_by_hand(self):
        got = suite.summarize(self.reports)
        assert list(got) == ["good", "regularized_evolution"]  # the other lacks a task
        good, evolution = got.values()
        assert good.found == (0.5, 0.5, 0.5)  # of each task all or none
        assert good.queries.center == ((2 + 1) / 2 + 2) / 2
        assert good.normalized_regret["1"].center == 0.625
        assert good.normalized_regret["2"] == (0.375, 0.25, 0.5)
        assert good.better_left == {"1": 4, "2": 1.5}
        assert (good.rank, evolution.rank) == (1.5, 1.5)
        assert (good.worse, good.worst_seed) == (("y",), ("y",))
        assert (evolution.worse, evolution.worst_seed) == ((), ("x",))  # 0.5 is above the median 0.375 of its own

    @parameterized.parameters(
        ({"z": {"budget": 2, "algorithms": {}}}, "no algorithm is present on all tasks"),
        ({"z": {**report(good=([1], [1])), "budget": 3}}, "budgets of the tasks differ: 2, 3"),
        ({"z": {"budget": 2, "algorithms": {"good": {}}}}, "z has no normalized regret"),
    )
    def test_bad_input(self, more, message):
        with pytest.raises(ValueError, match=message):
            suite.summarize(self.reports | more)


class TablesTest(chex.TestCase):
    HEADER = ("a_b", "mean ± se")
    ROWS = (("x|y", "1 %"), ("<b>\n&\\", "2"))

    def test_markdown(self):
        assert tables.markdown(self.HEADER, self.ROWS) == (
            "| a\\_b | mean ± se |\n| --- | ---: |\n| x\\|y | 1 % |\n| \\<b\\> &\\\\ | 2 |\n"
        )

    def test_latex(self):
        assert tables.latex(self.HEADER, self.ROWS).splitlines() == [
            "\\begin{tabular}{lr}",
            "\\toprule",
            "a\\_b & mean $\\pm$ se \\\\",
            "\\midrule",
            "x|y & 1 \\% \\\\",
            "\\textless{}b\\textgreater{} \\&\\textbackslash{} & 2 \\\\",
            "\\bottomrule",
            "\\end{tabular}",
        ]

    @parameterized.parameters(tables.markdown, tables.latex)
    def test_rows_are_as_long_as_the_header(self, table):
        with pytest.raises(ValueError, match="a row has 1 cells, the header 2"):
            table(self.HEADER, [("x",)])
