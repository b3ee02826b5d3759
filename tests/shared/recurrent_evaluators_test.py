"""Fitness of recurrent cells: perplexity as a fraction, on shared weights, and by training from scratch."""

import dataclasses
import functools
import math
import pathlib
import tempfile
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces, types
from common.datasets import text
from common.executors import measuring
from common.genotypes import conversion
from common.language import config as configs
from common.language import evaluators, recurrent, segments
from common.language import training as language
from common.networks import counting

SPACE, KEYS = spaces.get("nao_rnn"), "threefry2x32"
WORDS = [f"w{at}" for at in range(7)]
CONFIG = configs.Config(
    width=4,
    num_epochs=2,
    batch_size=4,
    valid_batch_size=2,
    test_batch_size=2,
    chunks=configs.Chunks(bptt=6, bptt_min=2, bptt_max=6, short_share=0.0, bptt_deviation=0.0),
    dropout=configs.Dropout(0.1, 0.0, 0.1, 0.0, 0.0),
    optimizer=configs.Optimizer(learning_rate=1.0, clip_norm=1.0, patience=0),
)


def write_corpus(folder):
    """Writes words of different frequencies."""
    for split, num in (("train", 240), ("valid", 100), ("test", 100)):
        step = 2 if split == "test" else 1
        lines = [" ".join(WORDS[(step * at * at + line % 3) % 7] for at in range(10)) for line in range(num // 10)]
        pathlib.Path(folder, f"{split}.txt").write_text("\n".join(lines))


@functools.cache
def corpus():
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(folder)
        return text.load("text", folder)


@functools.cache
def shared():
    """Returns (learner, parameters that separate architectures and contain word frequencies)."""
    learner = evaluators.supernet_learner(corpus(), CONFIG)
    state = language.create(learner, language.keys(jax.random.key(0)))
    counts = np.bincount(corpus().train, minlength=len(corpus().vocabulary))
    return learner, {**jax.tree.map(lambda p: 5 * p, state.params), "bias": jnp.log(counts + 1.0)}


class PerplexityTest(chex.TestCase):
    @parameterized.parameters(
        (0.0, 100, 1.0), (math.log(10), 100, 0.5), (math.log(100), 100, 0.0), (math.log(101), 100, 0.0), (-1e-9, 9, 1.0)
    )
    def test_by_hand(self, loss, size, expected):
        assert text.fitness(loss, size) == pytest.approx(expected)

    def test_perplexity_is_its_inverse(self):
        assert text.fitness(math.log(56.0), 10_000) == pytest.approx(0.563, abs=5e-4)
        assert text.perplexity(text.fitness(math.log(56.0), 10_000), 10_000) == pytest.approx(56.0)
        assert math.isnan(text.fitness(math.nan, 10))

    def test_costs_are_those_of_the_stand_alone_network(self):
        archs = np.asarray(SPACE.sample(jax.random.key(0), 2))
        network = recurrent.language_model(conversion.from_arch("nao_rnn", archs[0]), vocabulary_size=7, width=4)
        words, hidden = jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, 4))
        variables = jax.eval_shape(network.init, jax.random.key(0), words, hidden)
        found = evaluators.costs(7, 4)
        num_params = sum(leaf.size for leaf in jax.tree.leaves(variables))
        macs = counting.multiply_adds(jax.make_jaxpr(network.apply)(variables, words, hidden).jaxpr)
        self.assertEqual(found["params"](archs).tolist(), [num_params] * 2)
        self.assertEqual(found["macs"](archs).tolist(), [macs] * 2)


