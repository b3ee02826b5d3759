"""A network for own images: plan, stages that resume, bad input before any compile, the exported program."""

import collections
import contextlib
import dataclasses
import itertools
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import types
import zlib
from concurrent import futures
from unittest import mock

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

import lanas_jax
from benchmarks import own_images as own_images_benchmark
from common import baselines
from common import config as configs
from common.datasets import records
from common.drawing import lettering
from common.networks import costs as network_costs
from common.networks import logits, small_images_extraction
from common.networks import small_images as networks
from common.records import journal as journals
from common.records import json_lines, run_dir
from common.report import own_images as own_page
from common.runs import (
    halving,
    image_events,
    image_finals,
    image_plan,
    image_result,
    image_run,
    image_stages,
    image_trainings,
    own_images,
)
from common.spaces import cost_features, small_images
from common.training import autoaugment, loop, models, program, state_files
from common.training import presets as training_presets
from common.training import state as states
from common.training import step as step_lib
from tests.shared import folders

COSTS = network_costs.of_space("small_images", networks.Config(), image_size=8, num_channels=1)


def _images(num=60, side=8, num_classes=3):
    x = np.random.default_rng(0).integers(0, 256, (num, side, side, 1), dtype=np.uint8)
    return x, np.arange(num) % num_classes


