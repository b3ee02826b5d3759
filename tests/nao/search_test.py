"""NAO as a searcher: both drivers agree, unusual histories, warm starts of fits, diagnostics."""

import dataclasses
import functools
import types as python_types
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import history as histories
from common import one_round, spaces, types, unseen
from common import search as drivers
from common.evaluators import synthetic
from common.executors import measuring
from common.spaces import factory
from nao_jax import config as configs
from nao_jax import decoding, diagnostics, learning, presets, search

SPACE = spaces.get("convnet")
EVALUATOR = synthetic.evaluator(SPACE)
COUNT, CAPACITY = 4, 24
TINY = configs.Model(
    embedding_size=6,
    hidden_size=6,
    is_bidirectional=False,
    predictor="mlp",
    predictor_layers=0,
    decoder="plain",
    encoder_dropout=0.0,
    decoder_dropout=0.0,
)
SMALL = dataclasses.replace(
    configs.Config(),
    model=TINY,
    num_members=2,
    num_folds=3,
    num_initial=6,
    num_new=8,
    count=COUNT,
    num_random=0,
    batch_size=16,
    fit_unit="minibatches",
    fit_first=4,
    fit_later=2,
    num_copies=0,
    num_unlabelled=6,
    num_mutated=3,
    fit_synthetic=0,
    seeds="both",
    num_seeds=3,
    num_steps=2,
    num_climbs=1,
    temperature=0.25,
    order="prediction",
)
TRACES = []


@functools.cache
def made():
    """The searcher of most tests, which notes when it is traced."""
    searcher = search.searcher(SPACE, SMALL)

    def propose(wrapped, *args, **kwargs):
        TRACES.append(kwargs["count"])
        return wrapped(*args, **kwargs)

    return searcher._replace(propose=jax.tree_util.Partial(propose, searcher.propose))


def setting():
    return learning.setting(SPACE, SMALL)


@functools.cache
def rounds(seed=0):
    """[(state after proposing, history with the results)] of a search of six rounds."""
    searcher, told = made(), []
    with mock.patch.object(one_round, "diagnose", lambda diagnose, state, history: {"state": state}):
        drivers.run_search(
            jax.random.key(seed),
            searcher,
            EVALUATOR,
            budget=CAPACITY,
            on_round=lambda round_, history, seconds, diagnostics: told.append((diagnostics["state"], history)),
        )
    return told


