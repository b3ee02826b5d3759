"""Limits on costs that are measured: rows over them are evaluated and infeasible, by every driver."""

import json
import tempfile

import jax
import numpy as np
from absl.testing import parameterized

from common import search, types
from common.evaluators import problem
from common.executors import measuring
from common.runs import search as runs
from tests.shared import objectives_test as toys
from tests.shared import search_test as toy


def evaluator(is_traceable=True):
    made = toys.measuring()._replace(is_traceable=is_traceable)
    return made._replace(recipe=types.Recipe("tests.shared.limits_measured_test.evaluator", {}))


class MeasuredLimitsTest(parameterized.TestCase):
    @parameterized.parameters(True, False)
    def test_rows_over_a_limit_are_infeasible(self, is_traceable):
        limited = problem.limited(evaluator(is_traceable), ["watts<=1.2", "sum>=3"])
        assert limited.limits == ("sum>=3", "watts<=1.2")
        assert limited.optimum is None
        history = search.run_search(jax.random.key(1), toys.made(limited, ("fitness", "-watts")), limited, budget=30)
        plain = problem.limited(evaluator(), ["sum>=3"])
        wanted = search.run_search(jax.random.key(1), toys.made(plain, ("fitness", "-watts")), plain, budget=30)
        np.testing.assert_array_equal(history.archs, wanted.archs)
        is_within = np.asarray(wanted.others)[:, 0] >= -1.2
        assert 0 < is_within.sum() < np.isfinite(wanted.fitness).sum()
        np.testing.assert_array_equal(np.asarray(history.status) == types.MEASURED, is_within)
        np.testing.assert_array_equal(np.asarray(history.fitness)[is_within], np.asarray(wanted.fitness)[is_within])
        assert np.asarray(history.archs).sum(axis=1).min() >= 3
        if is_traceable:
            compiled = search.scan_search(
                jax.random.key(1), toys.made(limited, ("fitness", "-watts")), limited, budget=30
            )
            toy.assert_same(compiled, history)

    def test_workers_build_the_limits_again(self):
        limited = problem.limited(evaluator(), ["watts<=1.2", "sum>=3"])
        again = measuring.make(limited.recipe)
        archs = np.asarray(toy.SPACE.enumerate(), np.int32)
        for made in (limited, again):
            found = made.evaluate(jax.random.key(2), archs)
            assert np.asarray(found.over_limit).sum() > 5
            assert not np.any(found.ok & found.over_limit)
        found, other = limited.evaluate(jax.random.key(2), archs), again.evaluate(jax.random.key(2), archs)
        np.testing.assert_array_equal(found.over_limit, other.over_limit)

    def test_they_are_counted_apart_from_failures(self):
        limited = problem.limited(evaluator(), ["watts<=1.2"])
        with tempfile.TemporaryDirectory() as workdir:
            searcher = toys.made(limited, ("fitness", "-watts"))
            options = runs.Options(budget=30, workdir=workdir, seed=1)
            result = runs.run(limited, searcher, options, command="toy", algorithm="random", config={})
            with open(f"{workdir}/journal.jsonl") as file:
                events = [json.loads(line) for line in file]
        over = [event for event in events if event.get("reason") == "over the limit"]
        assert result["over_limit"] == len(over) > 0
        assert "over the limit" not in result["failures"]
        watts = np.array([event["costs"]["watts"] for event in over], float)
        assert np.all((watts > 1.2) | np.isnan(watts))  # NaN exceeds every limit
        assert all(event["fitness"] is None for event in over)
        assert all(one["costs"]["watts"] <= 1.2 for one in result["front"])
        assert result["front"] == sorted(result["front"], key=lambda one: -one["fitness"])
        assert result["reference"]["watts"] <= 1.2

    def test_unknown_cost(self):
        with self.assertRaisesRegex(ValueError, "unknown cost 'joules'; choose one of sum, watts"):
            problem.limited(evaluator(), ["joules<=3"])
