"""Search on shared weights with a renewed pool: pool, training and scores of each block; resuming."""

import dataclasses
import functools

import chex
import jax
import numpy as np
from absl.testing import parameterized

from common import baselines, types
from common.runs import weight_sharing
from common.spaces import factory
from common.supernets import population as pools
from tests.shared import folders

SPACE = factory.search_space("toy", (3,) * 5, size=243, describe=lambda arch: "".join(map(str, arch)))
REPLACE = weight_sharing.Schedule(num_initial=12, num_blocks=4, num_new=3, num_random=2)
GROW = dataclasses.replace(REPLACE, keeps="accumulate", trains_on="newest")


def score(archs, blocks):
    """Exact fractions; what is good in one block is not in the next. One architecture in nine has no score."""
    at = archs @ 3 ** np.arange(5)
    values = ((at * (2 * len(blocks) + 5)) % 241 / 256).astype(np.float32)
    return np.where(at % 9 == 0, np.float32(np.nan), values)


class Spy:
    """Shared weights whose state is the list of trained blocks; records its arguments."""

    def __init__(self, fails_in=None, has_gaps=True):
        self.trained, self.scored, self.keys = {}, {}, {}
        self.fails_in, self.has_gaps = fails_in, has_gaps

    def train(self, key, state, archs, block):
        if block == self.fails_in:
            raise InterruptedError("killed")
        assert state == list(range(block))
        self.trained[block] = archs
        self.keys[block] = jax.random.key_data(key).tolist()
        return [*state, block]

    def score(self, key, state, archs):
        del key
        self.scored[len(state) - 1] = archs
        scores = score(archs, state)
        return scores if self.has_gaps else np.nan_to_num(scores)


@functools.cache
def searcher(name="random"):
    algorithm = baselines.ALGORITHMS[name]
    config = algorithm.config
    if name == "regularized_evolution":
        config = dataclasses.replace(config, population_size=8, sample_size=200)
    return algorithm.searcher(SPACE, config)


def run(schedule, spy=None, state=(), name="random", folder=None, seed=0, **more):
    spy = spy or Spy()
    return weight_sharing.run(
        jax.random.key(seed), SPACE, searcher(name), spy.train, spy.score, list(state), schedule, folder, **more
    )


def best_first(archs, scores):
    return archs[np.argsort(np.where(np.isnan(scores), np.inf, -scores), kind="stable")]