def filled(kind, num_rows=12):
    """A history in which all are equally good, infeasible, or all but one pending."""
    archs = jnp.asarray(SPACE.enumerate()[:: 1364 // num_rows][:num_rows])
    evaluation = EVALUATOR.evaluate(jax.random.key(0), archs)
    if kind == "equal":
        evaluation = evaluation.replace(fitness=jnp.full(num_rows, 0.5))
    if kind == "infeasible":
        evaluation = evaluation.replace(ok=jnp.zeros(num_rows, bool))
    history = histories.empty(CAPACITY, 5)
    if kind == "pending":
        history = histories.append(history, archs[:1], jax.tree.map(lambda values: values[:1], evaluation))
        return histories.append_pending(history, archs[1:])
    return histories.append(history, archs, evaluation)


def started(seed, history):
    return one_round.init(measuring.on_device(made().init), jax.random.key(seed), history)


def proposed(history, seed=0):
    state = started(seed + 100, history)
    return one_round.propose(measuring.on_device(made().propose), jax.random.key(seed), state, history, count=COUNT)


class ProposeTest(chex.TestCase):
    def assert_new(self, archs, history):
        assert np.all(SPACE.is_valid(archs))
        np.testing.assert_array_equal(SPACE.canonicalize(archs), archs)
        assert len(np.unique(archs, axis=0)) == COUNT
        assert not np.any(histories.contains(history, archs))

    @parameterized.parameters(("plain", 12), ("equal", 12), ("infeasible", 12), ("pending", 12), ("plain", 6))
    def test_odd_histories(self, kind, num_rows):
        """Six rows are fewer than a minibatch."""
        history = filled(kind, num_rows)
        archs, state = proposed(history)
        self.assert_new(archs, history)
        chex.assert_tree_all_finite(state.networks)
        assert int(state.fitted_size) == num_rows
        if kind == "infeasible":
            assert float(state.tally.decoded + state.num_filled) >= COUNT
            assert np.all(np.isnan(state.base))

    def test_a_fit_is_due_after_num_new(self):
        # Rounds of 4 after 8 at random, as 4 are fewer than num_initial: fits at 8, 16.
        assert [int(state.fitted_size) for state, _ in rounds()] == [0, 0, 8, 8, 16, 16]

    def test_predictions_are_kept_for_what_was_decoded(self):
        state, history = rounds()[-1]
        is_told = np.isfinite(state.predicted)
        assert not np.any(is_told[:8])
        assert np.sum(~is_told[8:]) == int(state.num_filled)
        assert np.all(np.isfinite(state.base[8:]))
        np.testing.assert_array_equal(state.proposed_by, [0] * 8 + [8] * 8 + [16] * 8)
        # Of the last round, by the networks of the last fit.
        expected = np.asarray(jax.jit(functools.partial(learning.predict, setting()))(state.networks, history.archs))
        expected = expected.mean(axis=0)[20:]
        np.testing.assert_allclose(state.predicted[20:][is_told[20:]], expected[is_told[20:]], rtol=1e-5)


@pytest.mark.slow
class DriversTest(chex.TestCase):
    def test_both_drivers_give_the_same_history_in_one_trace_each(self):
        ran = rounds()[-1][1]
        proposed(filled("plain"))
        assert TRACES == [COUNT]
        scanned = drivers.scan_search(jax.random.key(0), made(), EVALUATOR, budget=CAPACITY)
        assert TRACES == [COUNT] * 2
        chex.assert_trees_all_equal(scanned, ran)
        assert len(np.unique(ran.archs, axis=0)) == CAPACITY


@functools.cache
def learner(is_warm, keeps_moments):
    """(networks, key, history, is_first) -> networks, in steps so small that parameters stay where they start."""
    config = dataclasses.replace(
        SMALL, is_warm=is_warm, keeps_moments=keeps_moments, learning_rate=1e-12, weight_decay=0.0
    )
    chosen = learning.setting(SPACE, config)
    others = jnp.asarray(SPACE.enumerate()[5 : 5 + SMALL.num_unlabelled])
    run = jax.jit(lambda *args, is_first: learning.learn(chosen, *args, others, is_first=is_first))
    return run, *(started(seed, histories.empty(CAPACITY, 5)).networks for seed in (0, 1))


class LearnTest(chex.TestCase):
    def count_of(self, networks):
        (counts,) = {tuple(leaf.tolist()) for leaf in jax.tree.leaves(networks.opt_state) if leaf.dtype == jnp.int32}
        return counts

    def test_a_warm_fit_goes_on_from_parameters_and_moments(self):
        run, start, _ = learner(True, True)
        once = run(start, jax.random.key(1), filled("plain"), is_first=True)
        chex.assert_trees_all_close(once.params, start.params, atol=1e-9)
        assert self.count_of(once) == (4, 4)
        twice = run(once, jax.random.key(2), filled("plain"), is_first=False)
        assert self.count_of(twice) == (6, 6)

    @pytest.mark.slow
    def test_a_cold_fit_forgets(self):
        run, start, other = learner(False, False)
        found, again = (run(one, jax.random.key(1), filled("plain"), is_first=False) for one in (start, other))
        chex.assert_trees_all_equal((found.params, found.opt_state), (again.params, again.opt_state))
        assert self.count_of(found) == (2, 2)
        weights = found.params["params"]["encoder"]["forward_weights"]
        assert np.abs(weights - start.params["params"]["encoder"]["forward_weights"]).max() > 0.1
        assert np.abs(weights[0] - weights[1]).max() > 0.1  # members start apart

    def test_a_network_does_not_see_its_fold(self):
        run, start, _ = learner(True, True)
        history = filled("plain")

        def gradient_moments(fitness):
            with_fitness = history.replace(fitness=fitness)
            return run(start, jax.random.key(1), with_fitness, is_first=True).opt_state

        # Ranks of all change if one changes, so two in the fold of network 0 change places: rows 0 and 3.
        swapped = history.fitness.at[jnp.array([0, 3])].set(history.fitness[jnp.array([3, 0])])
        before, after = gradient_moments(history.fitness), gradient_moments(swapped)
        for member, is_same in ((0, True), (1, False)):
            pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after))
            assert all(np.array_equal(one[member], two[member]) for one, two in pairs) == is_same

    def test_folds_by_hand(self):
        config = dataclasses.replace(SMALL, num_members=2, num_folds=3)
        np.testing.assert_array_equal(
            learning.held_out(config, 7), np.array([[1, 0, 0, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0, 0]], bool)
        )
        np.testing.assert_array_equal(
            learning.held_out(dataclasses.replace(config, num_folds=0), 4), np.zeros((2, 4), bool)
        )

    def test_features_are_centred_and_have_a_mean_square_of_four_together(self):
        config = dataclasses.replace(SMALL, model=dataclasses.replace(TINY, has_features=True))
        chosen = learning.setting(SPACE, config)
        archs = jnp.asarray(SPACE.enumerate())
        networks = learning.Networks(
            params=(), opt_state=(), feature_mean=jnp.arange(25.0), feature_scale=jnp.full((25,), 2.0)
        )
        tokens, features = learning.read(chosen, networks, archs[:3])
        np.testing.assert_array_equal(tokens, archs[:3] + 1)
        np.testing.assert_allclose(features, 2.0 * (SPACE.features(archs[:3]) - np.arange(25.0)[None]))
        scaled = jax.jit(lambda pool, key: learning.first(chosen, pool, key))(archs, jax.random.key(0))
        _, features = learning.read(chosen, scaled, archs)
        np.testing.assert_allclose(np.mean(features, axis=0), np.zeros(25), atol=0.1)
        np.testing.assert_allclose(np.mean(np.sum(features**2, axis=1)), 4.0, rtol=0.1)

    def test_unlabelled_ones(self):
        history = filled("plain")
        run = jax.jit(lambda key, history: learning.unlabelled(setting(), key, unseen.pool_of(SPACE), history))
        best = np.asarray(history.archs)[np.argsort(-np.asarray(history.fitness)[:12])[:3]]
        found = set()
        for seed in range(10):
            others = np.asarray(run(jax.random.key(seed), history))
            assert others.shape == (6, 5)
            assert np.all(SPACE.is_valid(others))
            np.testing.assert_array_equal(SPACE.canonicalize(others), others)
            around, is_valid = SPACE.neighbors(jnp.asarray(best))
            around = {tuple(row) for row in np.asarray(around)[np.asarray(is_valid)].tolist()}
            assert {tuple(row) for row in others[3:].tolist()} <= around
            found |= {tuple(row) for row in others.tolist()}
        assert len(found) > 40


