"""The benchmarks of executors and of killed searches, on cases small enough to follow by hand."""

import jax.numpy as jnp
import pytest
from absl.testing import parameterized

from benchmarks import executors, kill_test, simulated_cluster
from common import types
from tests.shared import troubled_evaluator as troubled


class ClusterTest(parameterized.TestCase):
    def test_a_clock_by_hand(self):
        def evaluate(key, archs):
            del key
            return types.Evaluation(
                fitness=jnp.zeros(len(archs)), cost=archs[:, 0] + 1.0, ok=jnp.ones(len(archs), bool)
            )

        evaluator = troubled.evaluator()._replace(evaluate=evaluate, is_traceable=True)
        cluster = simulated_cluster.Cluster(evaluator, 2)
        executor = cluster.executor()
        # They take 3, 1, 1 and 2 seconds, two at a time: the first worker ends at 3, the second at 1, 2 and 4.
        executor.submit(
            [types.Candidate(at, (first, 0, 0, 0), (0, at), "threefry2x32") for at, first in enumerate((2, 0, 0, 1))]
        )
        came = [(executor.collect()[0].at, cluster.now) for _ in range(4)]
        assert came == [(1, 1.0), (2, 2.0), (0, 3.0), (3, 4.0)]
        assert cluster.busy == 7.0
        assert cluster.finished == dict(came)


class KillTest(parameterized.TestCase):
    def test_what_is_amiss_is_counted(self):
        first, second = b'{"event": "measured", "at": 0}\n', b'{"event": "measured", "at": 1}\n'
        for before, after, lost, twice in (
            ([first], [first, second], 0, 0),
            ([first, second], [first], 1, 0),
            ([first], [second], 1, 0),
            ([first], [first, first], 0, 1),
        ):
            counts = kill_test.Counts()
            kill_test._compare(before, after, counts)
            assert (counts["lost"], counts["measured twice"]) == (lost, twice)


class DriverTest(parameterized.TestCase):
    def test_every_candidate_answered_while_all_were_open_is_timed(self):
        seconds = executors.driver_seconds(5, 12, None)
        assert seconds.shape == (7,)
        assert seconds.min() > 0
        with pytest.raises(ValueError, match="budget is 5; it must be more than num_open, 5"):
            executors.driver_seconds(5, 5, None)