class SupernetTest(chex.TestCase):
    def test_fitness_on_the_validation_text_and_test_fitness_on_the_test_text(self):
        learner, params = shared()
        evaluator = evaluators.on_shared_weights(corpus(), learner, params)
        archs = SPACE.sample(jax.random.key(1), 3)
        for found, evaluate in ((corpus().valid, evaluator.evaluate), (corpus().test, evaluator.test)):
            got = evaluate(jax.random.key(0), archs)
            rows = text.batchify(found, 2)
            hidden = jnp.zeros((2, CONFIG.width))
            reading = learner.network.apply({"params": params}, rows[:-1], hidden, arch=archs[1])
            picked = np.take_along_axis(np.asarray(jax.nn.log_softmax(reading.logits)), rows[1:, :, None], axis=2)
            expected = text.fitness(-picked.mean(), len(corpus().vocabulary))
            assert (got.fitness[1], len(set(got.fitness.tolist()))) == (pytest.approx(expected, abs=1e-5), 3)
            assert got.ok.all()
            assert not got.cost.any()

    def test_one_segment(self):
        """The released program samples a start below len / bptt: the first nine of 54 rows."""
        learner, params = shared()
        arch = np.asarray(SPACE.sample(jax.random.key(1), 1))
        rows = text.batchify(corpus().valid, 2)
        assert len(rows) == 55
        losses = []
        for start in range(len(rows) - 6):
            piece = rows[start : start + 7]
            data = segments.Text(jnp.pad(jnp.asarray(piece), ((0, 6), (0, 0))), 7)
            losses.append(language.evaluate(learner, params, data, arch=arch[0]))
        fitness = np.array([text.fitness(loss, len(corpus().vocabulary)) for loss in losses])
        for score, num_starts in (("piece", 49), ("piece_released", 9)):
            evaluator = evaluators.on_shared_weights(corpus(), learner, params, score=score)
            got = [float(evaluator.evaluate(key, arch).fitness[0]) for key in jax.random.split(jax.random.key(3), 60)]
            starts = [int(np.argmin(np.abs(fitness - value))) for value in got]
            np.testing.assert_allclose(fitness[starts], got, atol=1e-5)
            allowed = fitness[:num_starts]
            assert all(np.min(np.abs(allowed - value)) < 1e-5 for value in got)
            assert len(set(np.round(got, 5))) > min(num_starts, 20) / 2

    def test_raises(self):
        learner, params = shared()
        with self.assertRaisesRegex(ValueError, "unknown score 'half'; choose one of all, piece, piece_released"):
            evaluators.on_shared_weights(corpus(), learner, params, score="half")
        many = learner._replace(config=dataclasses.replace(CONFIG, valid_batch_size=20))
        with self.assertRaisesRegex(ValueError, "has 5 rows, too few for a segment of 6; lower valid_batch_size"):
            evaluators.on_shared_weights(corpus(), many, params, score="piece")

    def test_a_pool_is_sampled(self):
        pool = np.asarray(SPACE.sample(jax.random.key(2), 3))
        draw = evaluators.supernet_learner(corpus(), CONFIG, pool).sample_arch
        drawn = np.array([draw(key) for key in jax.random.split(jax.random.key(0), 30)])
        np.testing.assert_array_equal(np.unique(drawn, axis=0), np.unique(pool, axis=0))


class TrainingTest(chex.TestCase):
    @pytest.mark.slow
    def test_one_program_trains_all_and_a_worker_gets_the_same_fitness(self):
        with tempfile.TemporaryDirectory() as folder:
            write_corpus(folder)
            evaluator = evaluators.from_scratch("text", data_dir=folder, config=CONFIG)
            archs = np.asarray(SPACE.sample(jax.random.key(1), 2))
            before = language._train_segments._cache_size()
            got = evaluator.evaluate(jax.random.key(0), archs)
            assert language._train_segments._cache_size() == before + 1
            made = measuring.make(evaluator.recipe)
        again = made.evaluate(jax.random.key(0), archs)
        np.testing.assert_array_equal(got.fitness, again.fitness)
        assert got.ok.all()
        assert 0 < got.fitness[0] != got.fitness[1] > 0
        assert np.all(got.cost > 0)
        assert np.isfinite(evaluator.test(jax.random.key(0), archs[:1]).fitness).all()

    def test_the_reason_is_reported(self):
        def fail(*arguments):
            raise language.DivergedError("the loss is nan")

        with tempfile.TemporaryDirectory() as folder:
            write_corpus(folder)
            evaluator = evaluators.from_scratch("text", data_dir=folder, config=CONFIG)
        candidate = types.Candidate(0, tuple(np.asarray(SPACE.sample(jax.random.key(1), 1))[0].tolist()), (0, 0), KEYS)
        with mock.patch.object(language, "create", fail):
            outcome = measuring.measurer(evaluator)(candidate)
        assert not outcome.ok
        assert outcome.reason.startswith("DivergedError: the loss is nan")
