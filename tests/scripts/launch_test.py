"""Commands end to end on a small table: files, resuming, printed tables, error messages."""

import contextlib
import dataclasses
import errno
import functools
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
from unittest import mock

import jax
import numpy as np
import pytest
import rich.console
from absl.testing import parameterized

import nao_jax
from common import compilation, spaces
from common.records import progress, run_dir
from common.spaces import factory
from common.tables import table
from launch import algorithms, baselines, lanas, nao, study
from tests.shared import folders

ROOT = pathlib.Path(__file__).parents[2]
SIZE = 3**8
SMALL_NAO = (
    *("--num_initial=8", "--num_new=8", "--count=4", "--embedding_size=4", "--hidden_size=4", "--num_members=1"),
    *("--fit_first=2", "--fit_later=1", "--batch_size=8", "--num_unlabelled=6", "--num_mutated=3"),
    *("--num_seeds=2", "--num_steps=2", "--num_climbs=1"),
)


@functools.cache
def made_table() -> table.Table:
    """A table of all of the space, whose fitness is in steps of 1/8192 without ties and has an order to learn."""
    archs = spaces.get("nasbench_macro").enumerate()
    noise = np.random.default_rng(0).uniform(0, 3, SIZE)
    rank = np.argsort(np.argsort(archs.sum(axis=1) + noise))
    fitness = (rank / 8192).astype(np.float32)
    names = {"validation": "valid", "test": "test", "cost": "time"}
    return table.from_rows(
        table.Info("nasbench_macro", "nasbench_macro", {"cifar10": names}, source="made up", licence="none"),
        archs,
        {"valid": fitness, "test": 1 - fitness, "time": np.full(SIZE, 2.0)},
    )


class CommandTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        table.save(self.folder / "nasbench_macro.table", made_table())
        self.workdir = self.folder / "run"

    def run_command(self, main, *arguments, code=0):
        """Runs a command on the made-up table and returns (standard output, standard error)."""
        common = ("--benchmark=nasbench_macro", f"--data_dir={self.folder}")
        return self.run_main(main, *common, f"--workdir={self.workdir}", *arguments, code=code)

    def read(self, name):
        return json.loads((self.workdir / name).read_text())

    def contents(self):
        return {path: path.read_bytes() for path in self.workdir.rglob("*") if path.is_file()}


