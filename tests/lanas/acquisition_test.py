"""Acquisition functions against formulas computed in double precision."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from lanas_jax import acquisition, partition
from lanas_jax import config as configs
from lanas_jax import tree as trees

RIDGE, NUM_FEATURES, LEAF = 0.5, 3, 2

_fit = jax.jit(functools.partial(partition.fit_nodes, ridge=RIDGE))


def _measured(seed=0, num_rows=12):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(num_rows, NUM_FEATURES)).astype(np.float32)
    values = (features @ np.array([1.0, -2.0, 0.5]) + 0.3 * rng.normal(size=num_rows)).astype(np.float32)
    return features, values, rng.random(num_rows) < 0.8


def _tree(measured):
    """A tree of height 2 whose leaf 2 was fitted to what was measured."""
    features, values, is_member = measured
    weights, bias = _fit(features, values, np.where(is_member, 0, 1), jnp.zeros((1, NUM_FEATURES)))
    tree = trees.empty(2, NUM_FEATURES)
    return tree.replace(weights=tree.weights.at[LEAF].set(weights[0]), bias=tree.bias.at[LEAF].set(bias[0]))


def _posterior(tree, measured):
    """(mean of the members' features, covariance of the weights, residual variance) by NumPy."""
    features, values, is_member = (np.asarray(part) for part in measured)
    features, values = features[is_member].astype(np.float64), values[is_member].astype(np.float64)
    errors = values - features @ np.asarray(tree.weights[LEAF], np.float64) - float(tree.bias[LEAF])
    variance = (np.sum(errors**2) + 0.01) / len(values)
    centered = features - features.mean(axis=0)
    inverse = np.linalg.inv(centered.T @ centered + RIDGE * np.eye(NUM_FEATURES))
    return features.mean(axis=0), variance * inverse, variance


def _choose(name, candidates, is_candidate, *, num_keys=1, measured=None, **settings):
    measured = _measured() if measured is None else measured
    choose = _chooser(configs.Config(regressor="ridge", acquisition=name, ridge=RIDGE, **settings))
    keys = jax.random.split(jax.random.key(0), num_keys)
    candidates = (jnp.asarray(candidates, jnp.float32), jnp.asarray(is_candidate))
    chosen = choose(keys, _tree(measured), candidates, measured)
    assert chosen.dtype == jnp.int32
    return np.asarray(chosen)


@functools.cache
def _chooser(config):
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # to compile faster
    def choose(keys, tree, candidates, measured):
        return jax.vmap(
            lambda key, noise: acquisition.choose(
                key, noise, tree, jnp.int32(LEAF), candidates, measured, config=config
            )
        )(keys, jax.random.uniform(jax.random.key(1), (len(keys), *candidates[1].shape)))

    return choose


def _candidates(num_rows=20, seed=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(num_rows, NUM_FEATURES)).astype(np.float32), rng.random(num_rows) < 0.5


class ChooseTest(parameterized.TestCase):
    @parameterized.parameters("greedy", "uniform", "tempered", "expected_improvement", "thompson")
    def test_only_candidates_are_chosen(self, name):
        features, is_candidate = _candidates()
        chosen = _choose(name, features, is_candidate, num_keys=50)
        assert np.all(is_candidate[chosen])
        np.testing.assert_array_equal(_choose(name, features, np.arange(20) == 7), [7])

    def test_greedy_takes_the_best_predicted(self):
        features, is_candidate = _candidates()
        tree = _tree(_measured())
        shown = features @ np.asarray(tree.weights[LEAF]) + float(tree.bias[LEAF])
        best = np.argmax(np.where(is_candidate, shown, -np.inf))
        assert np.argmax(shown) != best, "the best of all should be none of the candidates"
        assert set(_choose("greedy", features, is_candidate, num_keys=20)) == {best}

    def test_uniform_is_uniform_over_candidates(self):
        features, is_candidate = _candidates()
        counts = np.bincount(_choose("uniform", features, is_candidate, num_keys=4000), minlength=20)[is_candidate]
        expected = 4000 / len(counts)
        chi_square = np.sum((counts - expected) ** 2 / expected)
        degrees = len(counts) - 1
        assert chi_square < degrees + 5 * np.sqrt(2 * degrees)

    def test_tempered_draws_by_the_softmax_of_predictions(self):
        features, is_candidate = _candidates(6)
        chosen = _choose("tempered", features, is_candidate, num_keys=4000, temperature=2.0)
        tree = _tree(_measured())
        shown = features @ np.asarray(tree.weights[LEAF]) + float(tree.bias[LEAF])
        chances = np.exp(shown / 2.0) * is_candidate
        chances /= chances.sum()
        deviation = np.sqrt(chances * (1 - chances) / 4000)
        shares = np.bincount(chosen, minlength=6) / 4000
        assert np.all(np.abs(shares - chances) <= 5 * deviation + 1e-9), (shares, chances)


class ThompsonTest(parameterized.TestCase):
    def test_draws_have_the_mean_and_covariance_of_the_posterior(self):
        measured, num_draws = _measured(), 20_000
        tree = _tree(measured)

        @jax.jit
        def draw(keys):
            return jax.vmap(lambda key: acquisition._posterior_draw(key, tree, jnp.int32(LEAF), measured, ridge=RIDGE))(
                keys
            )

        draws = np.asarray(draw(jax.random.split(jax.random.key(1), num_draws)), np.float64)
        _, covariance, _ = _posterior(tree, measured)
        scale = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(
            (draws.mean(axis=0) - np.asarray(tree.weights[LEAF])) / scale, 0.0, atol=5 / np.sqrt(num_draws)
        )
        found = np.cov(draws.T) / np.outer(scale, scale)
        np.testing.assert_allclose(found, covariance / np.outer(scale, scale), atol=5 * np.sqrt(2 / num_draws))

    def test_between_two_candidates_it_takes_each_by_its_chance_of_being_better(self):
        measured = _measured()
        tree = _tree(measured)
        mean, covariance, _ = _posterior(tree, measured)
        weights = np.asarray(tree.weights[LEAF], np.float64)
        difference = np.array([0.0, 0.0, 1.0])
        difference -= weights * (difference @ weights) / (weights @ weights)  # predicted alike, up to a bit
        difference += 0.3 * np.sqrt(difference @ covariance @ difference) * weights / (weights @ weights)
        features = np.stack([mean, mean + difference])
        share = np.mean(_choose("thompson", features, [True, True], num_keys=4000))
        standard = difference @ weights / np.sqrt(difference @ covariance @ difference)
        chance = 0.5 * (1 + math.erf(standard / math.sqrt(2)))
        assert 0.52 < chance < 0.7
        assert abs(share - chance) < 5 * 0.5 / np.sqrt(4000)


class ExpectedImprovementTest(parameterized.TestCase):
    def _improvement(self, features, measured):
        tree = _tree(measured)
        mean, covariance, _ = _posterior(tree, measured)
        points = features.astype(np.float64) - mean
        deviation = np.sqrt(np.einsum("bf,fg,bg->b", points, covariance, points))
        shown = features @ np.asarray(tree.weights[LEAF], np.float64) + float(tree.bias[LEAF])
        gain = shown - np.max(np.asarray(measured[1])[measured[2]])
        standard = gain / deviation
        below = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in standard])
        return gain * below + deviation * np.exp(-0.5 * standard**2) / np.sqrt(2 * np.pi), shown

    def test_takes_the_largest_of_the_formula(self):
        for seed in range(4):
            measured = _measured(seed)
            noise, is_candidate = _candidates(seed=seed + 20)
            at_best = np.argmax(np.where(measured[2], measured[1], -np.inf))
            features = measured[0][at_best] + 0.3 * noise  # near the best measured, where the deviation counts
            improvement, _ = self._improvement(features, measured)
            best = np.argmax(np.where(is_candidate, improvement, -np.inf))
            assert improvement[best] > 1e-20
            assert _choose("expected_improvement", features, is_candidate, measured=measured) == best
        for seed in range(4):  # alike in prediction: the one further from what was measured
            measured = _measured(seed)
            tree = _tree(measured)
            weights = np.asarray(tree.weights[LEAF], np.float64)
            far = np.cross(weights, [1.0, 0.0, 0.0])
            start = measured[0][np.argmax(np.where(measured[2], measured[1], -np.inf))]
            features = np.stack([start, start + 2 * far, start - far]).astype(np.float32)
            improvement, _ = self._improvement(features, measured)
            best = np.argmax(improvement)
            assert best > 0
            assert improvement[best] > 1e-20
            assert _choose("expected_improvement", features, [True] * 3, measured=measured) == best

    def test_looks_at_the_best_predicted_alone(self):
        measured = _measured()
        features, _ = _candidates()
        improvement, shown = self._improvement(features, measured)
        shortlist = np.argsort(-shown)[:3]
        expected = shortlist[np.argmax(improvement[shortlist])]
        assert _choose("expected_improvement", features, [True] * 20, num_candidates=3) == expected

    def test_a_leaf_without_members(self):
        features, values, _ = _measured()
        measured = (np.full_like(features, np.nan), np.full_like(values, np.nan), np.zeros(len(values), bool))
        candidates, is_candidate = _candidates()
        assert is_candidate[_choose("expected_improvement", candidates, is_candidate, measured=measured)[0]]