class PlanTest(parameterized.TestCase):
    def test_three_stages_fill_the_time_of_the_search(self):
        # 0.45 * 1000 s by 2 threads are 450 epochs of 2 s: of 7/3 per candidate and epoch, 193 / 5 candidates.
        settings = {"minutes": 20.0, "num_threads": 2, "batch_size": 50}
        plan = image_plan.make(1000.0, 2.0, steps_per_epoch=40, num_images=3000, **settings)
        assert (plan.num_candidates, plan.epochs, plan.counts) == (38, (5, 15, 45), (38, 13, 5))
        assert (plan.search_seconds, plan.final_seconds) == (450.0, 550.0)
        assert plan.first_seconds == pytest.approx(450 * 3 / 7)
        assert plan._replace(epochs=(5,)).first_seconds == 450.0
        # Four times as many steps an epoch: fewer epochs of more candidates.
        more = image_plan.make(1000.0, 2.0, steps_per_epoch=160, num_images=10_000, **settings)
        assert (more.num_candidates, more.epochs) == (64, (3, 9, 27))
        many = image_plan.make(1000.0, 2.0, steps_per_epoch=160, num_images=50_000, **settings)
        assert [(one.scale, one.enough_epochs) for one in (plan, more, many)] == [(1.5, 50), (1.25, 15), (6.25, 10)]

    def test_little_time_takes_fewer_stages_of_enough_steps_and_less_is_an_error(self):
        settings = {"minutes": 3.0, "steps_per_epoch": 20, "num_threads": 1}  # at least 5 epochs
        settings |= {"num_images": 1000, "batch_size": 40}
        assert image_plan.make(300.0, 2.0, **settings)[:2] == (8, (5, 15))  # 67.5 epochs, 40.5 to compare after 5
        assert image_plan.make(90.0, 2.0, **settings)[:2] == (4, (5,))  # 20.25 epochs
        # 4 candidates take 40 s, in 45 % of the time: 1.1 * (120 + 88.9) / 60 = 3.8.
        for left, taken, enough in ((60.0, 120, 4), (-60.0, 240, 7)):
            message = f"minutes = 3 .* took {taken} s, and 4 .* need 89 s; give minutes = {enough}, with a fresh"
            with pytest.raises(ValueError, match=message):
                image_plan.make(left, 2.0, **settings)

    def test_at_most_a_third_of_few_candidates_is_random(self):
        evolution = baselines.ALGORITHMS["regularized_evolution"].config
        assert image_plan.for_few(evolution, 20).population_size == 6
        assert image_plan.for_few(evolution, 1000) == evolution
        assert image_plan.for_few(baselines.ALGORITHMS["weaknas"].config, 6).num_initial == 4

    def test_a_tree_has_at_most_as_many_leaves_as_there_are_candidates(self):
        heights = {4: 3, 7: 3, 8: 4, 100: 4}
        assert {num: image_plan.for_few(lanas_jax.Config(), num).height for num in heights} == heights

    def test_networks_of_the_table_are_left_out_where_there_is_no_time(self):
        seconds = {"best": 2.0, "three_convolutions": 1.0, "resnet": 1.5}
        names = tuple(seconds)
        assert image_plan.finals(4.5 * 50.5, seconds, num_threads=1) == (50, names)
        assert image_plan.finals(3.0 * 64.9, seconds, num_threads=1) == (64, names[:2])
        assert image_plan.finals(2.0 * 44, seconds, num_threads=1) == (44, names[:1])
        assert image_plan.finals(0.5, seconds, num_threads=1) == (0, names[:1])
        # By two threads the others take 2.5 s an epoch beside the best: that many epochs are enough, or too few.
        assert image_plan.finals(2.5 * 50, seconds, num_threads=2) == (50, names)
        assert image_plan.finals(2.5 * 49, seconds, num_threads=2) == (61, names[:2])
        # Where they take no time from the best, they stay.
        assert image_plan.finals(2.0 * 3, seconds | {"resnet": 1.0}, num_threads=2) == (3, names)

    def test_candidates_that_would_get_few_epochs_in_the_end_are_too_slow(self):
        plan = image_plan.Plan(9, (3,), 100.0, 300.0, 1.5)
        assert plan.slowest(2.0) == 4.0  # 50 epochs of 6 s
        assert plan.slowest(4.0) == 6.0  # half as slow again as the ResNet

    def test_a_published_network_within_a_standard_error_of_the_best_is_chosen(self):
        plain, resnet, se_resnet = (
            small_images.MEMBERS[name] for name in ("three_convolutions", "resnet", "se_resnet")
        )
        other = (0,) * 18
        expected = {plain: 0.78, resnet: 0.765, se_resnet: 0.75, other: 0.80}
        # The standard error of 0.8 is 0.04 with 100 images and 0.02 with 400.
        assert image_plan.chosen(expected, 100) == resnet
        assert image_plan.chosen(expected, 400) == other
        assert image_plan.chosen(expected | {se_resnet: 0.81}, 100) == se_resnet
        assert image_plan.chosen({plain: 0.78, other: 0.77}, 100) == plain

    def test_slow_candidates_are_expected_to_be_worse_in_the_end(self):
        plan = image_plan.Plan(9, (3,), 100.0, 300.0, 1.5)
        # Programs of their own are 1.5 times as fast: as many epochs as the seconds hold of a candidate's, at most 50.
        assert plan.expected(0.5, 5, 6.0) == pytest.approx(1 - 0.5 * (5 / 50) ** 0.2)
        assert plan.expected(0.5, 5, 1.0) == plan.expected(0.5, 5, 6.0)
        assert plan.expected(0.5, 5, 30.0) == pytest.approx(1 - 0.5 * (5 / 10) ** 0.2)
        assert plan.expected(0.5, 5, 1000.0) == pytest.approx(1 - 0.5 * 5**0.2)
        assert plan.expected(0.1, 5, 1000.0) == 0.0
        assert plan.expected(0.0, 5, 1.0) == 0.0  # diverged

    def test_trainings_that_end_in_time(self):
        # On two threads they end after 3, 5, 3 + 4 and 5 + 1 seconds.
        each = [3.0, 5.0, 4.0, 1.0]
        found = [image_plan.num_in_time(each, seconds, num_threads=2) for seconds in (7.0, 6.9, 5.0, 4.9, 0.0)]
        assert found == [4, 2, 2, 0, 0]
        assert image_plan.num_in_time(each, 12.5, num_threads=1) == 3


