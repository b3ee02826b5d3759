"""Commands for shared weights end to end: files, resuming after an interruption, error messages."""

import dataclasses
import json
import pathlib
from unittest import mock

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import parameterized

import lanas_jax
import nao_jax
from benchmarks import shared_searches
from common import spaces
from common.baselines import random_search
from common.evaluators import synthetic
from common.evaluators import training as training_evaluator
from common.genotypes import conversion, json_text
from common.networks import supernet as networks
from common.report import report
from common.runs import population, search, supernet_search
from common.runs import shared_searches as library
from common.runs import shared_weights as library_weights
from common.spaces import factory
from common.supernets import config, presets
from common.training import checkpoints
from lanas_jax import few_shot
from launch import algorithms, baselines, lanas, nao, single, train_supernet
from tests.shared import folders, tiny_supernet

ROOT = pathlib.Path(__file__).resolve().parents[2]

SIZES = ("num_images=64", "held_out=40", "batch_size=32")
TINY = ("--supernet_width=2", "--supernet_num_epochs=4", *[f"--supernet_{size}" for size in SIZES])
SHARED = "--evaluator=supernet"


class Command(folders.FolderTest):
    """Runs commands."""

    def succeed(self, main, *flags):
        """Returns the output of a command."""
        return self.run_main(main, *flags)[0]

    def fail(self, message, main, *flags):
        _, errors = self.run_main(main, *flags, code=1)
        assert message in errors, errors

    def json(self, *parts):
        return json.loads(self.folder.joinpath(*parts).read_text())


