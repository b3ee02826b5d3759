"""Shared weights: resuming, scores by hand, published settings, error messages. A tiny network."""

import functools
import pathlib
import tempfile
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
from absl.testing import parameterized

from common import spaces
from common.datasets import images
from common.executors import measuring
from common.supernets import config as supernet_config
from common.supernets import presets as supernet_presets
from common.supernets import scoring as scores
from common.supernets import training as supernet
from common.supernets import training_folder
from common.training import augmentation, schedules
from common.training import config as configs
from tests.shared import tiny_supernet

SPACE = "lanas_oneshot"


CONFIG = configs.Config(
    num_epochs=3, batch_size=16, optimizer=configs.Optimizer(schedule=configs.Schedule(learning_rate=0.05))
)
ABOUT = {"kind": supernet.KIND, "space": SPACE, "dataset": "digits", "held_out": 50, "num_images": 48, "seed": 3}


@functools.cache
def made(**changes):
    return supernet.make(
        ABOUT | changes,
        tiny_supernet.network(SPACE, supernet_presets.NETWORKS[SPACE]),
        images.load("digits"),
        supernet_presets.Preset(None, CONFIG, augmentation.PRESETS["none"], supernet_config.Sampling()),
    )


@functools.cache
def params():
    return made().init().params


@functools.cache
def drawn():
    return np.asarray(jax.jit(spaces.get(SPACE).sample, static_argnums=1)(jax.random.key(1), 4))


def archs(count):
    return drawn()[:count]


@functools.partial(jax.jit, static_argnames="statistics")
def apply(variables, pixels, arch, statistics="batch"):
    return tiny_supernet.Tiny().apply(variables, pixels, arch, train=False, statistics=statistics)


def by_hand(arch, rows, part="validation", **more):
    """Returns which images of a part are classified rightly, in one batch."""
    run = made()
    split = run.parts[part]
    variables = {"params": params(), **more.pop("collections", {})}
    found = apply(variables, run.inputs.normalize(jnp.asarray(split.images[rows])), arch, **more)
    return np.argmax(found.main, axis=1) == split.labels[rows]