class SearchCommandTest(CommandTest):
    def assert_run_is_whole(self, budget, seed=0):
        """The files of the run agree with each other and with the table."""
        history, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        assert history.archs.shape == (budget, 8)
        assert len(np.unique(history.archs, axis=0)) == budget
        at = history.archs @ 3 ** np.arange(8)[::-1]
        np.testing.assert_array_equal(history.fitness, made_table().metrics["valid"][at, 0])
        np.testing.assert_array_equal(history.cost, np.full(budget, 2, np.float32))
        best = int(np.argmax(history.fitness))
        result = self.read(run_dir.RESULT)
        seconds, told = result.pop("seconds"), result.pop("diagnostics", {})
        assert result == {
            "protocol": "validation",
            "benchmark": "nasbench_macro",
            "dataset": "cifar10",
            "seed": seed,
            "queries": budget,
            "infeasible": 0,
            "best": {
                "arch": history.archs[best].tolist(),
                "description": spaces.get("nasbench_macro").describe(history.archs[best]),
                "fitness": float(history.fitness[best]),
                "test": 1 - float(history.fitness[best]),
            },
        }
        lines = [json.loads(line) for line in (self.workdir / run_dir.METRICS).read_text().splitlines()]
        assert lines[-1]["queries"] == budget
        assert lines[-1]["best_fitness"] == result["best"]["fitness"]
        assert lines[-1]["seconds"] == pytest.approx(seconds, abs=1e-3)
        curve = np.maximum.accumulate(history.fitness)
        assert [line["best_fitness"] for line in lines] == [float(curve[line["queries"] - 1]) for line in lines]
        assert told == {name: lines[-1][name] for name in told}
        return history

    @pytest.mark.slow
    def test_nao(self):
        output, errors = self.run_command(nao.main, "--budget=16", "--seed=3", "--decoder_dropout=0.5", *SMALL_NAO)
        history = self.assert_run_is_whole(16, seed=3)
        assert "nao on nasbench_macro/cifar10" in output
        assert errors.splitlines()[-1].startswith("nao: 16/16 queries, best ")
        config = self.read(run_dir.CONFIG)
        assert (config["command"], config["algorithm"]) == ("nao", "nao")
        settings, default = config["config"], nao_jax.Config()
        assert (settings["fit_first"], settings["learning_rate"]) == (2, default.learning_rate)
        # Flags of the networks' settings, which lie deeper:
        expected = dataclasses.replace(default.model, embedding_size=4, hidden_size=4, decoder_dropout=0.5)
        assert settings["model"] == dataclasses.asdict(expected)
        lines = [json.loads(line) for line in (self.workdir / run_dir.METRICS).read_text().splitlines()]
        # Two random rounds without diagnostics, a fit, and one more round.
        names = {"held_out_pairwise_accuracy", "held_out_kendall_tau", "hamming_distance", "exact_reconstruction"}
        names |= {"num_held_out", "invalid", "known", "repeated", "new", "filled", "num_filled"}
        assert [{name for name in names if line[name] is not None} for line in lines[:2]] == [set(), set()]
        for line in lines[2:]:
            assert {name for name in names if line[name] is not None} == names
            assert line["num_held_out"] >= 4
            assert 0 <= line["exact_reconstruction"] <= 1
        assert [line["predicted_gain"] for line in lines[:2]] == [[], []]
        gains = lines[3]["realised_gain"]
        assert len(gains) == len(lines[3]["predicted_gain"]) == 8 - lines[3]["num_filled"]
        assert set(gains) <= {float(value) for value in history.fitness[8:] - history.fitness[:8].max()}
        result = self.read(run_dir.RESULT)
        assert result["diagnostics"].items() <= lines[-1].items()
        names |= {"pairwise_accuracy", "kendall_tau", "predicted_gain", "realised_gain"}
        assert names == result["diagnostics"].keys()

    def test_baselines(self):
        settings = ["--algorithm=regularized_evolution", "--population_size=5", "--count=2"]
        output, errors = self.run_command(baselines.main, "--budget=12", "--seed=3", *settings)
        self.assert_run_is_whole(12, seed=3)
        assert output.startswith(f"workdir: {self.workdir}\n")
        assert output.endswith(f"workdir: {self.workdir}\n")
        assert "regularized_evolution on nasbench_macro/cifar10" in output
        assert errors.splitlines()[-1].startswith("regularized_evolution: 12/12 queries, best ")
        assert "\x1b" not in output + errors
        config = self.read(run_dir.CONFIG)
        assert (config["command"], config["flags"]["count"]) == ("baselines", 2)
        assert (config["config"]["count"], config["config"]["population_size"]) == (2, 5)
        assert config["versions"]["jax"] == jax.__version__
        assert config["device"]["platform"] == "cpu"

    def test_a_smaller_budget_leaves_the_results_alone(self):
        self.run_command(baselines.main, "--budget=8")
        before = self.contents()
        for mode in ("synchronous", "asynchronous"):
            _, errors = self.run_command(baselines.main, "--budget=7", f"--mode={mode}", code=1)
            assert errors.startswith("error: budget is 7, and the search has 8 evaluations already; resume it with a ")
            assert len(errors.splitlines()) == 1
            assert self.contents() == before
        journal = self.workdir / run_dir.JOURNAL
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:9]))  # four evaluations
        self.run_command(baselines.main, "--budget=6")
        self.assert_run_is_whole(6)

    def test_a_folder_of_another_command_is_left_alone(self):
        self.run_command(study.main, "--algorithms=random", "--budget=4", "--num_seeds=1")
        before = self.contents()
        _, errors = self.run_command(baselines.main, "--budget=4", code=1)
        assert f"{self.workdir} is the folder of a run of launch.study; choose another --workdir" in errors
        assert self.contents() == before
        shutil.rmtree(self.workdir)
        self.run_command(baselines.main, "--budget=4")
        before = self.contents()
        _, errors = self.run_command(study.main, "--algorithms=random", "--budget=4", code=1)
        assert f"{self.workdir} is the folder of a run of launch.baselines; choose another --workdir" in errors
        assert self.contents() == before
        (self.workdir / run_dir.JOURNAL).unlink()
        _, errors = self.run_command(baselines.main, "--budget=4", code=1)
        assert "has the results of a run of another kind" in errors

    def test_modes_and_earlier_measurements(self):
        first = self.folder / "first.csv"
        self.run_command(baselines.main, "--budget=9", f"--export={first}")
        self.assert_run_is_whole(9)
        self.workdir = self.folder / "second"
        warm = ("--budget=6", "--seed=1", "--mode=asynchronous", "--num_workers=3", f"--warm_start={first}")
        self.run_command(baselines.main, *warm)
        history, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        assert history.archs.shape == (15, 8)
        earlier, _ = run_dir.read_history(self.folder / "run" / run_dir.HISTORY)
        np.testing.assert_array_equal(history.fitness[:9], earlier.fitness)
        result = self.read(run_dir.RESULT)
        assert (result["queries"], result["earlier"]) == (6, 9)
        lines = [json.loads(line) for line in (self.workdir / run_dir.METRICS).read_text().splitlines()]
        assert lines[-1]["queries"] == 6
        first.unlink()  # the journal has them
        self.run_command(baselines.main, *warm[:-1])
        again, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        np.testing.assert_array_equal(again.archs, history.archs)

    def test_a_full_disk_is_one_line(self):
        full = OSError(errno.ENOSPC, "No space left on device", "journal.jsonl")
        with mock.patch("common.records.json_lines.append", side_effect=full):
            _, errors = self.run_command(baselines.main, "--budget=3", code=1)
        advice = "make room and resume with the same --workdir"
        assert errors.splitlines()[-1] == f"error: journal.jsonl: No space left on device; {advice}"
        self.run_command(baselines.main, "--budget=3")
        self.assert_run_is_whole(3)

    def test_test_protocol_sees_test_fitness(self):
        self.run_command(baselines.main, "--budget=5", "--protocol=test")
        history, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        at = history.archs @ 3 ** np.arange(8)[::-1]
        np.testing.assert_array_equal(history.fitness, made_table().metrics["test"][at, 0])
        assert self.read(run_dir.RESULT)["protocol"] == "test"

    def test_without_workdir_a_fresh_folder_is_made(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)
        output, _ = self.run_command(baselines.main, "--budget=2", "--workdir=")
        made = pathlib.Path(output.splitlines()[0].removeprefix("workdir: "))
        assert made.parent == pathlib.Path("runs")
        assert (made / run_dir.RESULT).exists()

    def test_traceback_on_request(self):
        _, errors = self.run_command(lanas.main, "--height=0", "--traceback", code=1)
        assert errors.startswith("Traceback")
        assert errors.splitlines()[-1] == "error: --height must be at least 1 and at most 16; got 0"