class SearchTest(Command):
    """With a network that compiles in moments."""

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(networks, "Network", tiny_supernet.network))

    def test_training_then_a_search_on_it_then_regions(self):
        flags = ("--space=lanas_oneshot", "--width=2", "--num_epochs=2", *[f"--{size}" for size in SIZES])
        flags = (*flags, "--sampling=growing", f"--workdir={self.folder / 'shared'}")
        assert "of 16 random architectures" in self.succeed(train_supernet.main, *flags)
        assert self.json("shared", "result.json")["steps"] == 4
        flags = (SHARED, f"--supernet={self.folder / 'shared'}")
        search = (*flags, f"--workdir={self.folder / 'search'}", "--algorithm=random", "--count=3")
        self.fail("unknown objective 'watts'; choose one of", baselines.main, *search, "--objectives=fitness,-watts")
        search = (*search, "--objectives=fitness,-params")
        assert "best architecture" in self.succeed(baselines.main, *search, "--budget=12")
        journal = (self.folder / "search" / "journal.jsonl").read_text()
        (self.folder / "search" / "result.json").unlink()
        self.succeed(baselines.main, *search, "--budget=12")
        assert (self.folder / "search" / "journal.jsonl").read_text() == journal
        assert self.json("search", "result.json")["queries"] == 12
        assert (self.folder / "search" / "best.json").exists()
        self.fail("are of lanas_oneshot; got --space=nao_small", baselines.main, *search, "--space=nao_small")
        untrained = (SHARED, "--space=lanas_oneshot", *TINY, "--budget=6", "--algorithm=random")
        for name, message in (
            ("shared", "is the folder of a run of launch.train_supernet; choose another --workdir"),
            ("search", "has a search, but no shared weights of its own; resume it with its settings, or choose"),
        ):
            self.fail(message, baselines.main, *untrained, f"--workdir={self.folder / name}")
            assert not (self.folder / name / "supernet").exists()
        params = [one["costs"]["params"] for one in self.json("search", "result.json")["front"]]
        assert params == sorted(params, reverse=True)
        self.enterContext(mock.patch.multiple(few_shot, _POOL_SIZE=20, _SAMPLED_AT_ONCE=64))
        regions = (*flags, f"--workdir={self.folder / 'regions'}", "--budget=4", "--num_initial=4", "--height=2")
        regions = (*regions, "--few_shot_epochs=1", "--few_shot_measured=20", "--regressor=ridge", "--sampler=reject")
        regions = (*regions, "--num_candidates=8", "--max_batches=2", "--features=one_hot", "--acquisition=uniform")
        self.succeed(lanas.main, *regions)
        assert self.json("regions", "config.json")["benchmark"].endswith(",2_regions")
        about = checkpoints.read_about(self.folder / "regions" / "region_2" / "checkpoints")
        assert about["draws"]["sampling"] == "uniform"  # these weights are trained already
        np.testing.assert_allclose(about["training"]["optimizer"]["schedule"]["learning_rate"], 0.005)
        self.fail("holds 20 architectures, and few_shot_measured = 9", lanas.main, *regions, "--few_shot_measured=9")
        self.fail("weights of regions are in this process", lanas.main, *regions, "--executor=process")

    @pytest.mark.slow  # the command contract renews pools by commands
    def test_a_pool_that_is_renewed_in_python(self):
        settings = library_weights.Settings(
            space="nao_small",
            training=config.Training(width=2, num_epochs=4, num_images=64, held_out=40, batch_size=32),
            rerank=2,
        )
        schedule = population.schedule("nao_v2", num_initial=6, num_new=2, num_blocks=2)
        options = search.Options(workdir=str(self.folder))

        def run(**changes):
            return supernet_search.search_pool(
                dataclasses.replace(settings, **changes),
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
            trained = [one.result.fitness for one in found.finalists]
            assert len(trained) == 2
            best = self.json("finalists.json")["finalists"][int(np.argmax(trained))]["arch"]
            wanted = json_text.to_text(conversion.from_arch("nao_small", np.array(best)))
            assert (self.folder / "best.json").read_text() == wanted
            pools = (self.folder / "pools.jsonl").read_text()
            (self.folder / "result.json").unlink()
            assert run().result["best"] == found.result["best"]
        assert (self.folder / "pools.jsonl").read_text() == pools
        before = self.json("config.json")
        assert before["schedule"]["num_initial"] == 6
        for changes, message in (
            ({"protocol": "test"}, "protocol was 'validation' and is now 'test'; start in a fresh folder"),
            ({"scoring": config.Scoring(method="all")}, "method was 'subset' and is now 'all'; start in a fresh"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                run(**changes)
        assert self.json("config.json") == before

    @pytest.mark.slow  # a benchmark, not a command; what it is made of has quick tests
    def test_images_to_a_table_and_a_second_start_trains_nothing(self):
        folder = self.folder / "run"
        write = self.enterContext(mock.patch.object(report, "write"))
        flags = ["--supernet_num_epochs=2", *TINY[2:], "--proxy_num_epochs=1", "--algorithms=random,local_search"]
        flags += ["--budget=20", "--num_best=3", "--num_random=4", "--num_trainings=2", f"--workdir={folder}"]
        results = []
        for _ in range(2):
            self.succeed(shared_searches.main, *flags)
            results.append((self.json("run", "result.json"), (folder / "trained.json").read_text()))
        assert results[0] == results[1]
        assert write.call_args_list == 2 * [mock.call([folder])]
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
        self.fail(message, shared_searches.main, *flags, *fewer)
        self.fail("has results of local_search too; name them", shared_searches.main, *flags, "--algorithms=random")
        assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
        (folder / "config.json").write_text('{"command": "search_images", "minutes": 5}')
        self.fail("is the folder of another command", shared_searches.main, *flags)


class RegionsTest(parameterized.TestCase):
    @pytest.mark.slow
    def test_regions_are_those_of_a_tree_that_is_fitted_to_what_was_measured(self):
        space = spaces.get("lanas_oneshot")
        archs = np.asarray(space.sample(jax.random.key(0), 200))
        num_convolutions = np.sum(archs[:, 1::2] >= 2, axis=1)
        record = {"archs": archs.tolist(), "fitness": [None, *(num_convolutions[1:] / 20).tolist()]}
        settings = dataclasses.replace(lanas_jax.PRESETS["lanas_linear"], height=2)
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
    def test_weights_of_regions_need_a_sampling_from_pools(self):
        flags = ("--evaluator=supernet", "--space=convnet", "--supernet_preset=elastic", "--few_shot_epochs=1")
        message = "weights of regions are trained on pools, which sampling 'sandwich' does not allow"
        self.fail(message, lanas.main, *flags, f"--workdir={self.folder / 'regions'}")

    def test_published_searches_are_commands(self):
        paths = sorted((ROOT / "launch" / "flagfiles").glob("supernet_*.cfg"))
        assert len(paths) == 5
        for path in paths:
            command = nao if "nao" in path.name else lanas
            values = flags.FlagValues()
            command.define(values)
            values(["", f"--flagfile={path}"])
            single.check_evaluator(values)
            name = single.read_weights(values, space="nao_small").training.preset
            assert path.name == f"supernet_{name}.cfg"
            preset = presets.PRESETS[name]
            if command is nao:
                schedule = algorithms.read_schedule(values)
                assert preset.draws.pool_size == schedule.num_initial
                assert preset.training.num_epochs % schedule.num_blocks == 0
                assert preset.training.progress_restarts == schedule.restarts
                found = nao_jax.PRESETS[values.preset]
                assert (found.num_initial, found.num_new) == (schedule.num_initial, schedule.num_newest)
                assert found.num_random == schedule.num_random
