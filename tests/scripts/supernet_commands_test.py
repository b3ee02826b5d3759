"""Commands around shared weights: from the command line to the files, interrupted and resumed, and refusals."""

import contextlib
import dataclasses
import io
import json
import pathlib
import tempfile

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import parameterized

import lanas_jax.config
import nao_jax.presets
from common import spaces
from common.spaces import factory
from common.supernets import presets as supernet_presets
from common.supernets import training as supernet
from common.training import checkpoints
from launch import baselines, few_shot, lanas, nao, pool_search, search_images, shared_weights, train_supernet

ROOT = pathlib.Path(__file__).resolve().parents[2]

TINY = (
    "--supernet_width=2",
    "--supernet_num_epochs=4",
    "--supernet_num_images=64",
    "--supernet_held_out=40",
    "--supernet_batch_size=32",
)
SHARED = "--evaluator=supernet"


class CommandsTest(parameterized.TestCase):
    def run_main(self, main, *flags):
        """Returns (exit code, standard output, standard error)."""
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main(["--compilation_cache_dir=", *flags])
        return code, output.getvalue(), errors.getvalue()

    def folder(self):
        return pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    @pytest.mark.slow
    def test_training_then_lanas_on_it_then_the_best_few(self):
        folder = self.folder()
        flags = ("--space=lanas_oneshot", "--width=2", "--num_epochs=2", "--num_images=64", "--held_out=40")
        flags = (*flags, "--batch_size=32", "--sampling=growing", f"--workdir={folder / 'shared'}")
        code, output, errors = self.run_main(train_supernet.main, *flags)
        assert code == 0, errors
        assert "of 16 random architectures" in output
        result = json.loads((folder / "shared" / "result.json").read_text())
        assert result["steps"] == 4
        code, _, errors = self.run_main(train_supernet.main, *flags, "--width=3")
        assert (code, "are of another run: network.width was 2 and is now 3" in errors) == (1, True), errors
        flags = (SHARED, f"--supernet={folder / 'shared'}", f"--workdir={folder / 'search'}", "--height=2")
        flags = (*flags, "--num_initial=4", "--rerank=1", "--proxy_width=2", "--proxy_num_epochs=1")
        code, _, errors = self.run_main(lanas.main, *flags, "--budget=6")
        assert code == 0, errors
        code, _, errors = self.run_main(lanas.main, *flags, "--budget=12")
        assert code == 0, errors
        assert json.loads((folder / "search" / "result.json").read_text())["queries"] == 12
        assert (folder / "search" / "best.json").exists()
        trained = json.loads((folder / "search" / "finalists.json").read_text())
        assert "num_images=64" in trained["trained_as"]  # as the shared weights were
        flags = (*flags[:2], f"--workdir={folder / 'regions'}", *flags[3:5], "--few_shot_epochs=1")
        code, _, errors = self.run_main(lanas.main, *flags, "--few_shot_measured=20", "--budget=4")
        assert code == 0, errors
        about = checkpoints.read_about(folder / "regions" / "region_2" / "checkpoints")
        assert about["draws"]["sampling"] == "uniform"  # these weights have had their start
        code, _, errors = self.run_main(lanas.main, *flags, "--budget=12", "--space=nao_small")
        assert (code, "are of lanas_oneshot; got --space=nao_small" in errors) == (1, True), errors

    @pytest.mark.slow
    def test_a_pool_that_is_renewed(self):
        folder = self.folder()
        flags = (SHARED, "--schedule=nao_v2", *TINY, f"--workdir={folder}", "--num_initial=6", "--num_new=2")
        flags = (*flags, "--num_blocks=2", "--supernet_sampling=num_params", "--fit_first=2", "--fit_later=1")
        code, _, errors = self.run_main(nao.main, *flags)
        assert code == 0, errors
        result = json.loads((folder / "result.json").read_text())
        assert result["queries"] == 6 + 8
        assert [one["block"] for one in result["blocks"]] == [0, 1]
        pools = (folder / "pools.jsonl").read_text()
        (folder / "result.json").unlink()
        code, _, errors = self.run_main(nao.main, *flags)
        assert code == 0, errors
        again = json.loads((folder / "result.json").read_text())
        assert again["best"] == result["best"]
        assert (folder / "pools.jsonl").read_text() == pools

    @pytest.mark.slow
    def test_regions_are_those_of_a_tree_that_is_fitted_to_what_was_measured(self):
        space = spaces.get("lanas_oneshot")
        archs = np.asarray(space.sample(jax.random.key(0), 200))
        num_convolutions = np.sum(archs[:, 1::2] >= 2, axis=1)
        record = {"archs": archs.tolist(), "fitness": [None, *(num_convolutions[1:] / 20).tolist()]}
        config = dataclasses.replace(lanas_jax.config.Config(), height=2)
        fitted = few_shot._fit(space, config, record)
        good, bad = (few_shot._pool(space, fitted, leaf, jax.random.key(1)) for leaf in (1, 2))
        assert good.shape == bad.shape == (1000, 40)
        factory.check_rows(np.concatenate([good, bad]), space)
        counts = [np.sum(pool[:, 1::2] >= 2, axis=1) for pool in (good, bad)]
        assert counts[0].min() > counts[1].mean()
        assert counts[1].max() < counts[0].mean()
        with self.assertRaisesRegex(ValueError, "do not fill all regions"):
            few_shot._fit(space, config, {"archs": record["archs"][:1], "fitness": [0.5]})

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
                name = values.supernet_preset
                assert path.name == f"supernet_{name}.cfg"
                assert shared_weights.is_asked_for(values)
                shared_weights.check(values)
                preset = supernet_presets.PRESETS[name]
                if command is nao:
                    schedule = pool_search.schedule(values)
                    assert preset.draws.pool_size == schedule.num_initial
                    supernet.check_blocks(preset.training, schedule.num_blocks)
                    assert preset.training.progress_restarts == schedule.restarts
                    found = nao_jax.presets.PRESETS[values.preset]
                    assert (found.num_initial, found.num_new) == (schedule.num_initial, schedule.num_newest)
                    assert found.num_random == schedule.num_random

    @parameterized.parameters(
        (train_supernet, ("--space=nao_rnn",), "unknown --space=nao_rnn; choose one of lanas_oneshot"),
        (train_supernet, ("--preset=best",), "unknown --preset=best; choose one of cluttered_digits, digits"),
        (train_supernet, ("--sampling=num_params",), "sampling 'num_params' needs a pool: set pool_size"),
        (train_supernet, ("--dataset=cifar11",), "unknown dataset 'cifar11'"),
        (train_supernet, ("--evaluate_every=-1",), "--evaluate_every must be at least 0"),
        (lanas, (SHARED, "--benchmark=nasbench201"), "--benchmark is not for --evaluator=supernet; leave it out"),
        (lanas, ("--score_method=all",), "--score_method is not for --evaluator=benchmark; leave it out"),
        (lanas, ("--rerank=2",), "--rerank is not for --evaluator=benchmark; leave it out"),
        (lanas, (SHARED, "--supernet=nowhere"), "nowhere/checkpoints has no checkpoints"),
        (lanas, (SHARED, "--supernet=nowhere", "--supernet_width=3"), "--supernet has trained ones; leave it out"),
        (lanas, (SHARED, "--score_method=best"), "unknown --score_method 'best'; choose one of subset"),
        (lanas, (SHARED, "--space=nasbench201"), "'nasbench201' has no network with shared weights"),
        (lanas, (SHARED, "--supernet_preset=best"), "unknown --supernet_preset 'best'"),
        (lanas, (SHARED, "--few_shot_epochs=-1"), "few_shot_epochs must be at least 0"),
        (lanas, (SHARED, "--few_shot_height=3"), "are of few_shot_epochs above 0; give it too"),
        (lanas, (SHARED, "--few_shot_epochs=1", "--few_shot_height=5"), "few_shot_height must be at most 4"),
        (lanas, ("--few_shot_epochs=1",), "--few_shot_epochs is not for --evaluator=benchmark; leave it out"),
        (search_images, ("--algorithms=lanas,guess",), "unknown algorithm 'guess'"),
        (search_images, ("--algorithms=lanas,lanas",), "names one twice"),
        (search_images, ("--num_best=0",), "--num_best must be at least 1"),
        (search_images, ("--num_threads=0",), "--num_threads must be at least 1; got 0"),
        (search_images, ("--rerank=3",), "--rerank is not of this command"),
        (baselines, (SHARED, "--rerank=-1"), "--rerank must be at least 0"),
        (nao, (SHARED, "--num_blocks=2"), "--num_blocks needs --schedule"),
        (nao, (SHARED, "--schedule=nao_v3"), "unknown --schedule=nao_v3; choose one of nao_v1"),
        (nao, (SHARED, "--schedule=nao_ws", "--supernet=x"), "trains its own weights; leave --supernet out"),
        (nao, (SHARED, "--schedule=nao_ws", "--budget=7"), "leave --budget out"),
        (nao, (SHARED, "--schedule=nao_ws", "--num_new=1000"), "would replace all of a pool of 1000"),
        (
            nao,
            (SHARED, "--schedule=nao_v2", "--supernet_num_epochs=7"),
            "num_epochs = 7 cannot be divided into 4 equal blocks",
        ),
        (nao, ("--schedule=nao_ws",), "--schedule is not for --evaluator=benchmark; leave it out"),
    )
    def test_refused(self, command, flags, message):
        folder = self.folder()
        code, _, errors = self.run_main(command.main, *flags, f"--workdir={folder / 'run'}")
        assert code == 1, errors
        assert message in errors, errors