class HalvingTest(parameterized.TestCase):
    def test_the_best_third_continues_and_time_that_is_up_ends_it(self):
        first = {(at,): fitness for at, fitness in enumerate((0.1, 0.7, 0.3, 0.5, 0.9, 0.2, 0.6))}
        late = {(1,): 0.95, (4,): 0.92, (6,): 0.99}
        asked = []

        def measure(rows, epochs):
            asked.append((rows, epochs))
            return {row: late[row] for row in rows}

        stages = halving.successive_halving(first, (1, 3, 9), measure)
        assert asked == [([(4,), (1,), (6,)], 3), ([(6,)], 9)]
        assert stages == [(1, first), (3, late), (9, {(6,): 0.99})]
        # Two are compared, as there is no time for three, and none after that.
        stages = halving.successive_halving(
            first, (1, 3, 9), lambda rows, epochs: measure(rows[:2], 3) if epochs == 3 else {}
        )
        assert stages == [(1, first), (3, {(4,): 0.92, (1,): 0.95})]
        assert halving.successive_halving(first, (1, 3), lambda rows, epochs: {}) == [(1, first)]


class ResultTest(parameterized.TestCase):
    def test_a_baseline_that_is_better_is_said(self):
        result = {"workdir": "runs/a", "dataset": "mine.npz", "best": {"test": 0.8, "description": "32 | 64"}}
        result["train_more"] = {"num_epochs": 30, "flip": False}
        found = image_result.next_steps(result | {"baselines": [{"name": "resnet", "test": 0.81}]}).splitlines()
        assert found[0].startswith("resnet classifies more test images correctly")
        assert "runs/a/resnet.safetensors" in found[0]
        assert found[-1].endswith("--dataset=mine.npz --num_epochs=30 --flip=false")
        rest = image_result.next_steps(result | {"baselines": [{"name": "resnet", "test": 0.8}]}).splitlines()
        assert rest == found[1:]

    def test_names_with_spaces_are_quoted_in_commands(self):
        result = {
            "workdir": "my runs",
            "dataset": "my pictures.npz",
            "best": {"test": 0.8, "description": "32 | 64"},
            "baselines": [],
        }
        draw, train = image_result.next_steps(result | {"train_more": {"num_epochs": 30}}).splitlines()[-2:]
        assert draw.endswith("--genotype='my runs/best.json' --output='my runs/best.svg'")
        assert "--genotype='my runs/best.json'" in train
        assert "--dataset='my pictures.npz' --num_epochs=30" in train

    def test_a_command_that_continues_finds_the_dataset(self):
        result = {
            "workdir": "runs/a",
            "dataset": "photos",
            "best": {"test": 0.8, "description": "32 | 64"},
            "baselines": [],
        }
        train = image_result.next_steps(result | {"train_more": {"flip": True}}, "my data").splitlines()[-1]
        assert train.endswith("--dataset=photos --data_dir='my data' --flip=true")


class _Linear(nn.Module):
    @nn.compact
    def __call__(self, images, *, train, progress=0.0):
        state = images.reshape(len(images), -1)
        return logits.Logits(main=nn.Dense(3)(state), auxiliary=None)


