"""From starting points to proposals, by hand: networks whose latents are the architectures and whose steps add."""

import dataclasses
import functools
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np

from common import history as histories
from common import types, unseen
from common.spaces import factory
from nao_jax import ascent, candidates, learning
from nao_jax import config as configs

# Two decisions of four; rows in any order are one network, and (0, 0) is none: 9 networks.
NETWORKS = [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)]
SPACE = factory.search_space(
    "pairs",
    (4, 4),
    size=9,
    describe=str,
    is_valid=lambda archs: jnp.any(archs > 0, axis=-1),
    canonicalize=lambda archs: jnp.sort(archs, axis=-1),
    enumerate_rows=lambda: np.array(NETWORKS, np.int32),
)
CAPACITY = 8


def encode(setting, networks, archs):
    """The latent of an architecture is the architecture: [M, B, 1, L]."""
    del setting
    return jnp.broadcast_to(archs[None, :, None].astype(float), (len(networks.params), len(archs), 1, 2))


def predict(setting, networks, archs):
    """10 a + b, and for network m in tenths: [M, B]."""
    del setting
    values = 10.0 * archs[:, 0] + archs[:, 1]
    return values[None] / networks.params[:, None]


def climb(model, params, latent, legal_tokens, *, config):
    """Step k of network m adds k to the first decision and m - 1 to the second, modulo 4: [K, B, W, T]."""
    del model
    assert legal_tokens.shape == (2, 5, 5)
    steps = jnp.arange(1, config.num_steps + 1)
    moved = jnp.stack(jnp.broadcast_arrays(steps, params.astype(int) - 1), axis=-1)[:, None, None]  # [K, 1, 1, 2]
    archs = (latent.astype(int)[None] + moved) % 4
    beam = jnp.arange(config.beam_width)[:, None] * jnp.array([[0, 1]])
    return ((archs + beam[None, None]) % 4 + 1).astype(jnp.int32)


def setting(**fields):
    fields = {
        "seeds": "measured",
        "num_seeds": 2,
        "num_steps": 2,
        "num_climbs": 1,
        "order": "step_size",
        "temperature": 0.0,
        "target": "fitness",
        "beam_width": 1,
        "num_random": 0,
        **fields,
    }
    return learning.Setting(space=SPACE, config=dataclasses.replace(configs.Config(), **fields), model=None)


def history(*rows):
    """Of (arch, fitness), where None is infeasible."""
    archs = jnp.array([arch for arch, _ in rows], jnp.int32)
    evaluation = types.Evaluation(
        fitness=jnp.array([np.nan if fitness is None else fitness for _, fitness in rows]),
        cost=jnp.ones(len(rows)),
        ok=jnp.array([fitness is not None for _, fitness in rows]),
    )
    return histories.append(histories.empty(CAPACITY, 2), archs, evaluation)


def known(made):
    pool = unseen.pool_of(SPACE)
    return unseen.know(pool, unseen.empty_index(pool, made), made, count=4)


def networks(count):
    zero = jnp.zeros((0,))
    return learning.Networks(params=jnp.arange(1.0, count + 1.0), opt_state=(), feature_mean=zero, feature_scale=zero)


@functools.cache
def _program(count, num_networks, **fields):
    """`propose` with given settings, traced once while the networks are replaced."""

    def propose(key, made, others):
        return candidates.propose(setting(**fields), networks(num_networks), key, known(made), others, count=count)

    return jax.jit(propose)


@functools.cache
def _starts_program(**fields):
    rate = functools.partial(candidates.mean_prediction, setting(**fields), networks(1))
    return jax.jit(lambda made, others: candidates._starts(setting(**fields), rate, known(made), others))


class CandidatesTest(chex.TestCase):
    def setUp(self):
        super().setUp()
        for module, name, fake in (
            *((learning, "encode", encode), (learning, "predict", predict), (ascent, "climb", climb)),
        ):
            patch = mock.patch.object(module, name, fake)
            patch.start()
            self.addCleanup(patch.stop)

    def propose(self, made, *, others=(), count=3, num_networks=1, seed=0, **fields):
        """Returns (proposed rows, which are decoded, tally as numbers), checking what must always be so."""
        others = jnp.array(others, jnp.int32).reshape(-1, 2)
        found = _program(count, num_networks, **fields)(jax.random.key(seed), made, others)
        archs = list(map(tuple, np.asarray(found.archs).tolist()))
        tally = {name: int(value) for name, value in found.tally.items()}
        given = {tuple(row) for row in np.asarray(made.archs).tolist()}
        assert len(archs) == count
        assert set(archs) <= set(NETWORKS) - given
        assert len(set(archs)) == count
        assert tally["decoded"] == sum(tally[name] for name in ("invalid", "known", "repeated", "new"))
        assert tally["filled"] == count - np.sum(found.is_decoded)
        expected = np.mean([[(10 * a + b) / m for a, b in archs] for m in range(1, num_networks + 1)], axis=0)
        np.testing.assert_allclose(found.prediction, expected, rtol=1e-6)
        fitness = np.asarray(jnp.where(histories.is_measured(made), made.fitness, -1.0))
        a, b = made.archs[np.argmax(fitness)]
        base = np.mean([(10 * a + b) / m for m in range(1, num_networks + 1)]) if fitness.max() >= 0 else np.nan
        np.testing.assert_allclose(found.base, base, rtol=1e-6)
        return archs, found.is_decoded.tolist(), tally

    def starts(self, made, others=(), **fields):
        others = jnp.array(others, jnp.int32).reshape(-1, 2)
        archs, is_start = _starts_program(**fields)(made, others)
        return list(map(tuple, np.asarray(archs).tolist())), is_start.tolist()


