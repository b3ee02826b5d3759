"""Commands for shared weights end to end: files, resuming after an interruption, error messages."""

import contextlib
import dataclasses
import io
import json
import pathlib
import tempfile
from unittest import mock

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import parameterized

import lanas_jax
import nao_jax
from common import spaces
from common.baselines import random_search
from common.evaluators import synthetic
from common.evaluators import training as training_evaluator
from common.genotypes import conversion, json_text
from common.networks import supernet as networks
from common.runs import population, search, supernet_search
from common.runs import search_images as library
from common.runs import shared_weights as library_weights
from common.spaces import factory
from common.supernets import config, presets, training
from common.training import checkpoints
from lanas_jax import few_shot
from launch import baselines, lanas, nao, report, search_images, shared_weights, train_supernet
from tests.shared import tiny_supernet

ROOT = pathlib.Path(__file__).resolve().parents[2]

SIZES = ("num_images=64", "held_out=40", "batch_size=32")
TINY = ("--supernet_width=2", "--supernet_num_epochs=4", *[f"--supernet_{size}" for size in SIZES])
SHARED = "--evaluator=supernet"


class Command(parameterized.TestCase):
    """Runs commands."""

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def run_main(self, main, *flags):
        """Returns (exit code, standard output, standard error)."""
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main(["--compilation_cache_dir=", *flags])
        return code, output.getvalue(), errors.getvalue()

    def succeed(self, main, *flags):
        """Returns the output of a command."""
        code, output, errors = self.run_main(main, *flags)
        assert code == 0, errors
        return output

    def fail(self, message, main, *flags):
        code, _, errors = self.run_main(main, *flags)
        assert code == 1, errors
        assert message in errors, errors

    def json(self, *parts):
        return json.loads(self.folder.joinpath(*parts).read_text())