class StudyCommandTest(CommandTest):
    def run_study(self, *arguments, code=0):
        flags = ("--algorithms=random,regularized_evolution", "--budget=60", "--seeds_at_once=2")
        return self.run_command(study.main, *flags, *arguments, code=code)

    def test_study(self):
        output, errors = self.run_study("--num_seeds=3", "--seed=5")
        report = self.read(run_dir.STUDY)
        expected = {"benchmark": "nasbench_macro", "dataset": "cifar10", "protocol": "validation"}
        expected |= {"budget": 60, "num_seeds": 3, "seed": 5}
        assert {name: report[name] for name in expected} == expected
        assert report["peak_memory_mib"] > 1
        assert list(report["algorithms"]) == ["random", "regularized_evolution"]
        for name, said in report["algorithms"].items():
            history, _ = run_dir.read_history(self.workdir / f"history_{name}.npz")
            assert history.archs.shape == (3, 60, 8)
            best = np.maximum.accumulate(history.fitness, axis=1)
            assert said["best_fitness"] == pytest.approx({"50": best[:, 49].mean(), "60": best[:, 59].mean()})
            assert said["test_of_best"] == pytest.approx({"50": 1 - best[:, 49].mean(), "60": 1 - best[:, 59].mean()})
            queries = said["queries_to_optimum"]
            found = np.any(history.fitness == (SIZE - 1) / 8192, axis=1)
            assert queries["found"] == pytest.approx(found.mean())
            assert queries["mean"] == pytest.approx(np.where(found, np.argmax(history.fitness, axis=1) + 1, 60).mean())
            assert said["seconds_per_search"] > 0
            assert said["compile_seconds"] > 0
            assert name in output
            (target,) = said["targets"]
            assert (target["target"], target["found"]) == pytest.approx(((SIZE - 1) / 8192, found.mean()))
            middle = said["intervals"]["best_fitness"]["60"]
            assert middle["mean"][0] == pytest.approx(said["best_fitness"]["60"])
            assert middle["mean"][1] <= middle["mean"][0] <= middle["mean"][2]
            with np.load(self.workdir / run_dir.CURVES.format(name)) as curves:
                np.testing.assert_array_equal(curves["best_fitness"], best)
                np.testing.assert_allclose(curves["test_of_best"], 1 - best)
                np.testing.assert_array_equal(curves["seconds"][0], np.arange(1, 61) * 2)
        compared = [(one["of"], one["first"], one["second"]) for one in report["comparisons"]]
        assert compared == [(of, "random", "regularized_evolution") for of in ("best_fitness", "queries")]
        assert errors.splitlines()[-1].startswith("study: 6/6 searches, regularized_evolution (2 of 2), ")

    @pytest.mark.slow
    def test_a_seed_of_a_study_is_a_search_with_that_seed(self):
        self.run_study("--num_seeds=2", "--seed=1")
        histories, _ = run_dir.read_history(self.workdir / "history_regularized_evolution.npz")
        self.workdir = self.folder / "single"
        self.run_command(baselines.main, "--algorithm=regularized_evolution", "--budget=60", "--seed=2")
        history, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        np.testing.assert_array_equal(history.archs, histories.archs[1])

    def test_started_again_it_goes_on(self):
        one = "--algorithms=random"  # cheap to compile, as every start does
        self.run_study(one, "--num_seeds=2")
        first = {path.name: path.read_bytes() for path in self.workdir.glob("history_*")}
        before, _ = run_dir.read_history(self.workdir / "history_random.npz")
        report = self.read(run_dir.STUDY)
        self.run_study(one, "--num_seeds=2")  # nothing left to do
        assert {path.name: path.read_bytes() for path in self.workdir.glob("history_*")} == first
        assert self.read(run_dir.STUDY)["algorithms"] == report["algorithms"]
        self.run_study(one, "--num_seeds=5")
        going_on, _ = run_dir.read_history(self.workdir / "history_random.npz")
        np.testing.assert_array_equal(going_on.archs[:2], before.archs)
        shutil.rmtree(self.workdir)
        self.run_study(one, "--num_seeds=5")
        at_once, _ = run_dir.read_history(self.workdir / "history_random.npz")
        np.testing.assert_array_equal(going_on.archs, at_once.archs)

    def test_fewer_seeds_or_algorithms_leave_the_results_alone(self):
        self.run_study("--algorithms=random", "--num_seeds=2")
        before = self.contents()
        for changed, message in (
            (
                ("--algorithms=random", "--num_seeds=1"),
                "has 2 searches of an algorithm, more than --num_seeds=1; resume",
            ),
            (("--algorithms=local_search", "--num_seeds=2"), "resume it with --algorithms=random,local_search, or"),
        ):
            _, errors = self.run_study(*changed, code=1)
            assert message in errors
            assert len(errors.splitlines()) == 1
            assert self.contents() == before

    def test_algorithms_are_listed_by_the_names_of_their_searchers(self):
        # Six decisions: some read two tokens a step, some three.
        space = factory.search_space("six", (2,) * 6, size=2**6, describe=str)
        for name, algorithm in algorithms.ALGORITHMS.items():
            assert algorithms.factory(algorithm)(space).name == name