class FinalTest(parameterized.TestCase):
    def test_epochs_as_data_train_as_the_preset_does(self):
        dataset = records.make("mine", _images(50), None, source="mine")
        config = training_presets.PRESETS["small_images"].training
        made = image_trainings.final(dataset, _Linear(), seed=0, macs=1e7)
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        stop = 6 * made.task.steps_per_epoch
        start = image_trainings.train(made.task, folder / "state", stop=stop // 3, num_epochs=2)  # the warm-up
        found = image_trainings.train(made.task, folder / "state", stop=stop, num_epochs=6)
        config = configs.replace(config, {"num_epochs": 6, "batch_size": made.task.config.batch_size})
        inputs = models.inputs(image_trainings.augment(dataset), mean=dataset.mean, std=dataset.std)
        steps = step_lib.steps(_Linear(), config, inputs, num_classes=3, num_images=len(dataset.train))
        keys = image_trainings.final(dataset, _Linear(), seed=0, macs=1e7).task.keys
        assert int(start.step) == stop // 3
        ((state, _),) = collections.deque(loop.train(steps, start, keys, made.task.data, config), maxlen=1)
        assert int(found.step) == int(state.step) == stop
        chex.assert_trees_all_close(found.params, state.params, rtol=1e-3, atol=1e-5)

    def test_few_epochs_continue_from_the_candidate(self):
        dataset, random = records.make("mine", _images(), None, source="mine"), np.random.default_rng(0)
        arch, config = np.array(small_images.MEMBERS["three_convolutions"], np.int32), networks.Config(num_classes=3)
        params = {"classifier": {"linear": {"kernel": random.random((128, 3)), "bias": random.random(3)}}}
        for stage, inputs in enumerate((1, 128, 128)):
            norm = {"scale": random.random(128), "bias": random.random(128)}
            params[f"stage_{stage}_convolution"] = {"kernel": random.random((3, 3, inputs, 128)), "norm": norm}
        params = jax.tree.map(np.float32, params)
        state = states.State(step=np.int32(9), params=params, batch_stats={}, opt_state=(), average=None)
        network, expected = small_images_extraction.extract({"params": params}, config, arch)
        made = image_trainings.final(dataset, network, seed=0, macs=1e7)
        run = types.SimpleNamespace(network=types.SimpleNamespace(config=config))
        init = state.replace(params=jax.tree.map(np.zeros_like, params))
        candidates = image_trainings.Candidates(run, types.SimpleNamespace(init=init))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "state")
            with pytest.raises(ValueError, match="the best candidate, is missing"):
                image_trainings.continued(made, candidates, path, arch, epochs=2)
            state_files.save(path, state)
            found = image_trainings.continued(made, candidates, path, arch, epochs=2).task.init
        chex.assert_trees_all_equal(found.params, jax.tree.map(jnp.asarray, expected["params"]))
        assert int(found.step) == 2 * made.task.steps_per_epoch
        chex.assert_trees_all_equal(found.batch_stats, made.task.init.batch_stats)

    def test_long_trainings_on_coloured_images_have_autoaugment(self):
        x, y = _images(50)
        dataset = records.make("mine", (np.repeat(x, 3, axis=-1), y), None, source="mine")
        images, labels = dataset.train.images[:10], dataset.train.labels[:10]
        with mock.patch.object(autoaugment, "augment", lambda key, images, form: 255 - images):
            task = image_trainings.final(dataset, _Linear(), seed=0, macs=1e7).task
            step = jax.jit(lambda images, num: task.steps.train(task.keys.step, task.init, images, labels, num)[0])
            long, short = step(images, jnp.int32(45)), step(255 - images, jnp.int32(44))
        # In the warm-up, whose learning rates do not depend on the number of epochs.
        chex.assert_trees_all_equal(long.params, short.params)
        assert [image_trainings.augment(dataset, work).autoaugment for work in (4.4e8, 4.5e8)] == ["none", "nao"]


PLAN = image_plan.Plan(4, (1,), 100.0, 100.0)


