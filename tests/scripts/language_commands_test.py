"""Commands for recurrent cells end to end, on a few lines of synthetic text."""

import json
import math
import pathlib
import tarfile

import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces
from common.genotypes import conversion, published
from common.records import run_dir
from common.runs import language
from launch import search_recurrent, train_language
from tests.shared import folders

SMALL = (
    *("--width=4", "--batch_size=4", "--valid_batch_size=2", "--test_batch_size=2", "--corpus=text"),
    *("--bptt=6", "--bptt_min=2", "--bptt_max=6", "--bptt_deviation=0", "--learning_rate=2", "--clip_norm=1"),
)


class CommandTest(folders.FolderTest):
    def setUp(self):
        super().setUp()
        for split, num in (("train", 24), ("valid", 10), ("test", 8)):
            lines = [" ".join(f"w{(at + line) % 7}" for at in range(10)) for line in range(num)]
            (self.folder / f"{split}.txt").write_text("\n".join(lines))

    def run_command(self, main, workdir, *arguments, code=0):
        self.workdir = self.folder / workdir
        arguments = (*SMALL, f"--data_dir={self.folder}", f"--workdir={self.workdir}", *arguments)
        return self.run_main(main, *arguments, code=code)

    def read(self, name):
        return json.loads((self.workdir / name).read_text())

    def lines(self, name):
        return [json.loads(line) for line in (self.workdir / name).read_text().splitlines()]


class TrainTest(CommandTest):
    def test_files_and_resuming(self):
        output, errors = self.run_command(train_language.main, "run", "--num_epochs=3", "--genotype=nao_ws_ptb")
        result, lines = self.read(run_dir.RESULT), self.lines(run_dir.METRICS)
        assert [line["epoch"] for line in lines] == [1, 2, 3]
        best = result["best"]
        assert best["valid_loss"] == pytest.approx(min(line["valid_loss"] for line in lines))
        assert best["test_perplexity"] == pytest.approx(math.exp(best["test_loss"]))
        assert lines[best["epoch"] - 1]["valid_perplexity"] == pytest.approx(best["valid_perplexity"], rel=1e-6)
        assert result["parameters"] == 8 * 4 + 8 + 8 * 8 + 11 * 4 * 8
        assert result["unigram_perplexity"]["valid"] == pytest.approx(8, abs=0.2)
        assert "nao_ws_ptb on text" in output
        assert "epochs: 3/3 epochs, validation perplexity" in errors
        assert self.read(run_dir.CONFIG)["config"]["chunks"]["bptt"] == 6
        self.run_command(train_language.main, "run", "--num_epochs=3", "--genotype=nao_ws_ptb")
        assert (self.read(run_dir.RESULT), self.lines(run_dir.METRICS)) == (result, lines)
        _, errors = self.run_command(train_language.main, "run", "--num_epochs=4", "--genotype=nao_ws_ptb", code=1)
        assert "config.num_epochs was 3 and is now 4; start in a fresh folder or with the old settings" in errors
        text = (self.folder / "valid.txt").read_text()
        (self.folder / "valid.txt").write_text(text.replace("w1 w2", "w2 w1"))
        _, errors = self.run_command(train_language.main, "run", "--num_epochs=3", "--genotype=nao_ws_ptb", code=1)
        assert "have changed since it began" in errors

    def test_a_loss_that_explodes_has_a_perplexity(self):
        assert [language._perplexity(loss) for loss in (0.0, 1e4)] == [1.0, math.exp(100)]

    def test_is_asked_for(self):
        (self.folder / "a.cfg").write_text("# a cell\n--genotype=nao_ptb\n")
        for argv, expected in (
            (["--genotype=nao_ptb"], True),
            (["--genotype", "nao_ws_ptb", "--seed=1"], True),
            (["-genotype=naonet_a", f"--flagfile={self.folder / 'a.cfg'}"], True),
            ([f"--flagfile={self.folder / 'a.cfg'}", "--genotype=naonet_a"], False),
            *((["--genotypes=nao_ptb"], False), (["--genotype=unknown"], False)),
            *((["--flagfile=/nowhere.cfg"], False), ([], False)),
        ):
            assert train_language.is_asked_for(argv) is expected, argv


