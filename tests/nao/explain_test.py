"""Latents refitted from a history: shapes, training rows, principal components."""

import dataclasses

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from common import history as history_lib
from common import types
from common.spaces import factory
from nao_jax import config as configs
from nao_jax import explain

SPACE = factory.search_space("grid", (3, 4, 2), size=24, describe=lambda arch: "-".join(map(str, arch)))
DEFAULT = configs.Config()
CONFIG = dataclasses.replace(
    DEFAULT,
    model=dataclasses.replace(DEFAULT.model, embedding_size=4, hidden_size=4),
    **{"fit_first": 3, "batch_size": 8, "num_unlabelled": 6, "num_mutated": 3, "num_seeds": 2, "num_steps": 3},
)


def _history(count):
    history = history_lib.empty(20, 3)
    archs = jnp.asarray(SPACE.enumerate()[:count])
    fitness = jnp.sum(archs * jnp.array([[0.2, 0.1, 0.05]]), axis=1)
    ok = jnp.arange(count) != 1
    return history_lib.append(history, archs, types.Evaluation(fitness=fitness, cost=fitness, ok=ok))


class ExplainTest(chex.TestCase):
    @pytest.mark.slow
    def test_a_map(self):
        history = _history(20)
        got = explain.explain(SPACE, CONFIG, history)
        assert got.points.shape == (19, 2)
        np.testing.assert_array_equal(got.is_learned, np.arange(19) < 15)  # rows 0 and 2 to 15
        np.testing.assert_array_equal(got.fitness, np.delete(np.asarray(history.fitness), 1))
        assert (got.paths.shape, got.decoded.shape) == ((5, 4, 2), (5, 3, 2))
        # Climbs start where the five best that were learned from lie.
        best = np.argsort(-got.fitness[:15], kind="stable")[:5]
        np.testing.assert_allclose(got.paths[:, 0], got.points[best], atol=1e-5)
        np.testing.assert_allclose(got.points.mean(axis=0), 0, atol=1e-5)
        assert got.explained[0] >= got.explained[1] >= 0
        assert got.explained.sum() <= 1 + 1e-6
        known = {
            f"{'-'.join(map(str, arch))}, measured {100 * value:.2f} %": None for arch, value in _measured(history)
        }
        for row in got.texts:
            for step, text in enumerate(row, start=1):
                head, said = text.split(": ")
                assert head == f"step {0.5 * step:g}"
                assert said in known or said.endswith("not measured")
        again = explain.explain(SPACE, CONFIG, history)
        chex.assert_trees_all_equal(got.points, again.points)

    def test_too_little_was_measured(self):
        assert explain.explain(SPACE, CONFIG, _history(5)) is None

    def test_plane_by_hand(self):
        """All variance lies along (3, 4), but for a little across."""
        along, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
        points = np.stack([2 * along, -2 * along, across, -across])
        plane, explained = explain._principal(points)
        np.testing.assert_allclose(plane(points), [[2, 0], [-2, 0], [0, -1], [0, 1]], atol=1e-12)
        np.testing.assert_allclose(explained, [0.8, 0.2])


def _measured(history):
    pairs = zip(np.asarray(history.archs).tolist(), np.asarray(history.fitness).tolist())
    return [pair for pair in pairs if np.isfinite(pair[1])]