class ProgressTest(parameterized.TestCase):
    def test_plain_lines_are_few(self):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), progress.Progress("lanas", total=1000, unit="queries") as live:
            for done in range(1, 1001):
                live.update(done, "best 93.00 %")
        assert errors.getvalue() == "lanas: 1000/1000 queries, best 93.00 %\n"

    def test_a_sign_of_life_until_the_first_update(self):
        shown = threading.Event()

        class Lines(io.StringIO):
            def flush(self):
                shown.set()

        errors = Lines()
        with (
            mock.patch.object(progress, "_SECONDS_BETWEEN_SIGNS", 0.01),
            contextlib.redirect_stderr(errors),
            progress.Progress("training", total=30, unit="steps") as live,
        ):
            shown.wait()
            live.update(1, "loss 2.0")
        assert errors.getvalue().startswith(
            "training: no steps yet after 0 s; compiling takes minutes for large networks\n"
        )
        assert not live._waiting.is_alive()

    def test_time_left(self):
        live = progress.Progress("lanas", total=30, unit="queries")
        live._first = (100.0, 10)
        assert live._left(100.0, 10) == ""
        assert live._left(105.0, 20) == "0:00:05 left"
        assert live._left(110.0, 30) == ""

    def test_time_left_as_told(self):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), progress.Progress("study", total=30, unit="searches") as live:
            live._next_line = 0.0
            live.update(10, "lanas", left="0:01:01 left")
        assert errors.getvalue() == "study: 10/30 searches, lanas, 0:01:01 left\n"

    def test_a_narrow_terminal_shows_the_time_left(self):
        screen = io.StringIO()
        console = rich.console.Console(file=screen, force_terminal=True, width=60)
        live = progress.Progress("study", total=30, unit="searches")
        live._live = progress._live(console)
        with live:
            live.update(10, f"lanas {'on a task of a long name ' * 3}", left="0:01:01 left")
        assert "study: 10/30 searches, 0:01:01 left, lanas" in screen.getvalue()