class LastStageTest(parameterized.TestCase):
    def test_the_page_is_written_while_the_last_networks_train(self):
        shown, is_shown = [], threading.Event()
        best = (0,) * 18

        def record(**event):
            events.append(event | {"seconds": 1.0})
            return event

        def write_page(epochs=None):
            shown.append(epochs)
            if epochs:
                is_shown.set()

        def final(run, name, arch, *, num_epochs, known, on_epoch, candidates):
            assert candidates is None
            on_epoch(name, 1.5)
            assert is_shown.wait(60)
            return {"name": name, "epochs": num_epochs}

        with (
            mock.patch.object(image_finals, "_SECONDS_BETWEEN_PAGES", 0.01),
            mock.patch.object(image_finals, "_final", final),
            tempfile.TemporaryDirectory() as folder,
            json_lines.opened(pathlib.Path(folder) / "trainings.jsonl", {}, image_events.Events) as events,
            futures.ThreadPoolExecutor(1) as pool,
        ):
            record(event="finals", epochs=9, names=["best"], best=list(best), continued=False)
            made = types.SimpleNamespace(parts={"validation": types.SimpleNamespace(labels=[0])})
            about = {"events": events, "record": record, "write_page": write_page, "pool": pool, "made": made}
            run = types.SimpleNamespace(**about, deadline=time.monotonic() + 60)
            found, missing = image_finals.train(run, None, PLAN, [(1, {best: 0.5})])
        assert {"best": 1.5} in shown
        assert (found, missing) == ([{"event": "final", "name": "best", "epochs": 9}], list(image_stages.BASELINES))

    @parameterized.named_parameters(
        # A core, 100 s: after 80 s for 50 epochs of the best there is time for one with a tenth of its multiply-adds.
        ("one_core", 1, 1.6, (["best"], ["three_convolutions"]), ["best", "three_convolutions"]),
        ("one_core_and_no_time", 1, 2.5, (["best"],), ["best"]),
        ("two_cores", 2, 2.5, (["best", "three_convolutions", "resnet"],), ["best", "three_convolutions"]),
    )
    def test_only_networks_that_there_is_time_for_take_time_from_the_best(self, num_threads, seconds, measured, names):
        calls = []

        def epoch_seconds(run, archs, made):
            calls.append(list(archs))
            return dict.fromkeys(archs, seconds) | ({"three_convolutions": seconds / 10} if "best" not in archs else {})

        macs = dict(zip(("best", *image_stages.BASELINES), (10.0, 1.0, 10.0)))
        run = types.SimpleNamespace(
            num_threads=num_threads,
            about={"minutes": 2.0},
            deadline=time.monotonic() + 110,
            cost=lambda name, archs: np.array([macs[arch] for arch in archs]),
            record=lambda **event: event,
        )
        with mock.patch.object(image_finals, "_epoch_seconds", epoch_seconds):
            planned = image_finals._planned(run, {name: name for name in macs}, {}, PLAN, 1)
        assert tuple(calls) == measured
        assert planned["names"] == names

    def test_a_candidate_is_described_as_on_the_page(self):
        dataset = records.make("mine", _images(), None, source="mine")
        about = dict.fromkeys([field.name for field in dataclasses.fields(image_run.Run)])
        network = types.SimpleNamespace(config=networks.Config(width=16))
        run = image_run.Run(**about | {"dataset": dataset, "made": types.SimpleNamespace(network=network)})
        row = (2, 2, 2, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 3, 0, 0, 0, 0)
        times = lettering.TIMES
        assert run.words(row) == f"32 + 2 inverted (5{times}5, {times}2, SE) | 32 | 32 + 3 residual"