class SearchTest(CommandTest):
    def test_weights_are_not_trained_in_the_folder_of_a_search_without_them(self):
        (self.folder / "run").mkdir()
        (self.folder / "run" / run_dir.JOURNAL).touch()
        _, errors = self.run_command(search_recurrent.main, "run", "--algorithm=random", code=1)
        assert "has a search, but no shared weights of its own; resume it with its settings" in errors
        assert [path.name for path in self.workdir.iterdir()] == [run_dir.JOURNAL]

    @pytest.mark.slow
    def test_a_renewed_pool_and_finalists(self):
        self.check_pool("regularized_evolution")

    @parameterized.parameters("nao", "lanas")
    @pytest.mark.slow
    def test_a_renewed_pool_with_a_model(self, algorithm):
        self.check_pool(algorithm)

    def check_pool(self, algorithm):
        flags = ("--schedule=nao_ws_rnn", "--num_initial=6", "--num_new=2", "--num_random=1", "--num_blocks=2")
        flags += ("--num_epochs=4", "--rerank=2", "--rerank_num_epochs=1", f"--algorithm={algorithm}")
        output, _ = self.run_command(search_recurrent.main, "run", *flags)
        result, lines = self.read(run_dir.RESULT), self.lines("supernet.jsonl")
        assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
        pools = self.lines("pools.jsonl")[1:]
        assert [event["event"] for event in pools] == ["pool", "scored"] * 2
        first, second = (event["archs"] for event in pools[::2])
        order = np.argsort(-np.array(pools[1]["scores"]), kind="stable")
        assert second[:3] == [first[at] for at in order[:3]]
        last = dict(zip(map(tuple, second), pools[3]["scores"], strict=True))
        assert result["best"]["fitness"] == max(last.values()) == last[tuple(result["best"]["arch"])]
        assert [block["block"] for block in result["blocks"]] == [0, 1]
        finalists = self.lines("finalists.jsonl")
        archs, fitness = finalists[1]["archs"], [event["fitness"] for event in finalists[2:]]
        assert archs == sorted(map(list, last), key=lambda arch: -last[tuple(arch)])[:2]
        cell = conversion.to_arch(published.get(str(self.workdir / "best.json")), "nao_rnn").tolist()
        assert cell == archs[int(np.argmax(fitness))]
        assert "trained from scratch for 1 epochs" in output
        self.run_command(search_recurrent.main, "run", *flags)
        assert self.read(run_dir.RESULT)["best"] == result["best"]
        assert (self.lines("finalists.jsonl"), self.lines("supernet.jsonl")) == (finalists, lines)
        _, errors = self.run_command(search_recurrent.main, "run", *flags, "--num_new=1", code=1)
        assert "num_new was 2 and is now 1" in errors
        _, errors = self.run_command(search_recurrent.main, "run", *flags, "--score=piece", code=1)
        assert "score was 'all' and is now 'piece'; start in a fresh folder" in errors

    @pytest.mark.slow
    def test_by_training_each_from_scratch(self):
        self.run_command(
            search_recurrent.main, "run", "--measure=training", "--num_epochs=1", "--budget=3", "--algorithm=random"
        )
        history, _ = run_dir.read_history(self.workdir / run_dir.HISTORY)
        assert np.all(history.cost > 0)
        assert bool(spaces.get("nao_rnn").is_valid(history.archs).all())


class OlderRunsTest(CommandTest):
    """Folders of unfinished runs that an earlier version wrote (commit d81b399) are resumed, with its results."""

    def setUp(self):
        super().setUp()
        with tarfile.open(pathlib.Path(__file__).parent / "data" / "language_runs_of_version_0_1.tar.xz") as archive:
            archive.extractall(self.folder, filter="data")

    def expected(self, name):
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    @pytest.mark.slow
    def test_training(self):
        kept = self.expected("training/metrics.jsonl")[:3]  # the last checkpoint is of epoch 3
        self.run_command(train_language.main, "training", "--num_epochs=30")
        assert self.lines(run_dir.METRICS)[:3] == kept
        result = self.read(run_dir.RESULT)
        expected = json.loads((self.folder / "training_expected.json").read_text())
        assert set(result) == set(expected)
        # Another machine may round differently; 27 of the 30 epochs are trained here.
        np.testing.assert_allclose(result["best"]["test_loss"], expected["best"]["test_loss"], rtol=1e-3)
        losses = [
            [line["valid_loss"] for line in lines]
            for lines in (self.lines(run_dir.METRICS), self.expected("training_metrics_expected.jsonl"))
        ]
        np.testing.assert_allclose(*losses, rtol=1e-3)

    @pytest.mark.slow
    def test_renewed_pool(self):
        kept = (self.folder / "pool" / "pools.jsonl").read_text()
        flags = ("--schedule=topics", "--num_initial=6", "--num_new=2", "--num_random=1", "--num_blocks=2")
        flags += ("--num_epochs=4", "--rerank=2", "--rerank_num_epochs=1", "--algorithm=regularized_evolution")
        self.run_command(search_recurrent.main, "pool", *flags)
        assert (self.workdir / "pools.jsonl").read_text().startswith(kept)
        result, expected = self.read(run_dir.RESULT), json.loads((self.folder / "pool_expected.json").read_text())
        np.testing.assert_allclose(result["best"]["fitness"], expected["best"]["fitness"], atol=1e-4)
        header, *events = self.lines("finalists.jsonl")
        expected_header, *expected_events = self.expected("pool_finalists_expected.jsonl")
        settings, expected_settings = header["header"]["config"], expected_header["header"]["config"]
        assert {name: settings.pop(name) for name in settings.keys() - expected_settings.keys()} == {"dtype": None}
        assert header == expected_header
        assert [set(event) for event in events] == [set(event) for event in expected_events]
