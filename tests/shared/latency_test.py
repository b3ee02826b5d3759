"""Measured latency: the statistics of the repeats, and as a cost of an evaluation."""

import contextlib
import io
import itertools
import types
from unittest import mock

import flax.linen as nn
import jax
import numpy as np
from absl.testing import parameterized

from common.evaluators import benchmark, problem
from common.training import latency
from launch import baselines

PASSES = (0.004, 0.002, 0.005, 0.003)  # seconds of each timed repeat


class Mean(nn.Module):
    @nn.compact
    def __call__(self, images, train):
        assert not train
        assert images.shape == (2, 4, 4, 3)
        return nn.BatchNorm(use_running_average=True)(nn.Conv(2, (3, 3))(images)).mean(axis=(1, 2))


def clock(seconds):
    """Returns a clock that is read twice for each of the given intervals."""
    ends = itertools.accumulate(seconds)
    readings = itertools.chain.from_iterable((end - length, end) for end, length in zip(ends, seconds))
    return mock.patch.object(latency, "time", types.SimpleNamespace(perf_counter=lambda: next(readings)))


class LatencyTest(parameterized.TestCase):
    @parameterized.parameters(("median", 0.0035), ("minimum", 0.002))
    def test_statistics_of_the_repeats(self, statistic, expected):
        config = latency.Config(batch_size=2, num_repeats=4, statistic=statistic)
        with clock((9.0, 3 * 0.004, *PASSES)):  # warm-up, its repetition, and repeats of one pass each
            found = latency.measure(Mean(), (4, 4, 3), config)
        np.testing.assert_allclose(found, (expected, (0.00425 - 0.00275) / 0.0035), rtol=1e-6)

    def test_short_passes_are_repeated_up_to_a_millisecond(self):
        with clock((9.0, 3 * 0.00025, *(4 * seconds for seconds in PASSES))):
            found = latency.measure(Mean(), (4, 4, 3), latency.Config(batch_size=2, num_repeats=4))
        self.assertAlmostEqual(found.seconds, 0.0035)

    def test_costs_of_an_evaluation(self):
        made = benchmark.evaluator("digits_convnet")
        config = latency.Config(batch_size=2, num_repeats=3)
        evaluator = latency.measured(made, lambda arch: Mean(), (4, 4, 3), config)
        archs = np.array([[1, 2, 3, 0, 0], [9, 9, 9, 9, 9]])  # the second is no architecture
        found = evaluator.evaluate(jax.random.key(0), archs)
        np.testing.assert_array_equal(found.fitness, made.evaluate(jax.random.key(0), archs).fitness)
        self.assertEqual(evaluator.measured, ("latency", "latency_spread"))
        self.assertEqual(list(found.costs), list(evaluator.measured))
        self.assertGreater(found.costs["latency"][0], 0)
        self.assertTrue(np.isnan(found.costs["latency"][1]))
        self.assertEqual(evaluator.name, "digits_convnet/digits/latency,cpu,batch_size=2,num_repeats=3")

    @parameterized.parameters(
        ((), ("fitness",), ()),
        (("params<=3e6",), ("fitness", "-params"), ()),
        (("latency<=0.01",), ("fitness",), ("latency",)),
        ((), ("fitness", "-latency"), ("latency",)),
    )
    def test_latency_is_measured_where_a_limit_or_objective_needs_it(self, limit, objectives, expected):
        self.assertEqual(problem.to_measure(limit, objectives), expected)

    def test_settings_without_a_limit_or_objective_on_latency(self):
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            code = baselines.main(["--evaluator=training", "--space=nao_small", "--latency_batch_size=8"])
        self.assertEqual(code, 1)
        self.assertIn("--latency_batch_size needs a limit or an objective on latency", printed.getvalue())
