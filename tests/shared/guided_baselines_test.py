"""Baselines that learn or build trees: their parts against exact values, beyond the contract of every searcher."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized
from scipy import integrate, stats

from common import baselines, spaces, types, unseen
from common import history as history_lib
from common.baselines import candidates, gaussian_process, lamcts, path_encoding, predictor
from common.spaces import factory, nasbench101, nasbench201

GRID = factory.search_space("grid", (3, 4), size=12, describe=str)
CUBE = factory.search_space("cube", (3,) * 5, size=3**5, describe=str)


_append = jax.jit(history_lib.append)


def _history(archs, fitness, ok=True, capacity=None):
    archs = np.asarray(archs, np.int32)
    evaluation = types.Evaluation(
        fitness=np.asarray(fitness, np.float32),
        cost=np.ones(len(archs), np.float32),
        ok=np.broadcast_to(ok, len(archs)),
    )
    return _append(history_lib.empty(capacity or len(archs), archs.shape[1]), archs, evaluation)


def _known(space, history):
    pool = unseen.pool_of(space)
    know = jax.jit(functools.partial(unseen.know, count=4))
    return know(pool, unseen.empty_index(pool, history), history)


def _proposals(name, space, history, num_keys=None, **changes):
    """int32[count, L], or one row for each of `num_keys` keys."""
    algorithm = baselines.ALGORITHMS[name]
    searcher = algorithm.searcher(space, type(algorithm.config)(**{"num_initial": 1, "count": 1, **changes}))
    state = jax.jit(searcher.init)(jax.random.key(0), history)
    keys = jax.random.split(jax.random.key(1), num_keys or 1)
    propose = jax.jit(lambda key: searcher.propose(key, state, history, count=searcher.count)[0])
    archs = np.asarray([propose(key) for key in keys])
    return archs[:, 0] if num_keys else archs[0]


class GaussianProcessTest(parameterized.TestCase):
    def test_posterior_is_that_of_a_decomposition_in_double_precision(self):
        rng = np.random.default_rng(0)
        archs = rng.permutation(CUBE.enumerate())[:70]
        observed, others = archs[:50], archs[50:]
        is_ok = rng.uniform(size=50) < 0.8
        values = np.sin(observed @ np.arange(1.0, 6.0)) + 0.1 * rng.normal(size=50)
        # Half of the results arrive late, in another order than the rows.
        late = rng.permutation(50)[:25]
        history = history_lib.append_pending(history_lib.empty(64, 5), jnp.asarray(observed))
        factors = gaussian_process.empty(64)
        for at in (np.setdiff1d(np.arange(50), late), late):
            evaluation = types.Evaluation(fitness=jnp.asarray(values[at]), cost=jnp.ones(25), ok=jnp.asarray(is_ok[at]))
            history = jax.jit(history_lib.record)(history, at, evaluation)
            factors = jax.jit(gaussian_process.update)(factors, history)
        np.testing.assert_array_equal(factors.is_observed[:50], is_ok)
        targets = np.pad(values.astype(np.float32), (0, 14), constant_values=np.nan)
        mean, deviation = jax.jit(gaussian_process.posterior)(factors, history, targets, others)
        expected = _exact_posterior(observed[is_ok], values[is_ok], others)
        np.testing.assert_allclose(mean, expected[0], atol=1e-4)
        np.testing.assert_allclose(deviation, expected[1], atol=1e-4)

    def test_expected_improvement_is_the_integral(self):
        for mean, deviation, best in ((0.2, 0.5, 0.4), (1.0, 0.1, 0.8), (-1.0, 0.7, 0.3)):
            density = stats.norm(mean, deviation).pdf
            expected, _ = integrate.quad(lambda f, best=best, density=density: (f - best) * density(f), best, 8.0)
            found = gaussian_process.expected_improvement(jnp.float32(mean), jnp.float32(deviation), jnp.float32(best))
            np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_the_candidate_with_the_largest_expected_improvement_is_proposed(self):
        rows = np.random.default_rng(1).permutation(GRID.enumerate())
        fitness = np.array([0.1, 0.5, 0.3, 0.9, 0.2, 0.7, 0.4, 0.6], np.float32)
        history = _history(rows[:8], fitness)
        # With 1,000 random candidates each of the four unseen rows is one.
        found = _proposals("bayesian_optimization", GRID, history, target="z_score", num_random=1000)
        scores = (fitness - fitness.mean()) / fitness.std()
        mean, deviation = _exact_posterior(rows[:8], scores, rows[8:])
        ratio = (mean - scores.max()) / deviation
        best = np.argmax(deviation * (ratio * stats.norm.cdf(ratio) + stats.norm.pdf(ratio)))
        np.testing.assert_array_equal(found[0], rows[8:][best])

    def test_a_budget_beyond_its_memory_raises(self):
        with pytest.raises(ValueError, match=r"keeps 8 matrices.* at most 4096 evaluations; got 4097"):
            _proposals("bayesian_optimization", CUBE, history_lib.empty(4097, 5))


def _exact_posterior(observed, values, others):
    """Mean and standard deviation by NumPy, with the pair of the grid that has the largest marginal likelihood."""
    models = []
    for similarity, noise in zip(gaussian_process.SIMILARITIES.astype(float), gaussian_process.NOISES.astype(float)):
        covariance = similarity ** np.sum(observed[:, None] != observed[None], axis=-1)
        noisy = covariance + noise * np.eye(len(observed))
        variance = values @ np.linalg.solve(noisy, values) / len(values)
        likelihood = stats.multivariate_normal(np.zeros(len(values)), variance * noisy).logpdf(values)
        cross = similarity ** np.sum(others[:, None] != observed[None], axis=-1)
        mean = cross @ np.linalg.solve(noisy, values)
        explained = np.sum(cross * np.linalg.solve(noisy, cross.T).T, axis=1)
        models.append((likelihood, mean, np.sqrt(variance * (1.0 - explained))))
    return max(models, key=lambda model: model[0])[1:]


class CandidatesTest(parameterized.TestCase):
    def test_the_best_unseen_rows_are_taken_once(self):
        known = _known(GRID, _history([[0, 0], [1, 1]], [0.5, 0.6], capacity=4))
        archs = np.array([[0, 0], [2, 3], [0, 1], [2, 3], [1, 0]], np.int32)
        scores = np.array([9.0, 5.0, 3.0, 5.0, -np.inf], np.float32)
        found, is_found = jax.jit(functools.partial(candidates.best_unseen, count=3))(known, archs, scores)
        np.testing.assert_array_equal(is_found, [True, True, False])
        np.testing.assert_array_equal(found[:2], [[2, 3], [0, 1]])

    def test_parents_of_mutations_are_the_best_measured_rows(self):
        archs = CUBE.enumerate()[::12][:20]
        ok = np.arange(20) != 3  # the best row failed
        fitness = np.where(np.arange(20) == 3, 0.99, np.linspace(0.1, 0.9, 20))
        history = _history(archs, fitness, ok, capacity=24)
        run = jax.jit(lambda key: candidates.mutations(key, CUBE, history, num_parents=2, count=6))
        differences = np.sum(np.asarray(run(jax.random.key(1)))[:, None] != archs[None, [19, 18]], axis=-1)
        np.testing.assert_array_equal(differences[np.arange(6), np.arange(6) % 2], np.ones(6))


class PathEncodingTest(parameterized.TestCase):
    def test_nasbench201(self):
        none, skip, conv1, conv3, pool = range(5)
        arch = np.zeros(6, np.int32)
        for edge, operation in {
            (0, 3): conv3,
            (0, 1): pool,
            (1, 3): skip,
            (0, 2): none,
            (2, 3): conv1,
            (1, 2): skip,
        }.items():
            arch[nasbench201.EDGES.index(edge)] = operation
        paths = {(conv3,), (pool, skip), (none, conv1), (pool, skip, conv1)}
        offsets = {1: 0, 2: 5, 3: 30}
        expected = {offsets[len(path)] + sum(op * 5**at for at, op in enumerate(path)) for path in paths}
        encoded = jax.jit(path_encoding.encoder(spaces.get("nasbench201"), "paths"))(arch[None])
        assert encoded.shape == (1, 155)
        assert set(np.flatnonzero(encoded[0])) == expected

    def test_nasbench101_equals_the_enumeration_of_paths(self):
        space = spaces.get("nasbench101")
        encode = path_encoding.encoder(space, "paths")
        numbers = [seq for length in range(6) for seq in itertools.product(range(3), repeat=length)]
        archs = jax.jit(space.sample, static_argnums=1)(jax.random.key(0), 8)
        for arch, encoded in zip(np.asarray(archs), np.asarray(jax.jit(encode)(archs))):
            matrix, names = nasbench101.to_matrix(arch)
            operations = sorted({"conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3"})
            found, stack = set(), [(0, ())]
            while stack:
                vertex, path = stack.pop()
                if vertex == len(names) - 1:
                    found.add(path[:-1])
                for target in np.flatnonzero(np.asarray(matrix)[vertex]):
                    label = operations.index(names[target]) if names[target] in operations else -1
                    stack.append((target, (*path, label)))
            assert {numbers[at] for at in np.flatnonzero(encoded)} == found

    def test_other_spaces_get_one_hot_decisions(self):
        encoded = path_encoding.encoder(GRID, "paths")(jnp.array([[1, 3]]))
        np.testing.assert_array_equal(encoded, [[0, 1, 0, 0, 0, 0, 1]])


class PredictorTest(parameterized.TestCase):
    def test_an_ensemble_learns_a_sum_of_effects_and_its_members_differ(self):
        archs = CUBE.enumerate()
        fitness = archs @ np.array([0.02, 0.05, -0.03, 0.01, 0.04]) + 0.3
        shuffled = np.random.default_rng(0).permutation(len(archs))
        seen, rest = shuffled[:60], shuffled[60:]
        ok = np.arange(60) % 6 > 0
        history = _history(archs[seen], np.where(ok, fitness[seen], 0.0), ok, capacity=64)
        encode = path_encoding.encoder(CUBE, "one_hot")
        config = predictor.Config(num_members=3, width=16, num_steps=150)
        params = jax.jit(lambda key: predictor.fit(key, history, encode, config=config))(jax.random.key(0))
        predictions = np.asarray(
            jax.jit(lambda params, rows: predictor.predict(params, encode(rows)))(params, archs[rest])
        )
        for member in predictions:
            assert np.corrcoef(member, fitness[rest])[0, 1] > 0.9
        assert np.all(np.std(predictions, axis=0) > 0)

    def test_weaknas_samples_among_the_best_predictions(self):
        """The best two choices of a decision that alone matters are the best predictions: 6 of 12 rows, 2 unseen."""
        rows = GRID.enumerate()
        fitness = np.array([0.9, 0.1, 0.5, 0.8])[rows[:, 1]]
        is_seen = ~((rows[:, 0] == 2) & (rows[:, 1] != 1))  # 9 of 12
        history = _history(rows[is_seen], fitness[is_seen])
        found = _proposals("weaknas", GRID, history, num_keys=20, num_best=6, num_members=5, num_steps=150, width=32)
        assert {tuple(row) for row in found.tolist()} == {(2, 0), (2, 3)}


class MctsTest(parameterized.TestCase):
    def _choices(self, archs, fitness, exploration, ok=True):
        history = _history(archs, fitness, ok, capacity=10)
        propose = self._compiled(exploration)
        return {tuple(np.asarray(propose(jax.random.key(seed), history)).tolist()) for seed in range(12)}

    @staticmethod
    @functools.cache
    def _compiled(exploration):
        config = baselines.ALGORITHMS["mcts"].config
        searcher = baselines.ALGORITHMS["mcts"].searcher(GRID, type(config)(exploration=exploration, target="fitness"))
        return jax.jit(lambda key, history: searcher.propose(key, searcher.init(key, history), history, count=1)[0][0])

    def test_the_choice_with_the_largest_bound_is_taken(self):
        archs, fitness = [[0, 0], [0, 1], [0, 2], [1, 0], [2, 0]], [0.9, 0.5, 0.4, 0.5, 0.3]
        # Means 0.6, 0.5, 0.3 and visits 3, 1, 1 of 5: bonuses sqrt(2 log 5 / n) 1.036 and 1.794.
        assert self._choices(archs, fitness, 0.0) == {(0, 3)}  # never evaluated before: before the others
        # 0.6 + 0.10 * 1.036 = 0.704 > 0.5 + 0.10 * 1.794 = 0.679; with 0.2 the bounds are 0.807 and 0.859.
        assert self._choices(archs, fitness, 0.1) == {(0, 3)}
        assert {row[0] for row in self._choices(archs, fitness, 0.2)} == {1}

    def test_a_finished_part_of_the_space_is_closed(self):
        archs = [[0, 0], [0, 1], [0, 2], [0, 3], [1, 0], [2, 0]]
        assert {row[0] for row in self._choices(archs, [0.9, 0.9, 0.9, 0.9, 0.5, 0.3], 0.0)} == {1}

    def test_a_failed_row_is_a_visit_without_a_value(self):
        archs = [[0, 0], [0, 1], [1, 0], [2, 0]]
        ok = np.array([True, False, True, True])
        # The mean of choice 0 is 0.6, of the row that did not fail.
        assert {row[0] for row in self._choices(archs, [0.6, 0.0, 0.5, 0.4], 0.0, ok)} == {0}


class LamctsTest(parameterized.TestCase):
    def test_clusters_of_two_groups(self):
        points = jnp.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0], [9.0, 9.0]])
        values = jnp.array([0.2, 0.1, 0.8, 0.9, 5.0])
        members = jnp.array([True, True, True, True, False])
        np.testing.assert_array_equal(jax.jit(lamcts.cluster)(points, values, members), [-1, -1, 1, 1, 0])

    def test_boundary_solves_the_linear_system(self):
        rng = np.random.default_rng(0)
        points = rng.normal(size=(30, 3))
        kernel = np.exp(-np.sum((points[:20, None] - points[None]) ** 2, axis=-1) / 3)
        members = np.arange(20) < 15
        labels = np.where(members, np.sign(points[:20, 0]), 0.0)
        found = jax.jit(lamcts.boundary)(
            jnp.asarray(kernel, jnp.float32), jnp.asarray(labels, jnp.float32), jnp.asarray(members)
        )
        mean = labels[members].mean()
        weights = np.linalg.solve(kernel[:15, :15] + np.eye(15), labels[members] - mean)
        np.testing.assert_allclose(found, weights @ kernel[:15] + mean, atol=1e-4)

    def test_the_region_is_the_good_side_until_exploration_decides(self):
        """Two groups of 12 rows, good and bad; candidates of both."""
        encode = path_encoding.encoder(CUBE, "one_hot")
        archs = CUBE.enumerate()
        good, bad = archs[archs[:, :3].max(axis=1) == 0], archs[archs[:, :3].min(axis=1) == 2]
        seen = np.concatenate([good[:8], bad[:8]])
        values = jnp.repeat(jnp.array([1.0, -1.0]), 8)
        features = encode(jnp.asarray(np.concatenate([seen, good[8:], bad[8:]])))
        settings = {"num_levels": 1, "leaf_size": 10}
        explored = lamcts.Config(exploration=0.1, **settings)
        inside = jax.jit(functools.partial(lamcts.region, config=explored))(features, values, jnp.ones(16, bool))
        np.testing.assert_array_equal(inside, [True, False])
        larger = lamcts.Config(num_levels=1, leaf_size=16)
        whole = jax.jit(functools.partial(lamcts.region, config=larger))(features, values, jnp.ones(16, bool))
        np.testing.assert_array_equal(whole, [True, True])