class SearchTest(Command):
    """With a network that compiles in moments; see `NetworkTest`."""

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(networks, "Network", tiny_supernet.network))

    def test_training_then_a_search_on_it_then_regions(self):
        flags = ("--space=lanas_oneshot", "--width=2", "--num_epochs=2", *[f"--{size}" for size in SIZES])
        flags = (*flags, "--sampling=growing", f"--workdir={self.folder / 'shared'}")
        assert "of 16 random architectures" in self.succeed(train_supernet.main, *flags)
        assert self.json("shared", "result.json")["steps"] == 4
        self.fail("are of another run: network.width was 2 and is now 3", train_supernet.main, *flags, "--width=3")
        flags = (SHARED, f"--supernet={self.folder / 'shared'}")
        search = (*flags, f"--workdir={self.folder / 'search'}")
        assert "best architecture" in self.succeed(baselines.main, *search, "--budget=6")
        journal = (self.folder / "search" / "journal.jsonl").read_text()
        self.succeed(baselines.main, *search, "--budget=12")
        assert (self.folder / "search" / "journal.jsonl").read_text().startswith(journal)
        assert self.json("search", "result.json")["queries"] == 12
        assert (self.folder / "search" / "best.json").exists()
        self.fail("are of lanas_oneshot; got --space=nao_small", baselines.main, *search, "--space=nao_small")
        self.enterContext(mock.patch.multiple(few_shot, _POOL_SIZE=20, _SAMPLED_AT_ONCE=64))
        regions = (*flags, f"--workdir={self.folder / 'regions'}", "--budget=4", "--num_initial=4", "--height=2")
        regions = (*regions, "--few_shot_epochs=1", "--few_shot_measured=20")
        self.succeed(lanas.main, *regions)
        assert self.json("regions", "config.json")["benchmark"].endswith(",2_regions")
        about = checkpoints.read_about(self.folder / "regions" / "region_2" / "checkpoints")
        assert about["draws"]["sampling"] == "uniform"  # these weights are trained already
        np.testing.assert_allclose(about["training"]["optimizer"]["schedule"]["learning_rate"], 0.005)
        self.fail("holds 20 architectures, and few_shot_measured = 9", lanas.main, *regions, "--few_shot_measured=9")
        self.fail("weights of regions are in this process", lanas.main, *regions, "--executor=process")

    def test_a_pool_that_is_renewed_in_python(self):
        settings = library_weights.Settings(
            space="nao_small",
            training=config.Training(width=2, num_epochs=4, num_images=64, held_out=40, batch_size=32),
            rerank=2,
        )
        schedule = population.schedule("nao_v2", num_initial=6, num_new=2, num_blocks=2)
        options = search.Options(workdir=str(self.folder))

        def run():
            return supernet_search.search_pool(
                settings,
                options,
                schedule,
                random_search.searcher,
                schedule_name="nao_v2",
                command="python",
                algorithm="random",
                config=random_search.Config(),
            )

        fitness = synthetic.evaluator(spaces.get("nao_small"))._replace(name="trained")
        with mock.patch.object(training_evaluator, "evaluator", return_value=fitness):
            found = run()
            assert found.result["queries"] == 6 + 8
            assert [one["block"] for one in found.result["blocks"]] == [0, 1]
            trained = [one.trained for one in found.finalists]
            assert len(trained) == 2
            best = self.json("finalists.json")["finalists"][int(np.argmax(trained))]["arch"]
            wanted = json_text.to_text(conversion.from_arch("nao_small", np.array(best)))
            assert (self.folder / "best.json").read_text() == wanted
            pools = (self.folder / "pools.jsonl").read_text()
            (self.folder / "result.json").unlink()
            assert run().result["best"] == found.result["best"]
        assert (self.folder / "pools.jsonl").read_text() == pools
        assert self.json("config.json")["schedule"]["num_initial"] == 6

    def test_images_to_a_table_and_a_second_start_trains_nothing(self):
        folder, reported = self.folder / "run", []
        self.enterContext(mock.patch.object(report, "main", reported.append))
        flags = ["--supernet_num_epochs=2", *TINY[2:], "--proxy_num_epochs=1", "--algorithms=random,local_search"]
        flags += ["--budget=20", "--num_best=3", "--num_random=4", "--num_trainings=2", f"--workdir={folder}"]
        results = []
        for _ in range(2):
            self.succeed(search_images.main, *flags)
            results.append((self.json("run", "result.json"), (folder / "trained.json").read_text()))
        assert results[0] == results[1]
        assert reported == 2 * [[f"--workdir={folder}", "--norefit"]]
        result, trained = results[0][0], json.loads(results[0][1])["trainings"]
        names = ("random", "local_search", library.CHOSEN)
        assert [one["found_by"] for one in result["networks"]] == [*names, *[library.RANDOM] * 4]
        assert len(result["choice"]) == 9
        for name, found in zip(names, result["networks"]):
            rows = [one for one in result["choice"] if one["found_by"] == name]
            assert found["arch"] == max(rows, key=lambda one: one["validation"])["arch"]
        for one in result["networks"]:
            own = [row for row in trained if row["arch"] == one["arch"] and row["part"] == "test"]
            tests = [row["accuracy"] for row in sorted(own, key=lambda row: row["training"])]
            assert one["test"] == tests
            assert len(tests) == (1 if one["found_by"] == library.RANDOM else 2)
        summary = (folder / "summary.md").read_text()
        assert [summary.count(f"\n| {name} | ") for name in names] == [1, 1, 1]
        assert '"random, chosen alike" is the same of 3 random architectures' in summary
        before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        fewer = ("--budget=19", "--num_best=2", "--num_random=3", "--num_trainings=1")
        message = (
            "budget was 20 and is now 19; num_best was 3 and is now 2; num_random was 4 and is now 3; num_trainings"
        )
        self.fail(message, search_images.main, *flags, *fewer)
        self.fail("has results of local_search too; name them", search_images.main, *flags, "--algorithms=random")
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
class NetworkTest(Command):
    def test_lanas_on_shared_weights_then_the_best_trained_from_scratch(self):
        flags = (SHARED, *TINY, "--space=lanas_oneshot", f"--workdir={self.folder}", "--height=2", "--num_initial=4")
        flags = (*flags, "--budget=6", "--rerank=1", "--proxy_width=2", "--proxy_num_epochs=1")
        assert "trained for a short time" in self.succeed(lanas.main, *flags)
        trained = self.json("finalists.json")
        assert "num_images=64" in trained["trained_as"]  # as the shared weights were
        assert self.json("best.json")

    def test_a_pool_sampled_in_proportion_to_parameters(self):
        flags = (SHARED, "--schedule=nao_v2", *TINY, f"--workdir={self.folder}", "--num_initial=6", "--num_new=2")
        flags = (*flags, "--num_blocks=2", "--supernet_sampling=num_params", "--fit_first=2", "--fit_later=1")
        self.succeed(nao.main, *flags)
        assert self.json("result.json")["queries"] == 6 + 8


class RegionsTest(parameterized.TestCase):
    @pytest.mark.slow
    def test_regions_are_those_of_a_tree_that_is_fitted_to_what_was_measured(self):
        space = spaces.get("lanas_oneshot")
        archs = np.asarray(space.sample(jax.random.key(0), 200))
        num_convolutions = np.sum(archs[:, 1::2] >= 2, axis=1)
        record = {"archs": archs.tolist(), "fitness": [None, *(num_convolutions[1:] / 20).tolist()]}
        settings = dataclasses.replace(lanas_jax.Config(), height=2)
        fitted = few_shot._fit(space, settings, record)
        good, bad = (few_shot._pool(space, fitted, leaf, jax.random.key(1)) for leaf in (1, 2))
        assert good.shape == bad.shape == (1000, 40)
        factory.check_rows(np.concatenate([good, bad]), space)
        counts = [np.sum(pool[:, 1::2] >= 2, axis=1) for pool in (good, bad)]
        assert counts[0].min() > counts[1].mean()
        assert counts[1].max() < counts[0].mean()
        with self.assertRaisesRegex(ValueError, "do not fill all regions"):
            few_shot._fit(space, settings, {"archs": record["archs"][:1], "fitness": [0.5]})