class ProposeTest(CandidatesTest):
    MADE = (((0, 3), 0.5), ((1, 1), None), ((0, 1), 0.9), ((0, 2), 0.1))

    def test_by_hand_in_order_of_step_size(self):
        # Starts (0, 1) and (0, 3). Step 1: (1, 1) is known, (1, 3). Step 2: (2, 1) is (1, 2), (2, 3).
        archs, is_decoded, tally = self.propose(history(*self.MADE))
        assert (archs, is_decoded) == ([(1, 3), (1, 2), (2, 3)], [True] * 3)
        assert tally == {"decoded": 4, "invalid": 0, "known": 1, "repeated": 0, "new": 3, "filled": 0}

    def test_all_networks_take_each_step_size_before_the_next(self):
        # Network 2 adds 1 to the second decision too. Step 1: (1, 1) known, (1, 3); (1, 2), (1, 0) is (0, 1), known.
        # Step 2: (1, 2) repeated, (2, 3); (2, 2), (2, 0) is (0, 2), known.
        archs, is_decoded, tally = self.propose(history(*self.MADE), num_networks=2, count=4)
        assert (archs, is_decoded) == ([(1, 3), (1, 2), (2, 3), (2, 2)], [True] * 4)
        assert tally == {"decoded": 8, "invalid": 0, "known": 3, "repeated": 1, "new": 4, "filled": 0}

    def test_a_beam_brings_more(self):
        # Step 1: (1, 1) known and (1, 2); (1, 3) and (1, 0), known. Step 2: (1, 2) again, (2, 2); (2, 3), (0, 2) known.
        archs, _, tally = self.propose(history(*self.MADE), beam_width=2, count=4)
        assert archs == [(1, 2), (1, 3), (2, 2), (2, 3)]
        assert tally == {"decoded": 8, "invalid": 0, "known": 3, "repeated": 1, "new": 4, "filled": 0}

    def test_invalid_ones_are_counted_and_left_out(self):
        # From (3, 0), not canonical but measured: step 1 is (0, 0), step 2 is (0, 1).
        archs, is_decoded, tally = self.propose(history(((3, 0), 0.5)))
        assert tally == {"decoded": 2, "invalid": 1, "known": 0, "repeated": 0, "new": 1, "filled": 2}
        assert (archs[0], is_decoded) == ((0, 1), [True, False, False])

    def test_a_shortage_is_filled_at_random_and_counted(self):
        found = set()
        for seed in range(12):
            archs, is_decoded, tally = self.propose(history(*self.MADE), count=4, num_steps=1, seed=seed)
            assert (archs[0], is_decoded) == ((1, 3), [True, False, False, False])
            assert (tally["decoded"], tally["new"], tally["filled"]) == (2, 1, 3)
            found |= set(archs[1:])
        assert found == set(NETWORKS) - {(1, 3)} - {arch for arch, _ in self.MADE}

    def test_nothing_measured_is_all_at_random(self):
        found = set()
        for seed in range(12):
            archs, is_decoded, tally = self.propose(history(((0, 1), None), ((1, 1), None)), seed=seed)
            assert is_decoded == [False] * 3
            assert tally == {"decoded": 0, "invalid": 0, "known": 0, "repeated": 0, "new": 0, "filled": 3}
            found |= set(archs)
        assert found == set(NETWORKS) - {(0, 1), (1, 1)}

    def test_some_are_drawn_at_random_on_purpose(self):
        archs, is_decoded, tally = self.propose(history(*self.MADE), num_random=2)
        assert (archs[0], is_decoded) == ((1, 3), [True, False, False])
        assert (tally["new"], tally["filled"]) == (3, 2)

    def test_temperature_draws_from_the_softmax_of_predictions(self):
        # New are (1, 3), (1, 2) and (2, 3), predicted 13, 12 and 23.
        made, others = history(*self.MADE), jnp.zeros((0, 2), jnp.int32)
        counts = {(1, 3): 0, (1, 2): 0, (2, 3): 0}
        for seed in range(600):
            found = _program(1, 1, order="prediction", temperature=10.0)(jax.random.key(seed), made, others)
            counts[tuple(found.archs[0].tolist())] += 1
        weights = np.exp([1.3, 1.2, 2.3])
        expected = 600 * weights / weights.sum()
        assert np.abs(np.array(list(counts.values())) - expected).max() < 49  # 4 standard deviations

    def test_a_second_climb_starts_from_the_best_of_the_first(self):
        # First climb: (1, 1) and (1, 2) from (0, 1); (1, 3) and (2, 3) from (0, 3). The best two are (2, 3) and (1, 3).
        # Second: (3, 3) and (0, 3), known; (2, 3) again, and (3, 3) again.
        archs, _, tally = self.propose(history(*self.MADE), num_climbs=2, order="prediction", count=4)
        assert archs == [(3, 3), (2, 3), (1, 3), (1, 2)]
        assert tally == {"decoded": 8, "invalid": 0, "known": 2, "repeated": 2, "new": 4, "filled": 0}
        by_step, _, _ = self.propose(history(*self.MADE), num_climbs=2, count=4)
        assert by_step == [(1, 3), (1, 2), (2, 3), (3, 3)]

    def test_a_second_climb_does_not_start_where_the_first_did(self):
        # From (3, 3) one step leads to (0, 3), the other start: so only (0, 3)'s (1, 3) goes on, to (2, 3).
        made = history(((3, 3), 0.9), ((0, 3), 0.5))
        archs, is_decoded, tally = self.propose(made, num_climbs=2, num_steps=1, count=2)
        assert (archs, is_decoded) == ([(1, 3), (2, 3)], [True, True])
        assert tally == {"decoded": 3, "invalid": 0, "known": 1, "repeated": 0, "new": 2, "filled": 0}

    def test_unlabelled_starts_are_proposals_as_good_as_others(self):
        # Besides (0, 1): (2, 3), the best predicted. Step 1: (1, 1) known; (3, 3).
        fields = {"seeds": "both", "num_seeds": 1, "num_steps": 1, "others": [(0, 2), (2, 3), (1, 2)]}
        archs, is_decoded, tally = self.propose(history(*self.MADE), count=2, order="prediction", **fields)
        assert (archs, is_decoded) == ([(3, 3), (2, 3)], [True, True])
        assert tally == {"decoded": 2, "invalid": 0, "known": 1, "repeated": 0, "new": 1, "filled": 0}