class DiagnosticsTest(chex.TestCase):
    def test_names_and_when_they_are_told(self):
        told = [jax.device_get(one_round.diagnose(made().diagnostics, *each)) for each in rounds()]
        for at in (0, 1):
            assert all(np.all(np.isnan(value)) for value in told[at].values()), "no fit yet"
        for at in (2, 3, 4, 5):
            numbers = {name: float(value) for name, value in told[at].items() if np.ndim(value) == 0}
            unpaired = {name for name, value in numbers.items() if not np.isfinite(value)}
            assert unpaired <= {"pairwise_accuracy", "kendall_tau"}, "those of decoded ones need two"
            shares = [numbers[name] for name in ("invalid", "known", "repeated", "new")]
            np.testing.assert_allclose(sum(shares), 1.0, rtol=1e-5)
            assert 0 <= numbers["held_out_pairwise_accuracy"] <= 1
            assert -1 <= numbers["held_out_kendall_tau"] <= 1
            assert 0 <= numbers["exact_reconstruction"] <= 1
            assert 0 <= numbers["hamming_distance"] <= 5
        assert told[5]["num_filled"] == sum(told[at]["filled"] for at in (2, 3, 4, 5))

    def test_held_out_figures_by_numpy(self):
        for state, history in rounds()[2:]:
            told = one_round.diagnose(made().diagnostics, state, history)
            size, fitted = int(history.size), int(state.fitted_size)
            predictions = np.asarray(
                jax.jit(functools.partial(learning.predict, setting()))(state.networks, jnp.maximum(history.archs, 0))
            )
            rows, prediction = [], []
            for row in range(size):
                networks = [member for member in range(2) if row >= fitted or row % 3 == member]
                if networks:
                    rows.append(row)
                    prediction.append(np.mean([predictions[member, row] for member in networks]))
            fitness = np.asarray(history.fitness)[rows]
            one, two = np.tril_indices(len(rows), -1)
            order, truth = (np.sign(values[one] - values[two]) for values in (np.array(prediction), fitness))
            is_pair = truth != 0  # fitness is in steps here, so some are equal
            accuracy = np.mean(np.where(order == truth, 1.0, np.where(order == 0, 0.5, 0.0))[is_pair])
            tau = np.sum(order * truth) / np.sqrt(np.sum(order != 0) * np.sum(is_pair))
            assert told["num_held_out"] == len(rows)
            np.testing.assert_allclose(told["held_out_pairwise_accuracy"], accuracy, atol=1e-5)
            np.testing.assert_allclose(told["held_out_kendall_tau"], tau, atol=1e-5)

    def test_reconstruction_by_hand(self):
        """Latents are the tokens; the second network writes its first two wrong."""

        def encode(setting, networks, archs):
            return jnp.stack([setting.space.tokens(archs)] * 2)

        def greedy(model, params, latent, legal_tokens):
            return latent.at[:, :2].add(params)

        for wrong, distance, exact in ((0, 0.0, 1.0), (1, 1.0, 0.5)):
            networks = python_types.SimpleNamespace(params=jnp.array([0, wrong]))
            with mock.patch.object(learning, "encode", encode), mock.patch.object(decoding, "greedy", greedy):
                told = diagnostics._reconstruction(
                    setting(), unseen.pool_of(SPACE), python_types.SimpleNamespace(networks=networks)
                )
            assert told == {"hamming_distance": distance, "exact_reconstruction": exact}

    def test_proposed_by_hand(self):
        """Only what one fit proposed is compared: rows 1 to 3 and 4 to 7, of which two do not count."""
        fitness = jnp.array([0.5, 0.25, 0.5, 0.75, 0.1, 0.2, 0.3, 0.4])
        history = histories.append(
            histories.empty(9, 1),
            jnp.arange(8)[:, None],
            types.Evaluation(fitness=fitness, cost=jnp.ones(8), ok=jnp.arange(8) != 5),
        )
        nan = jnp.nan
        state = python_types.SimpleNamespace(
            predicted=jnp.array([nan, 1.0, 3.0, 2.0, 9.0, 0.0, nan, 10.0, nan]),
            proposed_by=jnp.array([0, 1, 1, 1, 4, 4, 4, 4, 0]),
        )
        told = diagnostics._proposed(state, history)
        # Right: 1 < 2, 1 < 3 and 4 < 7; wrong: 2 and 3. Between the two fits all pairs would be wrong.
        np.testing.assert_allclose(told["pairwise_accuracy"], 3 / 4)
        np.testing.assert_allclose(told["kendall_tau"], 1 / 2)

    def test_gains_by_hand(self):
        fitness = jnp.array([0.25, 0.5, 0.75, 0.375, 0.625])
        history = histories.append(
            histories.empty(7, 1),
            jnp.arange(5)[:, None],
            types.Evaluation(fitness=fitness, cost=jnp.ones(5), ok=jnp.array([True, True, True, False, True])),
        )
        nan = jnp.nan
        state = python_types.SimpleNamespace(
            fitted_size=jnp.int32(2),
            predicted=jnp.array([nan, 1.0, 2.0, 3.0, nan, 9.0, nan]),  # of row 4 nobody predicted anything
            base=jnp.array([nan, 0.5, 0.5, 0.5, 0.5, 0.5, nan]),
        )
        told = diagnostics._gains(state, history)
        np.testing.assert_array_equal(told["predicted_gain"], [nan, nan, 1.5, nan, nan, nan, nan])
        np.testing.assert_array_equal(told["realised_gain"], [nan, nan, 0.25, nan, nan, nan, nan])