class InputTest(folders.FolderTest):
    @parameterized.parameters(
        ({"y": np.zeros(60, int)}, "all images are of one class"),
        ({"minutes": 1.0}, "minutes = 1 is too little for images of 8x8x1 on this machine: a search needs about"),
        ({"minutes": "3"}, "minutes must be a number; got '3'"),
        ({"limit": "macs<=10"}, "no network of small_images respects macs<=10; .*: the smallest macs found is [0-9]+;"),
        ({"limit": "params<=1e5, macs"}, "such as params<=3e6; got ' macs'"),
        ({"x": _images()[0] / 255}, r"images are float64; want uint8.*\(255 \* x\)\.round\(\)\.astype\(np\.uint8\)"),
        ({"y": None}, "images as an array need their classes; give y"),
        ({"algorithm": "guess"}, "unknown algorithm 'guess'; choose one of lanas, nao, random, .* package.module:name"),
        ({"x": "digits"}, "'digits' has classes of its own; leave y out, or give its images as an array x"),
        ({"x": _images(20)[0], "y": np.arange(20) % 10}, "20 images, of which 10 are for the test, leave 10 to train"),
        ({"x": _images(side=4)[0]}, "images are 4x4; want squares of 8 to 96 pixels"),
    )
    def test_a_mistake_is_found_before_anything_is_compiled(self, changes, message):
        x, y = _images()
        settings = {"x": x, "y": y, "minutes": 5.0} | changes
        with mock.patch.object(image_trainings, "candidates") as compiled, pytest.raises(ValueError, match=message):
            own_images.search_images(**settings)
        assert not compiled.called

    def test_a_folder_of_searches_on_shared_weights_is_left_as_it_is(self):
        (self.folder / "trained.json").write_text("{}")
        with pytest.raises(ValueError, match=r"of a run of benchmarks\.shared_searches; choose another workdir"):
            own_images.search_images(*_images(), minutes=5.0, workdir=self.folder)
        assert [path.name for path in self.folder.iterdir()] == ["trained.json"]

    def test_large_images_need_more_minutes_than_small_ones(self):
        settings = {"platform": "cpu", "num_threads": 2, "batch_size": 64}
        small, large = (image_plan.least_minutes(3000, macs, **settings) for macs in (1e7, 1e8))
        assert small == 2.8
        assert image_plan.least_minutes(60, 1e5, **settings) == 2.4  # (110 + 30) / 60
        assert large == 10.6
        # However few the images are, four candidates see 100 batches: 6400 * 4 / 0.45 images.
        assert image_plan.least_minutes(800, 5e7, **settings) == 5.2
        # Of many images 10 epochs are enough: 10 * 50,000 * 1e7 * 1.4e-10 / 2 = 350 s.
        assert image_plan.least_minutes(50_000, 1e7, **settings) == 7.7
        with pytest.raises(ValueError, match=r"minutes = 5 .* 96x96x3 .* about 10\.6"):
            image_plan.check_minutes(5, large, (96, 96, 3))


class BenchmarkTest(parameterized.TestCase):
    def test_gains_are_paired_by_seed(self):
        def result(test):
            baseline = {"name": "resnet", "test": 0.5}
            return {"best": {"test": test}, "baselines": [baseline], "seconds": 90.0, "queries": 8}

        tests = {"random": (0.50, 0.60), "lanas": (0.51, 0.63), "nao": (0.53, None)}
        results = {name: [test and result(test) for test in each] for name, each in tests.items()}
        found = [" ".join(line.split()) for line in own_images_benchmark.lines(results)]
        # Gains of 1 and 3 points: t = 2 with one degree of freedom, p = 1 - 2 / pi * atan(2).
        assert found[1:] == [
            "random 2 55.00 +- 5.00",
            "lanas 2 57.00 +- 6.00 2.00 +- 1.00 0.2952",
            "nao 1 53.00",
            "lanas and nao 1",
            "resnet 5 50.00 +- 0.00",
            "random: 8.0 candidates, 1.50 to 1.50 minutes",
            "lanas: 8.0 candidates, 1.50 to 1.50 minutes",
            "nao: 8.0 candidates, 1.50 to 1.50 minutes",
        ]
        assert "gain over lanas, points" in own_images_benchmark.lines(results, "lanas")[0]


class _Killed(Exception):
    pass