class StartsTest(CandidatesTest):
    MADE = (((0, 3), 0.5), ((1, 1), None), ((0, 1), 0.9), ((2, 2), 0.5), ((0, 2), 0.1))
    OTHERS = ((1, 2), (2, 2), (2, 3), (1, 2), (2, 3), (1, 3))

    def test_measured(self):
        archs, is_start = self.starts(history(*self.MADE), num_seeds=3)
        assert archs == [(0, 1), (0, 3), (2, 2)]  # of equal fitness the first
        assert is_start == [True] * 3

    def test_fewer_than_asked_for(self):
        archs, is_start = self.starts(history(*self.MADE), num_seeds=6)
        assert archs[:4] == [(0, 1), (0, 3), (2, 2), (0, 2)]
        assert archs[4:] == [(0, 3)] * 2  # a valid row that does not count
        assert is_start == [True] * 4 + [False] * 2
        archs, is_start = self.starts(history(*self.MADE), num_seeds=100)
        assert (sum(is_start), len(archs)) == (4, CAPACITY)

    def test_both(self):
        archs, is_start = self.starts(history(*self.MADE), self.OTHERS, seeds="both", num_seeds=2)
        assert archs == [(0, 1), (0, 3), (2, 3), (1, 3)]  # (2, 2) is known, the second (2, 3) a repeat
        assert is_start == [True] * 4
        archs, is_start = self.starts(history(*self.MADE), self.OTHERS, seeds="both", num_seeds=4)
        assert (archs[4:7], is_start) == ([(2, 3), (1, 3), (1, 2)], [True] * 7 + [False])

    def test_union(self):
        # Predictions are 12 to 23, fitness 0.1 to 0.9: all unlabelled come first, as measured ones count as measured.
        archs, is_start = self.starts(history(*self.MADE), self.OTHERS, seeds="union", num_seeds=5)
        assert (archs, is_start) == ([(2, 3), (1, 3), (1, 2), (0, 1), (0, 3)], [True] * 5)

    def test_union_is_in_the_unit_of_the_target(self):
        # Standardized, 0.9 is 1.41 and 0.5 is 0, above the prediction of no network: 10 a + b over 100.
        def small(setting, networks, archs):
            return predict(setting, networks, archs) / 100.0

        made = history(((0, 3), 0.5), ((0, 1), 0.9), ((0, 2), 0.5), ((1, 1), 0.1))
        with mock.patch.object(learning, "predict", small):  # seen when this program is traced
            archs, _ = self.starts(made, [(1, 2), (2, 3)], seeds="union", num_seeds=6, target="z_score")
        assert archs == [(0, 1), (2, 3), (1, 2), (0, 3), (0, 2), (1, 1)]