class CompilationTest(CommandTest):
    def setUp(self):
        super().setUp()
        for name in (
            "compilation_cache_dir",
            *(f"persistent_cache_min_{name}" for name in ("compile_time_secs", "entry_size_bytes")),
        ):
            self.addCleanup(jax.config.update, f"jax_{name}", getattr(jax.config, f"jax_{name}"))

    def test_default_directory(self):
        given = {"JAX_COMPILATION_CACHE_DIR": "given", "XDG_CACHE_HOME": "caches", "HOME": "home"}
        for name, folder in zip(given, ("given", "caches/nao-lanas-jax", "home/.cache/nao-lanas-jax")):
            with pytest.MonkeyPatch.context() as patch:
                for other in given:
                    patch.delenv(other, raising=False)
                patch.setenv(name, str(self.folder / given[name]))
                compilation.enable_cache(None)
            assert jax.config.jax_compilation_cache_dir == str(self.folder / folder)

    def test_directory_is_made_and_used(self):
        compilation.enable_cache(str(self.folder / "a" / "b"))
        assert (self.folder / "a" / "b").is_dir()
        assert jax.config.jax_compilation_cache_dir == str(self.folder / "a" / "b")
        compilation.enable_cache("")
        assert jax.config.jax_compilation_cache_dir is None

    def test_variables_do_not_change_random_numbers(self):
        wanted = jax.random.bits(jax.random.key(3), (4,))
        errors = io.StringIO()
        for name, value in (
            ("random_seed_offset", 5),
            ("default_prng_impl", "rbg"),
            ("transfer_guard_host_to_device", "disallow"),
        ):
            self.addCleanup(jax.config.update, f"jax_{name}", getattr(jax.config, f"jax_{name}"))
            jax.config.update(f"jax_{name}", value)
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
            patch.setenv("JAX_RANDOM_SEED_OFFSET", "5")
            compilation.reset_variables()
            assert "JAX_RANDOM_SEED_OFFSET" not in os.environ, "for worker processes"
        np.testing.assert_array_equal(jax.random.bits(jax.random.key(3), (4,)), wanted)
        assert "warning: JAX_RANDOM_SEED_OFFSET=5 is left out: with it a seed" in errors.getvalue()
        assert len(errors.getvalue().splitlines()) == 3

    def test_default_that_cannot_be_written_is_done_without(self):
        with pytest.MonkeyPatch.context() as patch, self.assertLogs("absl", "WARNING") as logs:
            patch.setenv("JAX_COMPILATION_CACHE_DIR", "/dev/null/cache")
            compilation.enable_cache(None)
        assert "/dev/null/cache cannot be written" in logs.output[0]
        assert jax.config.jax_compilation_cache_dir is None


class ProcessTest(CommandTest):
    def test_module_runs_and_keeps_compiled_programs(self):
        cache = self.folder / "cache"
        command = (sys.executable, "-m", "launch.baselines", "--budget=5")
        command += (f"--workdir={self.workdir}", f"--compilation_cache_dir={cache}")
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert self.read(run_dir.RESULT)["queries"] == 5
        assert any(cache.iterdir())
        assert "\x1b" not in done.stdout + done.stderr
        assert done.stderr.splitlines()[-1].startswith("random: 5/5 queries")
