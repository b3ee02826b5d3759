"""Searches for several objectives: the same values from every driver, resumed, and validated."""

import json
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import Search, objectives, run_search, search, types
from common.baselines import random_search
from common.evaluators import benchmark
from common.executors import inline
from common.records import journal as journal_lib
from common.records import measurements, run_dir
from tests.shared import search_test as toy

TABLE = benchmark.evaluator("digits_convnet")
TEXTS = ("-parameters", "fitness", "-train_seconds")


def measuring():
    """The toy problem, whose evaluations measure "watts" and whose rows have the cost "sum"."""
    inner = toy.evaluator()

    def evaluate(key, archs):
        found = inner.evaluate(key, archs)
        return found.replace(costs={"watts": jnp.where(found.fitness > 0.4, found.fitness * 2, jnp.nan)})

    costs = {"sum": lambda archs: archs.sum(axis=1)}
    return inner._replace(evaluate=evaluate, costs=costs, measured=("watts",))


def made(evaluator, texts=TEXTS, count=2):
    chosen = objectives.of(texts, evaluator)
    return random_search.searcher(evaluator.space, random_search.Config(count=count), objectives=chosen)


class ParseTest(parameterized.TestCase):
    def test_the_fitness_comes_first(self):
        found = objectives.of("-params, fitness,+speed")
        assert (found.names, found.signs) == (("fitness", "params", "speed"), (1.0, -1.0, 1.0))
        assert found.texts == ("fitness", "-params", "speed")
        assert found.measured == ("params", "speed")

    @parameterized.parameters(
        ("-params", "fitness must be an objective"),
        ("-fitness,params", "fitness must be an objective"),
        ("fitness,params,-params", "objective params is given twice"),
        ("fitness,", "an objective is a name"),
        ("fitness,--params", "an objective is a name"),
        ("fitness,a,b,c,d", "at most 4 objectives"),
    )
    def test_bad_texts(self, texts, message):
        with pytest.raises(ValueError, match=message):
            objectives.parse(texts)

    def test_unknown_objective(self):
        with pytest.raises(ValueError, match="unknown objective 'watts'; choose one of fitness, "):
            objectives.of("fitness,-watts", TABLE)

    def test_more_objectives_than_the_algorithm_takes(self):
        algorithm = types.Algorithm("one", None, {}, None)
        with pytest.raises(ValueError, match="one takes at most 1 objectives; got 2: fitness,-parameters"):
            objectives.searcher(algorithm, TABLE.space, None, objectives.of("fitness,-parameters", TABLE))

    def test_the_same_settings_give_the_same_searcher(self):
        one, again, other = (
            objectives.searcher(random_search.ALGORITHM, TABLE.space, random_search.Config(count=count))
            for count in (2, 2, 3)
        )
        assert one is again
        assert (one.count, other.count) == (2, 3)


