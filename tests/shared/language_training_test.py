"""Training of language models: segments, a step against NumPy, averaging by hand, resuming, rollback."""

import dataclasses
import functools
import tempfile
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common.genotypes.genotype import RecurrentGenotype, RecurrentNode
from common.language import config as configs
from common.language import recurrent, segments
from common.language import step as steps
from common.language import training as language
from common.training import checkpoints, memory

V, H, B = 6, 3, 2
CELL = RecurrentGenotype((RecurrentNode("relu", 0), RecurrentNode("sigmoid", 1)), output=(1, 2))
NONE = configs.Dropout(0.0, 0.0, 0.0, 0.0, 0.0)
SOME = configs.Dropout(0.2, 0.1, 0.1, 0.1, 0.1)
CHUNKS = configs.Chunks(bptt=5, short_share=0.2, bptt_deviation=1.0, bptt_min=2, bptt_max=7)
CONFIG = configs.Config(
    width=H,
    num_epochs=4,
    batch_size=B,
    valid_batch_size=1,
    chunks=CHUNKS,
    dropout=SOME,
    optimizer=configs.Optimizer(learning_rate=2.0, clip_norm=0.25, patience=1),
)


def make_text(num, seed=0):
    """A periodic text with random errors."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(num) < 0.1, rng.integers(0, V, num), np.arange(num) % V).astype(np.int32)


@functools.cache
def make_learner(config=CONFIG, dropout=SOME):
    network = recurrent.language_model(CELL, vocabulary_size=V, width=config.width, dropout=dropout)
    return language.Learner(network, config, language.NO_ARCH)


@functools.cache
def texts(config=CONFIG):
    return segments.prepare(make_text(200), B, config.chunks), segments.prepare(make_text(60, 1), 1, config.chunks)


def run(learner, keys, state=None, **arguments):
    """Returns copies of all states after epochs, and their metrics."""
    state = language.create(learner, keys) if state is None else state
    data, valid = texts(learner.config)
    trained = language.train(learner, state, keys, data, valid, **arguments)
    return [(jax.tree.map(np.asarray, state), epoch) for state, epoch in trained]


def numpy_objective(flat, unravel, words, hidden, length, config):
    """Loss and penalties of `CELL` in NumPy, as a function of one vector of parameters."""
    params = unravel(flat)

    def mix(before, gates, bend):
        c, a = np.split(gates, 2, axis=1)
        return before + (bend(a) - before) / (1 + np.exp(-c))

    h, losses, outputs = hidden, 0.0, []
    for at in range(length):
        x = params["table"][words[at]]
        first = mix(h, np.concatenate([x, h], axis=1) @ params["first"], np.tanh)
        one = mix(first, first @ params["cell"]["nodes"][0], lambda x: np.maximum(x, 0))
        two = mix(one, one @ params["cell"]["nodes"][1], lambda x: 1 / (1 + np.exp(-x)))
        h = (one + two) / 2
        outputs.append(h)
        logits = h @ params["table"].T + params["bias"]
        losses += np.sum(np.log(np.sum(np.exp(logits), axis=1)) - logits[np.arange(B), words[at + 1]])
    outputs = np.stack(outputs)
    return (
        losses / (length * B)
        + config.activation_penalty * np.mean(outputs**2)
        + config.change_penalty * np.mean((outputs[1:] - outputs[:-1]) ** 2)
    )


class SegmentsTest(chex.TestCase):
    @parameterized.parameters(2, 3, 36, 37, 1000)
    def test_they_cover_the_text_once(self, num_rows):
        got = segments.cut(jax.random.key(0), 0, num_rows, configs.Chunks())
        assert got.starts.dtype == got.lengths.dtype == np.int32
        assert got.starts[0] == 0
        np.testing.assert_array_equal(got.starts[1:], np.cumsum(got.lengths)[:-1])
        assert got.lengths.sum() == num_rows - 1
        assert got.lengths.min() >= 1

    def test_published_lengths(self):
        lengths = segments.cut(jax.random.key(0), 3, 1_000_000, configs.Chunks()).lengths[:-1]
        assert lengths.min() == 5
        assert 52 <= lengths.max() <= 55
        is_short = lengths < 22  # more than 2.6 standard deviations below 35, and 0.9 above 17.5
        assert abs(is_short.mean() - 0.05 * 0.84) < 0.01
        long = lengths[~is_short]
        assert abs(np.median(long) - 34.5) < 1
        assert abs(long.std() - 5) < 0.3

    def test_all_of_one_length(self):
        config = configs.Chunks(bptt=35, short_share=0.0, bptt_deviation=0.0)
        np.testing.assert_array_equal(segments.cut(jax.random.key(0), 0, 100, config).lengths, [35, 35, 29])
        assert segments.sizes(config) == (35,)

    def test_bounds_must_enclose_the_mean(self):
        for fields in ({"bptt_min": 36}, {"bptt_max": 34}):
            with self.assertRaisesRegex(ValueError, "bptt must be from bptt_min to bptt_max; got .*bptt=35"):
                configs.Chunks(**fields)


class StepTest(chex.TestCase):
    @parameterized.parameters((0.05, 6), (100.0, 4))
    def test_a_step_against_numpy(self, clip_norm, size):
        """With and without padding."""
        length = 4
        optimizer = configs.Optimizer(
            learning_rate=1.5, clip_norm=clip_norm, weight_decay=0.01, activation_penalty=0.7, change_penalty=0.9
        )
        config = dataclasses.replace(CONFIG, optimizer=optimizer, dropout=NONE)
        network = make_learner(config, NONE).network
        state = steps.create(jax.random.key(0), network, config)
        rng = np.random.default_rng(0)
        hidden, words = rng.normal(size=(B, H)), rng.integers(0, V, (size + 1, B)).astype(np.int32)
        params = jax.tree.map(lambda p: 10 * np.asarray(p, np.float64), state.params)
        state = state.replace(params=jax.tree.map(jnp.float32, params), hidden=jnp.float32(hidden))
        got = jax.jit(functools.partial(steps.train, network, optimizer, bptt=CHUNKS.bptt))(
            jax.random.key(1), state, words, jnp.int32(length), None
        )

        flat = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)])
        shapes, treedef = [leaf.shape for leaf in jax.tree.leaves(params)], jax.tree.structure(params)
        ends = np.cumsum([np.prod(shape) for shape in shapes])

        def unravel(flat):
            parts = np.split(flat, ends[:-1])
            return jax.tree.unflatten(treedef, [part.reshape(shape) for part, shape in zip(parts, shapes)])

        def objective(flat):
            return numpy_objective(flat, unravel, words, hidden, length, optimizer)

        eye = 1e-5 * np.eye(len(flat))
        gradient = np.array([(objective(flat + move) - objective(flat - move)) / 2e-5 for move in eye])
        scale = min(1.0, clip_norm / np.linalg.norm(gradient))
        rate = 1.5 * length / CHUNKS.bptt
        expected = unravel(flat - rate * (scale * gradient + 0.01 * flat))
        chex.assert_trees_all_close(got.params, jax.tree.map(np.float32, expected), rtol=0, atol=3e-6)
        assert (scale < 1) == (clip_norm < 1)
        assert (int(got.step), int(got.at), int(got.num_words)) == (1, 1, length * B)
        penalties = dataclasses.replace(optimizer, activation_penalty=0.0, change_penalty=0.0)
        loss = numpy_objective(flat, unravel, words, hidden, length, penalties)
        np.testing.assert_allclose(got.loss, loss * length * B, rtol=1e-5)

    def test_the_average_by_hand(self):
        """PyTorch's ASGD with t0 = 0: the mean of the parameters after all steps but the first."""
        state = steps.create(jax.random.key(0), make_learner().network, CONFIG)
        values = [5.0, 3.0, 1.0, 8.0]
        expected = [5.0, 3.0, 2.0, 4.0]
        unaveraged = steps._averaged(state)
        assert int(unaveraged.num_averaged) == 0
        chex.assert_trees_all_equal(unaveraged.average, state.average)
        state = state.replace(is_averaging=jnp.bool_(True), average=state.average["bias"])
        for value, mean in zip(values, expected):
            state = steps._averaged(state.replace(params=jnp.full(V, value)))
            np.testing.assert_allclose(state.average, mean)
        assert int(state.num_averaged) == 4
        np.testing.assert_array_equal(language.evaluated(state), state.average)

    @parameterized.parameters(
        ([3.0, 2.0, 1.0], 2.5, 2, False),  # the least of all but the last two is 3
        ([2.0, 3.0, 1.0], 2.5, 2, True),  # it is 2
        ([2.0, 3.0], 2.5, 2, False),  # too early
        ([2.0, 3.0, 1.0], 2.0, 2, False),  # not above
        ([2.0, 3.0, 1.0], 9.0, 0, False),  # never
        ([9.0, 5, 4, 3, 2, 1], 8.0, 5, False),
        ([7.0, 5, 4, 3, 2, 1], 8.0, 5, True),
    )
    def test_when_averaging_begins(self, earlier, loss, patience, expected):
        assert steps.starts_averaging(loss, np.array(earlier), patience) is expected

    def test_evaluation_does_not_depend_on_segments(self):
        network = make_learner().network
        params = steps.create(jax.random.key(0), network, CONFIG).params
        params = jax.tree.map(lambda p: 20 * p, params)
        _, valid = texts()
        got = [
            float(steps.evaluate(network, params, valid.tokens, valid.num_rows, None, size=size)) for size in (2, 5, 7)
        ]
        words, zero = np.asarray(valid.tokens[: valid.num_rows]), jnp.zeros((1, H))
        reading = jax.jit(network.apply)({"params": params}, words[:-1], zero)
        losses = steps.score(reading, words[1:], zero, jnp.int32(1000))[0]
        np.testing.assert_allclose(got, np.mean(losses), rtol=1e-5)