class StagesTest(parameterized.TestCase):
    def test_an_interrupted_search_resumes_with_the_same_results(self):
        plan = image_plan.Plan(8, (1, 3, 9), 100.0, 100.0)
        whole, num = _search(self.enter_context(tempfile.TemporaryDirectory()), plan)
        assert [(epochs, len(found)) for epochs, found in whole] == [(1, 8), (3, 3), (9, 1)]
        assert num == 12
        assert list(whole[0][1])[:2] == [small_images.MEMBERS[name] for name in image_stages.BASELINES]
        best = sorted(whole[0][1], key=whole[0][1].get, reverse=True)
        assert set(whole[1][1]) == set(best[:3])
        assert set(whole[2][1]) == {best[0]}
        folder = self.enter_context(tempfile.TemporaryDirectory())
        for stop in (3, 6):  # in the first stage, and in the second
            with pytest.raises(_Killed):
                _search(folder, plan, stop=stop)
        resumed, num = _search(folder, plan)
        assert resumed == whole
        assert num < 12

    def test_known_networks_can_be_left_out(self):
        plan = image_plan.Plan(4, (1,), 100.0, 100.0)
        folder = self.enter_context(tempfile.TemporaryDirectory())
        stages, _ = _search(folder, plan, known_networks=False)
        assert not set(stages[0][1]) & set(small_images.MEMBERS.values())

    def test_baselines_beyond_the_limits_are_no_candidates(self):
        resnet = small_images.MEMBERS["resnet"]
        space = small_images.space()
        limited = space._replace(is_valid=lambda archs: space.is_valid(archs) & np.any(archs != resnet, axis=-1))
        plan = image_plan.Plan(4, (1,), 100.0, 100.0)
        stages, _ = _search(self.enter_context(tempfile.TemporaryDirectory()), plan, space=limited)
        assert next(iter(stages[0][1])) == small_images.MEMBERS["three_convolutions"]
        assert resnet not in stages[0][1]

    def test_costs_are_features_of_the_candidates(self):
        space = small_images.space()
        archs = np.asarray(space.sample(jax.random.key(1), 2000))
        found = np.asarray(cost_features.with_costs(space, COSTS).features(archs))
        np.testing.assert_array_equal(found[:, :-2], space.features(archs))
        logarithms = np.stack([np.log(COSTS[name](archs)) for name in ("params", "macs")], axis=1)
        chex.assert_trees_all_close(np.corrcoef(found[:, -1], logarithms[:, 1])[0, 1], 1.0, rtol=1e-5)
        np.testing.assert_allclose(found[:, -2:].mean(axis=0), 0, atol=0.3)
        np.testing.assert_allclose(found[:, -2:].std(axis=0), 2, atol=0.3)

    def test_candidates_that_are_too_slow_are_not_trained(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        plan = image_plan.Plan(4, (1,), 100.0, 100.0)
        with mock.patch.object(image_stages, "_time", lambda run, made, arch, length: 1.0 * length):
            stages, _ = _search(folder, plan, slowest=-1.0)  # the first one counts whatever it takes
        assert [list(each) for _, each in stages] == [[small_images.MEMBERS["three_convolutions"]]]
        found = own_page.read(folder)
        assert len(found.slow) == 3
        assert found.slow == {row for row, each in found.candidates.items() if not each}

    def test_no_candidate_is_too_slow_because_the_machine_has_become_busy(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        with mock.patch.object(image_stages, "_time", lambda run, made, arch, length: 1e12 * length):
            stages, _ = _search(folder, image_plan.Plan(4, (1,), 100.0, 100.0), slowest=1e-9)
        assert len(stages[0][1]) == 4

    def test_a_candidate_that_an_earlier_start_began_counts_the_seconds_of_all_its_epochs(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        (folder / image_run.STATES).mkdir()
        (folder / image_run.STATES / "".join(map(str, small_images.MEMBERS["three_convolutions"]))).touch()
        with mock.patch.object(image_stages, "_time", lambda run, made, arch, length: 7.0 * length):
            _search(folder, image_plan.Plan(4, (3,), 100.0, 100.0))
        costs = [outcome.cost for _, outcome in sorted(journals.read(folder / run_dir.JOURNAL).measured.items())]
        assert costs[0] == 21.0
        assert max(costs[1:]) < 7.0

    def test_candidates_are_compared_by_what_is_expected_in_the_end(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        plan = image_plan.Plan(6, (2, 6), 100.0, 1e-9)  # no time for more than an epoch of any
        stages, _ = _search(folder, plan)
        found = own_page.read(folder)
        for epochs, each in stages:
            for row, expected in each.items():
                accuracy = found.candidates[row][epochs]
                assert accuracy == zlib.crc32(np.array(row, np.int32).tobytes()) % 1000 / 1000
                assert expected == pytest.approx(max(0, 1 - (1 - accuracy) * epochs**0.2))
        assert found.expected == pytest.approx({row: value for _, each in stages for row, value in each.items()})
        assert image_plan.Plan(6, (1,), 100.0, 1e-9).expected(0.5, 1, 1.0) == 0.5


def _search(folder, plan, stop=None, space=None, slowest=None, **about):
    """Returns the stages of a search whose candidates are not trained, and the number of trainings of this start."""
    numbers = itertools.count()

    def train(task, path, **settings):
        if next(numbers) >= (stop or 100):
            raise _Killed
        settings["on_step"](1)
        path.write_text("")
        return types.SimpleNamespace(step=settings["stop"])

    def validate(made, state, arch):
        return zlib.crc32(arch.tobytes()) % 1000 / 1000

    with contextlib.ExitStack() as resources:
        path = pathlib.Path(folder)
        (path / image_run.STATES).mkdir(exist_ok=True)
        events = resources.enter_context(json_lines.opened(path / "trainings.jsonl", {}, image_events.Events))
        run = image_run.Run(
            dataset=records.make("mine", _images(), None, source="mine"),
            made=types.SimpleNamespace(network=types.SimpleNamespace(config=networks.Config()), costs=COSTS),
            space=space or small_images.space(),
            algorithm=baselines.ALGORITHMS["random"],
            about={"space": "small_images", "images": 0, "limit": [], "algorithm": "random", "seed": 0, "minutes": 5.0}
            | about,
            folder=path,
            events=events,
            resources=resources,
            pool=resources.enter_context(futures.ThreadPoolExecutor(1)),
            num_threads=1,
            begun=time.monotonic(),
            stopped=threading.Event(),
        )
        if events.last("plan") is None:
            found = {} if slowest is None else {"slowest": slowest, "epoch_seconds": {"resnet": 1.0}}
            run.record(event="plan", **plan._asdict(), **found)
        made = types.SimpleNamespace(task=types.SimpleNamespace(steps_per_epoch=1, most=0))
        stubs = {"train": train, "validate": validate}
        with mock.patch.multiple(image_trainings, **stubs):
            return image_stages.search(run, made, plan), next(numbers)


_LOAD = """
import sys, jax, numpy as np
program = jax.export.deserialize(open(sys.argv[1], "rb").read())
np.save(sys.argv[2], program.call(np.load(sys.argv[3])))
assert not any(name.split(".")[0] in ("common", "flax") for name in sys.modules)
"""


class ProgramTest(parameterized.TestCase):
    def test_a_process_with_jax_alone_gets_equal_logits(self):
        folder, (x, _) = self.enter_context(tempfile.TemporaryDirectory()), _images(5)
        weights = np.random.default_rng(1).normal(size=(64, 3)).astype(np.float32)
        logits = jax.jit(lambda images: images.reshape(-1, 64).astype(np.float32) @ weights)
        paths = [f"{folder}/{name}" for name in ("model.stablehlo", "logits.npy", "images.npy")]
        program.save(paths[0], logits, (8, 8, 1))
        np.save(paths[2], x)
        subprocess.run([sys.executable, "-c", "import jax.export\n" + _LOAD, *paths], check=True, cwd=folder)
        np.testing.assert_array_equal(np.load(paths[1]), logits(x))