class SettingTest(parameterized.TestCase):
    @parameterized.named_parameters((name, name) for name in presets.PRESETS)
    def test_every_preset_suits_a_space_or_says_what_to_do(self, name):
        config = presets.PRESETS[name]
        num_suited = 0
        for space in spaces.SPACES.values():
            num_tokens = space.legal_tokens.shape[0]
            if num_tokens % config.model.tokens_per_step == 0:
                assert learning.setting(space, config).model.num_tokens == num_tokens
                num_suited += 1
            else:
                with self.assertRaisesRegex(
                    ValueError,
                    f"{space.name} has {num_tokens} tokens.*tokens_per_step, .*; set it to 1 or another divisor",
                ):
                    learning.setting(space, config)
        assert num_suited >= 3

    @parameterized.parameters("nao_ws_cnn", "seminas_nasbench101")
    def test_a_preset_proposes(self, name):
        """Traced alone: such networks take long to fit."""
        space = factory.search_space("six", (4,) * 6, size=4**6, describe=str)
        searcher = search.searcher(space, presets.PRESETS[name], name=name)
        assert searcher.name == name
        history = histories.empty(2000, 6)
        state = jax.eval_shape(searcher.init, jax.random.key(0), history)
        propose = functools.partial(searcher.propose, count=searcher.count)
        archs, after = jax.eval_shape(propose, jax.random.key(0), state, history)
        assert archs.shape == (presets.PRESETS[name].count, 6)
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)

    def test_a_budget_below_num_initial(self):
        for check in (
            functools.partial(one_round.check_sizes, made(), EVALUATOR.space, evaluator=EVALUATOR),
            functools.partial(drivers.scan_search, jax.random.key(0), made(), EVALUATOR),
            functools.partial(drivers.run_search, jax.random.key(0), made(), EVALUATOR),
        ):
            with self.assertRaisesRegex(ValueError, "budget is 5, below num_initial, 6.*raise the budget or lower"):
                check(budget=5)