class TrainingTest(chex.TestCase):
    def test_interrupted_training_goes_on_to_the_bit(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        run, pace = made(), supernet_config.Pace(steps_per_chunk=2)
        draw = run.draw(archs(4))
        with training_folder.opened(run, folder / "at_once", pace) as training:
            wanted = training.train(draw, run.num_steps)
        assert run.num_steps == 9
        for stop in (4, 9):  # the first stop is within an epoch
            with training_folder.opened(run, folder / "in_two", pace) as training:
                assert int(training.state.step) == (0 if stop == 4 else 4)
                state = training.train(draw, stop)
        chex.assert_trees_all_equal(state, wanted)
        lines = (folder / "in_two" / "metrics.jsonl").read_text().splitlines()
        assert [line.split(",")[0] for line in lines] == ['{"step": ' + str(step) for step in (2, 3, 4, 5, 6, 8, 9)]
        with self.assertRaisesRegex(ValueError, "are of another run: num_images was 48 and is now 64"):
            training_folder.opened(made(num_images=64), folder / "in_two").__enter__()
        with self.subTest("a worker makes the evaluator from the folder"):
            self.enterContext(mock.patch.object(supernet, "build", return_value=run))
            found = measuring.make(scores.evaluator(folder / "in_two", num_images=20).recipe)
            here = scores.of(run, state.params, supernet_config.Scoring(num_images=20))
            assert found.name == here.name == "supernet/digits/subset,num_images=20,batch_size=500,batch"
            fitness = [one.evaluate(jax.random.key(0), archs(3)).fitness for one in (found, here)]
            np.testing.assert_array_equal(*fitness)


class ScoresTest(parameterized.TestCase):
    def order(self, num):
        return np.asarray(jax.random.permutation(jax.random.key(0), num))

    def evaluate(self, archs, key=0, **settings):
        return scores.of(made(), params(), supernet_config.Scoring(**settings)).evaluate(jax.random.key(key), archs)

    def test_subset_in_batches_by_hand(self):
        # 20 images in batches of 8: three of 7, the last filled up by the first image, which counts once.
        found = self.evaluate(archs(3), num_images=20, batch_size=8)
        rows = self.order(50)[:20]
        for arch, fitness in zip(archs(3), found.fitness, strict=True):
            parts = [rows[:7], rows[7:14], np.append(rows[14:], rows[0])]
            right = np.concatenate([by_hand(arch, part) for part in parts])[:20]
            np.testing.assert_allclose(fitness, right.mean(), rtol=1e-6)
        assert found.ok.all()
        assert (found.cost > 0).all()

    def test_all_by_hand(self):
        found = self.evaluate(archs(1), method="all")
        np.testing.assert_allclose(found.fitness, by_hand(archs(1)[0], self.order(50)).mean(), rtol=1e-6)
        tested = scores.of(made(), params()).test(jax.random.key(0), archs(1))
        rows = self.order(707)
        parts = [rows[:354], np.append(rows[354:], rows[0])]
        right = np.concatenate([by_hand(archs(1)[0], part, "test") for part in parts])[:707]
        np.testing.assert_allclose(tested.fitness, right.mean(), rtol=1e-6)

    def test_consecutive_by_hand(self):
        found = self.evaluate(archs(4), method="consecutive", num_images=16)
        rows = self.order(50)[:48].reshape(3, 16)
        wanted = [by_hand(arch, rows[at % 3]).mean() for at, arch in enumerate(archs(4))]
        np.testing.assert_allclose(found.fitness, wanted, rtol=1e-6)

    def test_random_follows_from_key_and_architecture(self):
        together = self.evaluate(archs(4), method="random", num_images=16).fitness
        alone = [self.evaluate(archs(4)[at : at + 1], method="random", num_images=16).fitness[0] for at in range(4)]
        np.testing.assert_array_equal(together, alone)
        assert np.any(self.evaluate(archs(4), key=1, method="random", num_images=16).fitness != together)

    def test_recalibrated_by_hand(self):
        found = self.evaluate(archs(2), method="all", statistics="recalibrated", batch_size=12, num_calibration=3)
        run, order = made(), np.asarray(jax.random.permutation(jax.random.key(1), 48))
        for arch, fitness in zip(archs(2), found.fitness, strict=True):
            means = []
            for rows in order[:36].reshape(3, 12):
                batch = run.inputs.normalize(jnp.asarray(run.parts["train"].images[rows]))
                _, changed = tiny_supernet.Tiny().apply(
                    {"params": params()}, batch, arch, train=False, statistics="collect", mutable=["batch_stats"]
                )
                means.append(changed["batch_stats"]["mean"])
            collections = {"batch_stats": {"mean": np.mean(means, axis=0)}}
            right = by_hand(arch, np.arange(50), collections=collections, statistics="given")
            np.testing.assert_allclose(fitness, right.mean(), rtol=1e-6)

    def test_the_name_says_how_many_batches_calibrate(self):
        for number, wanted in ((3, "recalibrated,num_calibration=3"), (4, "recalibrated")):  # 4: the default
            settings = supernet_config.Scoring(statistics="recalibrated", batch_size=12, num_calibration=number)
            name = scores.of(made(), params(), settings).name
            assert name == f"supernet/digits/subset,num_images=50,batch_size=12,{wanted}"

    def test_what_is_no_architecture_or_no_number(self):
        rows = archs(3).copy()
        rows[1] = 0
        found = self.evaluate(rows, num_images=20)
        assert (found.ok.tolist(), found.reasons) == ([True, False, True], ("", "not a valid architecture", ""))
        broken = jax.tree.map(lambda values: values * np.nan, params())
        found = scores.of(made(), broken, supernet_config.Scoring(num_images=20)).evaluate(jax.random.key(0), rows)
        assert not found.ok.any()
        assert not found.fitness.any()

    @parameterized.parameters(
        ({"num_images": 51}, "num_images = 51 is more than the 50 images to score"),
        ({"statistics": "recalibrated", "batch_size": 20}, "num_calibration = 4 batches of 20 images are more than"),
        ({"method": "all", "num_images": 3}, "leave num_images out"),
    )
    def test_refused(self, settings, message):
        with self.assertRaisesRegex(ValueError, message):
            scores.of(made(), params(), supernet_config.Scoring(**settings))


class FilesTest(parameterized.TestCase):
    def test_unfinished_and_foreign_weights_are_refused(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        with self.assertRaisesRegex(
            ValueError, f"no shared weights in {folder}; give the --workdir of a finished launch"
        ):
            scores.evaluator(folder)
        with self.assertRaisesRegex(ValueError, f"no shared weights in {folder}/a, which does not exist; give"):
            scores.evaluator(folder / "a")
        with training_folder.opened(made(), folder):
            pass
        with (
            mock.patch.object(supernet, "build", return_value=made()),
            self.assertRaisesRegex(ValueError, "trained for 0 of 9 steps; resume with launch.train_supernet"),
        ):
            scores.evaluator(folder)
        with self.assertRaisesRegex(ValueError, "are of another run: seed was 3 and is now 4"):
            training_folder.opened(made(seed=4), folder).__enter__()
        with self.assertRaisesRegex(ValueError, "are not of shared weights"):
            supernet.build(ABOUT | {"kind": "other"})

    def test_a_record_makes_the_run_it_describes(self):
        preset = supernet_presets.get("digits", SPACE, width=2)
        about = supernet.describe(SPACE, "digits", preset, held_out=50, num_images=64, seed=5)
        run = supernet.build(about)
        assert (run.network.space, run.network.config) == (SPACE, preset.network)
        assert (run.config, run.draws) == (preset.training, preset.draws)
        assert (run.num_steps, len(run.parts["validation"])) == (240, 50)
        with self.assertRaisesRegex(ValueError, "output must be 'projected' for shared weights of nao_small"):
            supernet.build(about | {"space": "nao_small"})

    @parameterized.parameters(
        ({"num_images": 0}, "num_images must be from 1 to 1040"),
        ({"num_images": 8}, "batch_size = 16 is more than the 8 training images"),
        ({"held_out": 1090}, "cannot hold out 1090 of 1090 images"),
    )
    def test_refused(self, changes, message):
        with self.assertRaisesRegex(ValueError, message):
            made(**changes)


class PresetsTest(parameterized.TestCase):
    def rates(self, name, epochs):
        config = supernet_presets.PRESETS[name].training
        rate = schedules.learning_rate(config.optimizer.schedule, num_epochs=config.num_epochs, steps_per_epoch=10)
        return [float(rate(10 * epoch)) for epoch in epochs]

    def test_published_learning_rates(self):
        np.testing.assert_allclose(self.rates("nao_ws", (0, 10, 30, 70)), np.full(4, 0.05), rtol=1e-6)  # restarts
        np.testing.assert_allclose(self.rates("nao_ws", (5, 20, 50, 110)), np.full(4, 0.02525), rtol=1e-6)
        np.testing.assert_allclose(self.rates("nao_v1", (0, 75)), [0.025, 0.013], rtol=1e-6)
        np.testing.assert_allclose(self.rates("nao_v2", (0, 25, 50, 75, 150, 175)), [0.025, 0.013] * 3, rtol=1e-6)
        np.testing.assert_allclose(self.rates("lanas_oneshot", (0, 150)), [0.025, 0.013], rtol=1e-6)

    def test_nao_v2_is_a_training_in_four_blocks_that_begin_anew(self):
        def adapted(**changes):
            changes, blocks = supernet_config.Training(**changes), {"num_blocks": 4, "restarts": True}
            return supernet_presets.adapted(changes, "nao_small", num_classes=10, **blocks).training

        v2 = supernet_presets.PRESETS["nao_v2"].training
        assert adapted(preset="nao_v1", num_epochs=200) == v2
        ramp = schedules.progress(v2, steps_per_epoch=2)
        np.testing.assert_allclose([ramp(step) for step in (0, 50, 100, 150)], [0, 0.5, 0, 0.5])
        with self.assertRaisesRegex(ValueError, "num_epochs = 201 cannot be divided into 4 equal blocks"):
            adapted(preset="nao_v1", num_epochs=201)
        step = configs.Config(
            num_epochs=4, optimizer=configs.Optimizer(schedule=configs.Schedule(schedule="step", learning_rate=0.1))
        )
        step = supernet_presets.PRESETS["digits"]._replace(training=step)
        with (
            mock.patch.dict(supernet_presets.PRESETS, digits=step),
            self.assertRaisesRegex(ValueError, "need a cosine schedule; got schedule = 'step'"),
        ):
            adapted(preset="digits")

    def test_half_precision(self):
        changes = supernet_config.Training(dtype="bfloat16")
        assert supernet_presets.adapted(changes, SPACE, num_classes=10).network.dtype == "bfloat16"
        with self.assertRaisesRegex(ValueError, "dtype is not a setting of the networks of small_images"):
            supernet_presets.adapted(changes, "small_images", num_classes=10)

    def test_a_space_without_a_network(self):
        with self.assertRaisesRegex(ValueError, "space 'nao_rnn' has no network with shared weights; choose one of"):
            supernet_presets.get("digits", "nao_rnn")

    def test_a_preset_of_another_kind_of_network(self):
        digits, nao = ["digits", "cluttered_digits"], ["nao_ws", "nao_v1", "nao_v2"]
        allowed = {space: [*digits, *nao] for space in ("nao_small", "nao_middle", "nao_large")}
        allowed["lanas_oneshot"] = [*digits, "lanas_oneshot"]
        allowed |= {space: [*digits, "elastic"] for space in ("convnet", "small_images")}
        allowed |= {space: [*digits, "elastic", *nao, "lanas_oneshot"] for space in ("nasbench201", "nasbench_macro")}
        allowed["ofa_mobile"] = [*digits, "elastic", "ofa_mobile_cifar"]
        assert {space: supernet_presets.of_space_named(space) for space in supernet_presets.NETWORKS} == allowed
        for space, names in allowed.items():
            for name in set(supernet_presets.PRESETS) - set(names):
                message = f"preset '{name}' is not for networks of {space}; choose one of {', '.join(names)}$"
                with self.assertRaisesRegex(ValueError, message):
                    supernet_presets.get(name, space)