class FlagsTest(Command):
    def test_published_searches_are_commands(self):
        paths = sorted((ROOT / "launch" / "flagfiles").glob("supernet_*.cfg"))
        assert len(paths) == 4
        for path in paths:
            command = lanas if "lanas" in path.name else nao
            assert f"python -m {command.__name__} --flagfile=launch/flagfiles/{path.name} " in path.read_text()
            with self.subTest(path.name):
                values = flags.FlagValues()
                command.define(values)
                values(["", f"--flagfile={path}"])
                assert shared_weights.is_asked_for(values)
                name = shared_weights.read(values, space="nao_small").training.preset
                assert path.name == f"supernet_{name}.cfg"
                preset = presets.PRESETS[name]
                if command is nao:
                    schedule = shared_weights.schedule(values)
                    assert preset.draws.pool_size == schedule.num_initial
                    training.check_blocks(preset.training, schedule.num_blocks)
                    assert preset.training.progress_restarts == schedule.restarts
                    found = nao_jax.PRESETS[values.preset]
                    assert (found.num_initial, found.num_new) == (schedule.num_initial, schedule.num_newest)
                    assert found.num_random == schedule.num_random

    @parameterized.parameters(
        (train_supernet, ("--space=nao_rnn",), "unknown space 'nao_rnn'; choose one of nao_small"),
        (train_supernet, ("--preset=best",), "unknown preset 'best'; choose one of digits, cluttered_digits"),
        (train_supernet, ("--sampling=num_params",), "sampling 'num_params' needs a pool: set pool_size"),
        (train_supernet, ("--dataset=cifar11",), "unknown dataset 'cifar11'"),
        (train_supernet, ("--seed=-1",), "--seed must be from 0 to 4294967295; got -1"),
        (train_supernet, ("--evaluate_every=-1",), "--evaluate_every must be at least 0"),
        (lanas, (SHARED, "--benchmark=nasbench201"), "--benchmark is not for --evaluator=supernet; leave it out"),
        (lanas, ("--score_method=all",), "--score_method is not for --evaluator=benchmark; leave it out"),
        (lanas, ("--rerank=2",), "--rerank is not for --evaluator=benchmark; leave it out"),
        (lanas, (SHARED, "--supernet=nowhere"), "nowhere/checkpoints has no checkpoints"),
        (lanas, (SHARED, "--supernet=nowhere", "--supernet_width=3"), "--supernet names trained ones; leave it out"),
        (lanas, (SHARED, "--score_method=best"), "unknown --score_method 'best'; choose one of subset"),
        (lanas, (SHARED, "--space=nasbench201"), "'nasbench201' has no network with shared weights"),
        (lanas, (SHARED, "--supernet_preset=best"), "unknown --supernet_preset 'best'"),
        (lanas, (SHARED, "--few_shot_height=3"), "few_shot_height and few_shot_measured need few_shot_epochs above 0"),
        (lanas, (SHARED, "--few_shot_epochs=1", "--few_shot_height=5"), "--few_shot_height must be at least 2 and at"),
        (lanas, ("--few_shot_epochs=1",), "--few_shot_epochs is not for --evaluator=benchmark; leave it out"),
        (search_images, ("--algorithms=lanas,guess",), "unknown algorithm 'guess'"),
        (search_images, ("--algorithms=lanas,lanas",), "names one twice"),
        (search_images, ("--num_best=0",), "--num_best must be at least 1"),
        (search_images, ("--rerank=3",), "--rerank does not apply to this command"),
        (search_images, ("--proxy_width=3",), "--proxy_width does not apply to this command; leave it out"),
        (search_images, ("--proxy_num_epochs=0",), "--proxy_num_epochs must be at least 1; got 0"),
        (baselines, (SHARED, "--rerank=-1"), "--rerank must be at least 0"),
        (nao, (SHARED, "--num_blocks=2"), "--num_blocks needs --schedule"),
        (nao, (SHARED, "--schedule=nao_v3"), "unknown schedule 'nao_v3'; choose one of nao_ws"),
        (nao, (SHARED, "--schedule=nao_ws", "--supernet=x"), "trains its own weights; leave --supernet out"),
        (nao, (SHARED, "--schedule=nao_ws", "--budget=7"), "leave --budget out"),
        (nao, (SHARED, "--schedule=nao_ws", "--num_new=1000"), "would replace all of a pool of 1000"),
        (
            nao,
            (SHARED, "--schedule=nao_v2", "--supernet_num_epochs=7"),
            "num_epochs = 7 cannot be divided into 4 equal",
        ),
        (nao, ("--schedule=nao_ws",), "--schedule is not for --evaluator=benchmark; leave it out"),
    )
    def test_refused(self, command, flags, message):
        self.fail(message, command.main, *flags, f"--workdir={self.folder / 'run'}")