class RunTest(folders.FolderTest):
    def test_the_best_are_kept_and_all_are_scored_again(self):
        spy, told = Spy(), []
        result = run(REPLACE, spy, report=told.append)
        assert [one.block for one in told] == [0, 1, 2, 3] == result.state
        seen = np.zeros((0, 5), np.int32)
        for block, (_, archs, scores) in enumerate(result.rounds):
            assert archs.shape == (12, 5)
            np.testing.assert_array_equal(spy.trained[block], archs)
            np.testing.assert_array_equal(spy.scored[block], archs)
            np.testing.assert_array_equal(scores, score(archs, range(block + 1)))
            num_kept = 0
            if block:
                _, old, old_scores = result.rounds[block - 1]
                num_kept = 7
                np.testing.assert_array_equal(archs[:7], best_first(old, old_scores)[:7])
            seen = np.concatenate([seen, archs[num_kept:]])
        assert len(np.unique(seen, axis=0)) == len(seen) == 12 + 3 * 5 == REPLACE.num_archs
        np.testing.assert_array_equal(result.archs, best_first(archs, scores))
        np.testing.assert_array_equal(result.scores, score(result.archs, range(4)))
        assert len({tuple(key) for key in spy.keys.values()}) == 4

    def test_the_pool_accumulates_and_the_newest_are_trained_on(self):
        spy = Spy()
        result = run(GROW, spy)
        assert [len(one.archs) for one in result.rounds] == [12, 17, 22, 27]
        assert [len(archs) for archs in spy.trained.values()] == [12, 5, 5, 5]
        for block in range(1, 4):
            np.testing.assert_array_equal(result.rounds[block].archs[:-5], result.rounds[block - 1].archs)
            np.testing.assert_array_equal(spy.trained[block], result.rounds[block].archs[-5:])
            np.testing.assert_array_equal(spy.scored[block], result.rounds[block].archs)

    def test_the_searcher_sees_the_newest_scores(self):
        """Tournaments of the youngest eight: a child is one decision from the best of them on this block's weights."""
        result = run(REPLACE, Spy(has_gaps=False), name="regularized_evolution")
        came, parents = result.rounds[0].archs.tolist(), []
        for block in range(1, 4):
            _, old, scores = result.rounds[block - 1]
            ages = [came.index(arch) for arch in old.tolist()]
            youngest = np.argsort(ages)[-8:]
            parents.append(best_first(old[youngest], scores[youngest])[0])
            came += result.rounds[block].archs[7:].tolist()
            children = result.rounds[block].archs[7:10]
            np.testing.assert_array_equal(np.sum(children != parents[-1], axis=1), 1)
        assert len(np.unique(parents, axis=0)) == 3

    def test_it_goes_on_from_every_line(self):
        whole = run(REPLACE, folder=self.folder, name="regularized_evolution")
        path = self.folder / pools.POOLS
        lines = path.read_bytes().splitlines(keepends=True)
        assert len(lines) == 1 + 2 * 4
        for count in range(len(lines) + 1):
            path.write_bytes(b"".join(lines[:count]) + b'{"event": "sco' * (count > 0))
            spy, num_scored = Spy(), max(count - 1, 0) // 2
            again = run(REPLACE, spy, range(num_scored), folder=self.folder, name="regularized_evolution")
            assert sorted(spy.trained) == list(range(num_scored, 4))
            chex.assert_trees_all_equal(again, whole)
            assert path.read_bytes().splitlines(keepends=True) == lines

    def test_what_another_version_proposed_stays(self):
        first = run(REPLACE, folder=self.folder, name="regularized_evolution")
        path = self.folder / pools.POOLS
        lines = path.read_text().splitlines(keepends=True)
        ever = np.concatenate([one.archs for one in first.rounds])
        other = next(arch for arch in SPACE.enumerate() if not np.any(np.all(ever == arch, axis=1)))
        old, new = (str(archs[-1].tolist()) for archs in (first.rounds[1].archs, [other]))
        path.write_text("".join([*lines[:3], lines[3].replace(old, new)]))
        again = run(REPLACE, Spy(), [0], folder=self.folder, name="regularized_evolution")
        assert again.rounds[1].archs[-1].tolist() == other.tolist()

    def test_damage_is_refused(self):
        kept = run(REPLACE, folder=self.folder).rounds[1].archs[0].tolist()
        path = self.folder / pools.POOLS
        lines = path.read_text().splitlines(keepends=True)
        for number, old, new, message in (
            (4, str(kept), str([3, *kept[1:]]), "pool of block 1 .* does not follow from the scores before it"),
            (4, '"block": 1', '"block": 2', "line 4 .*pool of block 2 cannot follow 1 blocks"),
            (3, '"scored"', '"score"', "line 3 .*unknown event 'score'"),
            (3, '"scores": [', '"scores": [2, ', "line 3 .*have the shape"),
            (3, '"scores"', '"values"', "line 3 .*it lacks 'scores'"),
            (2, '"archs": [[', '"archs": [[[', "line 2 .*is damaged"),
            (1, '"num_new": 3', '"num_new": 4', "is of another search: num_new was 4 and is now 3"),
        ):
            text = lines[number - 1].replace(old, new)
            assert text != lines[number - 1]
            path.write_text("".join([*lines[: number - 1], text, *lines[number:]]))
            with self.assertRaisesRegex(ValueError, message):
                run(REPLACE, Spy(), range(4), folder=self.folder)

    @parameterized.parameters(
        (lambda archs: np.zeros(len(archs) + 1), r"have the shape \(12,\); got \(13,\)"),
        (lambda archs: np.full(len(archs), 1.5), "fractions from 0 to 1; got 1.5 to 1.5"),
        (lambda archs: np.full(len(archs), np.inf), "none of 12 architectures has a score: training diverged"),
    )
    def test_scores_that_are_none(self, scores, message):
        with self.assertRaisesRegex(ValueError, message):
            run(REPLACE, type("", (Spy,), {"score": lambda self, key, state, archs: scores(archs)})())