class LoopTest(chex.TestCase):
    def test_it_learns_with_one_program_for_all_lengths_and_averages(self):
        before = language._train_segments._cache_size()
        optimizer = dataclasses.replace(CONFIG.optimizer, learning_rate=5.0, clip_norm=1.0)
        config = dataclasses.replace(CONFIG, width=12, num_epochs=12, optimizer=optimizer)
        done = run(make_learner(config, NONE), language.keys(jax.random.key(0)))
        assert language._train_segments._cache_size() == before + 1
        losses = [epoch.valid_loss for _, epoch in done]
        assert losses[0] > 1.6
        assert min(losses) < 1.0
        assert all(epoch.num_words == 2 * 99 for _, epoch in done)
        averaging = [epoch.is_averaging for _, epoch in done]
        expected = [
            any(steps.starts_averaging(losses[at], np.array(losses[:at]), 1) for at in range(end + 1))
            for end in range(12)
        ]
        first = averaging.index(True)
        assert averaging == expected
        assert 0 < first < 11
        assert [int(state.num_averaged) > 0 for state, _ in done] == [at > first for at in range(12)]
        np.testing.assert_allclose(done[-1][0].valid_losses, losses, rtol=1e-6)

    @pytest.mark.slow
    def test_resuming_is_bit_exact(self):
        learner, keys = make_learner(), language.keys(jax.random.key(1))
        whole = run(learner, keys)
        with tempfile.TemporaryDirectory() as folder:
            short = learner._replace(config=dataclasses.replace(CONFIG, num_epochs=4))
            with checkpoints.Checkpoints(folder, {"run": "x"}) as saved:
                state = language.create(short, keys)
                data, valid = texts()
                for number, _ in enumerate(language.train(short, state, keys, data, valid, checkpoints=saved), 1):
                    if number == 2:
                        break
            with checkpoints.Checkpoints(folder, {"run": "x"}) as saved:
                state = saved.latest(language.create(learner, keys))
                assert int(state.epoch) == 2
                rest = run(learner, keys, state, checkpoints=saved)
                best = saved.best(language.create(learner, keys))
                assert best.valid_losses[best.epoch - 1] == np.float32(min(epoch.valid_loss for _, epoch in whole))
        for (state, epoch), (expected, expected_epoch) in zip(rest, whole[2:], strict=True):
            chex.assert_trees_all_equal(state, expected)
            assert epoch[:-2] == expected_epoch[:-2]  # but for times

    def test_resuming_within_an_epoch_is_bit_exact(self):
        learner, keys = make_learner(), language.keys(jax.random.key(1))
        whole = run(learner, keys)
        data, _ = texts()
        cut = segments.cut(keys.segments, 0, data.num_rows, CHUNKS)
        padded = [np.pad(values[:7], (0, language.SEGMENTS_PER_CALL - 7)) for values in cut]
        state = language._train_segments(
            *(learner.network, CHUNKS, CONFIG.optimizer, learner.sample_arch, keys.step),
            *(language.create(learner, keys), data.tokens, *padded),
        )
        assert int(state.at) == int(state.step) == 7
        chex.assert_trees_all_equal(run(learner, keys, state)[-1][0], whole[-1][0])

    @pytest.mark.slow  # compiles three programs; `memory_test.py` has the rule
    def test_a_batch_that_the_device_lacks_memory_for(self):
        keys = language.keys(jax.random.key(0))

        def start(size):
            learner = make_learner(dataclasses.replace(CONFIG, batch_size=size, num_epochs=1))
            return learner, language.create(learner, keys), keys, segments.prepare(make_text(2000), size, CHUNKS)

        def train(size):
            return [epoch.num_words for _, epoch in language.train(*start(size), texts()[1])]

        lengths = np.zeros(language.SEGMENTS_PER_CALL, np.int32)
        program = language._train_segments.lower(*language._arguments(*start(64)), lengths, lengths).compile()
        plan = program.memory_analysis()
        held = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
        needed = held + plan.temp_size_in_bytes
        with mock.patch.object(memory, "available", return_value=needed):
            assert train(64) == [(2000 // 64 - 1) * 64]
        with mock.patch.object(memory, "available", return_value=needed - 1):
            with pytest.raises(memory.OutOfMemoryError, match="a step with batch_size = 64 needs") as caught:
                train(64)
            fitting = int(str(caught.value).split("set batch_size to ")[1].split()[0])
            assert 50 < fitting < 64
            assert train(fitting) == [(2000 // fitting - 1) * fitting]

    def test_rollback_to_the_best_state(self):
        learner, keys = make_learner(), language.keys(jax.random.key(1))
        data, valid = texts()
        num_steps, broken, epochs = [], 0, []
        for state, epoch in language.train(learner, language.create(learner, keys), keys, data, valid):
            epochs.append(epoch)
            num_steps.append(int(state.step))
            if epoch.epoch == 2 and broken < 2:  # the generator continues with the state that it yielded
                broken += 1
                state.params["bias"] = jnp.full(V, jnp.nan)
        # Epoch 2 is reached two or three times: the best state may be an earlier one.
        assert [epoch.num_rollbacks for epoch in epochs][:2] == [0, 0]
        assert epochs[-1].num_rollbacks == broken >= 1
        assert (epochs[-1].epoch, num_steps) == (CONFIG.num_epochs, sorted(num_steps))
        assert all(np.isfinite(epoch.valid_loss) for epoch in epochs)

    def test_rollback_limits(self):
        keys = language.keys(jax.random.key(1))
        learner = make_learner()
        state = language.create(learner, keys)
        state = state.replace(params={**state.params, "bias": jnp.full(V, jnp.nan)})
        best = jax.tree.map(jnp.copy, state)
        with self.assertRaisesRegex(language.DivergedError, "diverged in its first epoch"):
            run(learner, keys, state)
        with self.assertRaisesRegex(language.DivergedError, "more than max_rollbacks = 0 times"):
            language.roll_back(dataclasses.replace(CONFIG, max_rollbacks=0), best, best)