class SearchTest(parameterized.TestCase):
    def test_compiled_and_host_searches_of_a_table_give_the_columns_of_the_table(self):
        searcher = made(TABLE)
        history = run_search(jax.random.key(3), searcher, TABLE, budget=12)
        compiled = search.scan_search(jax.random.key(3), searcher, TABLE, budget=12)
        toy.assert_same(compiled, history)
        archs = np.asarray(history.archs)
        wanted = [-TABLE.costs[name](archs) for name in ("parameters", "train_seconds")]
        np.testing.assert_array_equal(history.others, np.stack(wanted, axis=1).astype(np.float32))
        np.testing.assert_array_equal(objectives.values(history)[:, 0], history.fitness)

    def test_known_and_measured_costs_and_infeasible_rows(self):
        evaluator = measuring()
        searcher = made(evaluator, ("fitness", "sum", "-watts"))
        history = run_search(jax.random.key(3), searcher, evaluator, budget=30)
        toy.assert_same(search.scan_search(jax.random.key(3), searcher, evaluator, budget=30), history)
        is_measured = np.asarray(history.status) == types.MEASURED
        assert 0 < is_measured.sum() < 30
        np.testing.assert_array_equal(np.isnan(history.others).all(axis=1), ~is_measured)
        found = np.asarray(history.others)[is_measured]
        np.testing.assert_array_equal(found[:, 0], np.asarray(history.archs)[is_measured].sum(axis=1))
        np.testing.assert_array_equal(found[:, 1], -2 * np.asarray(history.fitness)[is_measured])
        assert np.asarray(history.fitness)[is_measured].min() > 0.4

    def test_a_search_resumes_with_the_measured_costs(self):
        evaluator = measuring()
        searcher = made(evaluator, ("fitness", "sum", "-watts"), count=4)
        wanted = run_search(jax.random.key(3), searcher, evaluator, budget=20)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "journal.jsonl"
            with journal_lib.open_journal(path, {}) as journal:
                run_search(jax.random.key(3), searcher, evaluator, budget=10, journal=journal)
                reasons = {one.reason for one in journal.measured.values()}
            assert "its watts is not finite" in reasons
            assert any(
                {"sum", "watts"} == set(json.loads(line).get("costs", ())) for line in path.read_text().splitlines()
            )
            with journal_lib.open_journal(path, {}) as journal:
                found = run_search(jax.random.key(3), searcher, evaluator, budget=20, journal=journal)
            run_dir.write_history(path.with_suffix(".npz"), found)
            read, _ = run_dir.read_history(path.with_suffix(".npz"))
        toy.assert_same(found, wanted)
        toy.assert_same(read, wanted)

    def test_the_order_of_results_and_the_number_of_workers_make_no_difference(self):
        evaluator = measuring()
        searcher = made(evaluator, ("fitness", "sum", "-watts"), count=8)
        wanted = run_search(jax.random.key(3), searcher, evaluator, budget=24)
        inner = inline.make(evaluator, num_workers=8)
        late = []

        def collect():
            late.extend(inner.collect())
            return [late.pop()] if late else []

        executor = inner._replace(collect=collect)
        toy.assert_same(run_search(jax.random.key(3), searcher, evaluator, budget=24, executor=executor), wanted)

    def test_ask_and_tell(self):
        searcher = random_search.searcher(toy.SPACE, random_search.Config(count=2))
        loop = Search(jax.random.key(0), searcher, toy.SPACE, budget=4, objectives="fitness,-watts")
        for archs in loop:
            loop.tell(archs, fitness=[0.5, 0.25], costs={"watts": [3.0, np.inf]})
        np.testing.assert_array_equal(loop.history.others, [[-3], [np.nan], [-3], [np.nan]])
        np.testing.assert_array_equal(loop.history.status, [types.MEASURED, types.INFEASIBLE] * 2)

    def test_bad_input(self):
        searcher = random_search.searcher(toy.SPACE)
        loop = Search(jax.random.key(0), searcher, toy.SPACE, budget=4, objectives="fitness,-watts")
        archs = loop.ask()
        with pytest.raises(ValueError, match="the results lack watts, an objective"):
            loop.tell(archs, fitness=[0.5])
        with pytest.raises(ValueError, match=r"watts must have the shape \[1\]"):
            loop.tell(archs, fitness=[0.5], costs={"watts": 3.0})
        with pytest.raises(ValueError, match="was made for fitness,-parameters,-train_seconds; got fitness,-params"):
            Search(jax.random.key(0), made(TABLE), TABLE.space, budget=4, evaluator=TABLE, objectives="fitness,-params")
        earlier = measurements.Measurements(np.asarray(archs), np.ones(1, np.float32), np.ones(1, np.float32))
        with pytest.raises(ValueError, match="earlier measurements do not hold watts"):
            Search(jax.random.key(0), searcher, toy.SPACE, budget=4, objectives="fitness,-watts", earlier=earlier)

    def test_earlier_measurements_have_the_known_costs(self):
        archs = np.asarray(TABLE.space.enumerate()[5:8], np.int32)
        earlier = measurements.Measurements(archs, np.array([0.5, np.nan, 0.25], np.float32), np.ones(3, np.float32))
        history = Search(
            jax.random.key(0), made(TABLE), TABLE.space, budget=4, evaluator=TABLE, earlier=earlier
        ).history
        wanted = -TABLE.costs["parameters"](archs).astype(np.float32)
        np.testing.assert_array_equal(history.others[:3, 0], [wanted[0], np.nan, wanted[2]])

    def test_an_evaluator_that_leaves_out_what_it_measures(self):
        evaluator = measuring()._replace(is_traceable=False, evaluate=toy.evaluator().evaluate)
        executor = inline.make(evaluator)
        with pytest.raises(ValueError, match="the results lack watts"):
            run_search(
                jax.random.key(0), made(evaluator, ("fitness", "-watts")), evaluator, budget=6, executor=executor
            )