class ScheduleTest(chex.TestCase):
    def test_published(self):
        nao_ws, rnn, first, second = (
            weight_sharing.SCHEDULES[name] for name in ("nao_ws", "nao_ws_rnn", "nao_v1", "nao_v2")
        )
        assert (nao_ws.num_initial - nao_ws.num_newest, rnn.num_initial - rnn.num_newest) == (450, 650)
        assert (first.num_initial - first.num_newest, first.num_archs) == (300, 600 + 4 * 300)
        assert (second.num_archs, second.restarts, second.trains_on) == (1900, True, "newest")

    @parameterized.parameters(
        ({"num_blocks": 0}, "num_blocks must be at least 1; got 0"),
        ({"keeps": "some"}, "unknown keeps 'some'; choose one of replace, accumulate"),
        ({"num_new": 10}, r"num_new \+ num_random = 12 would replace all of a pool of 12; choose 11 or less"),
    )
    def test_refused(self, fields, message):
        with self.assertRaisesRegex(ValueError, message):
            dataclasses.replace(REPLACE, **fields)

    def test_a_space_that_is_too_small(self):
        with self.assertRaisesRegex(ValueError, "takes 258 architectures, of which toy has 243"):
            run(dataclasses.replace(REPLACE, num_initial=243))
        spy = Spy()
        result = run(dataclasses.replace(REPLACE, num_initial=228), spy)
        assert len(np.unique(np.concatenate(list(spy.trained.values())), axis=0)) == 243
        assert len(result.archs) == 228


class PoolTest(chex.TestCase):
    def test_the_history_by_hand(self):
        pool = pools.Pool(SPACE, 4)
        archs = np.array([[0, 0, 0, 0, 1], [0, 0, 0, 0, 2], [0, 0, 0, 1, 0]], np.int32)
        pool.add(archs)
        pool.scores = np.array([0.25, np.nan, 0.5], np.float32)
        np.testing.assert_array_equal(pool.history().status, [types.MEASURED, types.INFEASIBLE, types.MEASURED, 0])
        pool.keep(1)
        np.testing.assert_array_equal(pool.archs, archs[2:])
        pool.add(np.full((1, 5), 2, np.int32))
        history = pool.history()
        np.testing.assert_array_equal(history.archs, [*archs, [2] * 5])
        np.testing.assert_array_equal(history.fitness, np.array([np.nan, np.nan, 0.5, np.nan], np.float32))
        infeasible = types.INFEASIBLE
        np.testing.assert_array_equal(history.status, [infeasible, infeasible, types.MEASURED, infeasible])
        assert int(history.size) == 4

    @parameterized.parameters(
        ([[0, 0, 0, 0, 3]], "row 0 of 1, .*, is not a valid canonical architecture of toy"),
        ([[0] * 5, [0] * 5], "of 2 architectures for the pool some are equal, or were in it before"),
        ([[1] * 5], "of 1 architectures for the pool some are equal, or were in it before"),
    )
    def test_refused(self, archs, message):
        pool = pools.Pool(SPACE, 4)
        pool.add(np.ones((1, 5), np.int32))
        pool.keep(0)
        with self.assertRaisesRegex(ValueError, message):
            pool.add(np.array(archs, np.int32))
