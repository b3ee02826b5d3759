"""Pages of searches of recurrent cells, in perplexity; of renewed pools; of finalists; and of `supernet_ranking`."""

import json
import math

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces, types
from common.records import journal as journals
from common.records import json_lines, run_dir
from common.report import canvas, judged, ranking, report, search, search_pictures, units
from common.report import pools as pool_reports
from common.supernets import population
from launch import report as command
from tests.shared import report_folders

SPACE = "nao_rnn"
ARCHS = np.asarray(spaces.get(SPACE).sample(jax.random.key(0), 6))
WORDS = 10_000
FITNESS = (0.5, 0.25, 0.75, 0.0)  # at WORDS: perplexities of 100, 1000, 10 and 10,000
HEADER = {"space": SPACE, "protocol": "validation", "seed": 0, "algorithm": "nao"}
# Of six pairs five are in one order by score, all by size; two trainings agree on all.
RANKING = {"scores": [0.1, 0.2, 0.4, 0.3], "num_params": [100, 2000, 3000, 4000]}
RANKING["alone"] = [[0.5, 0.4], [0.6, 0.5], [0.7, 0.6], [0.8, 0.7]]
JUDGED = {"truth": "nasbench201", "networks": 1500, "seed": 2, "processor_seconds": 12.3, "scores": {}}
JUDGED["scores"]["nwot"] = {
    "tau": {"0": {"center": 0.62, "low": 0.6, "high": 0.64}, "0.9": {"center": 0.4, "low": 0.3, "high": 0.5}},
    "top": {"10": {"accuracy": 0.9362, "rank": 35}, "20": {"accuracy": 0.94, "rank": 3}},
}
JUDGED["scores"]["equal"] = {
    "tau": {"0": {"center": None, "low": None, "high": None}},
    "top": JUDGED["scores"]["nwot"]["top"],
}


class CellsTest(report_folders.FolderTest):
    def test_units(self):
        np.testing.assert_array_equal(units.PERCENT.of(np.array([0.5, np.nan])), [50.0, np.nan])
        assert units.PERCENT.text(0.12345) == "12.35 %"
        unit = units.perplexity(WORDS)
        np.testing.assert_allclose(unit.of(np.array(FITNESS)), [100, 1000, 10, 10_000])
        assert math.isnan(unit.of(math.nan))
        assert unit.text(0.5) == "100.00"

    def write_search(self, **more):
        header = {"benchmark": "recurrent_training/topics", "config": {"measure": "training"}, **HEADER}
        record = {"command": "search_recurrent", "flags": {"budget": 4}, "optimum": None, **header}
        run_dir.write_json(self.folder / run_dir.CONFIG, record | more)
        with journals.open_journal(self.folder / run_dir.JOURNAL, header) as journal:
            journal.write_proposed(0, ARCHS[:4])
            journal.write_measured([types.Outcome(at, value, 60.0, True) for at, value in enumerate(FITNESS)])
        run_dir.write_json(self.folder / run_dir.RESULT, {"seconds": 1.0, "best": {"test": 0.5}})

    def write_pools(self, blocks=2, **more):
        """Pools of three, of which the last cannot be scored."""
        shared = {"schedule": {"num_blocks": 2}, "flags": {}, "command": "search_recurrent", "algorithm": "nao"}
        run_dir.write_json(self.folder / run_dir.CONFIG, shared | {"corpus": "topics", "vocabulary_size": WORDS} | more)
        with json_lines.opened(self.folder / population.POOLS, {}, population.Record) as record:
            for block in range(blocks):
                record.write_pool(ARCHS[block : block + 3])
                record.write_scores(np.array([0.25, [0.5, 0.75][block], np.nan], np.float32))
            if blocks < 2:
                record.write_pool(ARCHS[blocks : blocks + 3])
        run_dir.write_json(self.folder / run_dir.RESULT, {"best": {"test": 0.5}, "seconds": 2.0})

    def test_perplexity_by_hand(self):
        self.write_search(vocabulary_size=WORDS)
        run = report.read(self.folder)
        assert run.unit.is_lower_better
        picture = search_pictures.best_by_queries(run)
        texts = ["query 1: 100.00", "query 2: 1000.00", "query 3: 10.00", "query 4: 10000.00"]
        assert picture.tips["measured"] == texts
        axes = picture.figure.axes[0]
        assert axes.get_ylabel() == "validation perplexity (lower is better)"
        np.testing.assert_allclose(axes.lines[0].get_ydata(), [100, 100, 10, 10], rtol=1e-5)
        self.check(
            search.document(run, []),
            "<dt>best validation perplexity</dt><dd>10.00</dd>",
            "<dt>its test perplexity</dt><dd>100.00</dd>",
            "No. 1: perplexity 10.00, query 3",
            "perplexity 100.00, of the best by validation fitness alone",
            "add random search with the same budget",
            "Perplexity is the exponential of the mean loss per word; lower is better.",
            "<dt>training time</dt><dd>4 minutes for all evaluations</dd>",
        )

    def test_the_worst_perplexities_are_above_the_frame(self):
        figure, axes = canvas.new()  # the figure must outlive its axes
        values = np.array([10.0, 11, 12, 13, 14, 10_000])
        search_pictures._frame(axes, values, np.minimum.accumulate(values), is_lower_better=True)
        np.testing.assert_allclose(axes.get_ylim(), [10 - 0.5, 14 + 2.1])  # of 4 between the best and the last fifth
        assert axes.get_title(loc="left") == "worst fifth above the frame"
        del figure

    def test_without_the_number_of_words_fitness_is_shown_and_said_to_be(self):
        self.write_search()
        said = "This folder does not record V, so perplexities are not shown."
        text = search.document(report.read(self.folder), [])
        self.check(text, said, "<dt>best validation fitness</dt><dd>75.00 %</dd>")

    def test_a_pool_by_hand(self):
        self.write_pools()
        run = report.read(self.folder)
        assert (run.is_finished, run.budget, [len(block) for block in run.blocks]) == (True, 2, [3, 3])
        np.testing.assert_array_equal(run.history.archs, ARCHS[[2, 1, 3]])  # the last pool, best first
        assert run.history.status.tolist() == [types.MEASURED, types.MEASURED, types.INFEASIBLE]
        (picture,) = search.pictures(run)
        assert picture.name == "pools_by_block"
        best, median = picture.figure.axes[0].lines
        np.testing.assert_allclose(best.get_ydata(), [100, 10], rtol=1e-5)
        np.testing.assert_allclose(median.get_ydata(), [550, 505], rtol=1e-5)
        assert picture.tips["pool"] == ["block 1: 1000.00", "block 1: 100.00", "block 2: 1000.00", "block 2: 10.00"]
        text = search.document(run, [picture])
        said = ("<h1>nao on recurrent_supernet/topics</h1>", "<dt>blocks of training</dt><dd>2 of 2</dd>")
        self.check(text, *said, "<dd>6, those kept in the pool once per block</dd>")
        assert "found at query" not in text

    def test_a_pool_of_images(self):
        about = {"dataset": "data/cifar10.npz", "space": "nao_small", "seed": 4}
        shared = {"shared_weights": about, "flags": {"protocol": "test"}, "command": "nao", "vocabulary_size": None}
        self.write_pools(**shared)
        run = report.read(self.folder)
        record = [run.config[name] for name in ("benchmark", "space", "seed", "protocol")]
        assert record == ["supernet/cifar10", "nao_small", 4, "test"]
        assert run.unit is units.PERCENT

    def test_unfinished_pools(self):
        self.write_pools(blocks=1)
        run = report.read(self.folder)
        assert (run.is_finished, run.result, len(run.blocks)) == (False, {}, 1)
        assert "This search is unfinished" in search.document(run, [])
        (self.folder / population.POOLS).unlink()
        self.write_pools(blocks=0)
        for _ in range(2):  # a pool without scores; no pool
            with pytest.raises(
                ValueError, match=r"no scored pool in pools\.jsonl: its search has measured nothing yet"
            ):
                report.read(self.folder)
            (self.folder / population.POOLS).unlink(missing_ok=True)

    def test_finalists_of_cells(self):
        self.write_search(vocabulary_size=WORDS)
        with journals.open_journal(self.folder / "finalists.jsonl", {}) as journal:
            journal.write_proposed(0, ARCHS[[2, 0, 4]])
            journal.write_measured([types.Outcome(0, 0.25, 1.0, True), types.Outcome(1, math.nan, 1.0, False, "why")])
        run = report.read(self.folder)
        assert [one.shared for one in run.finalists] == [0.75, 0.5]
        assert [one.alone for one in run.finalists] == pytest.approx([0.25, math.nan], nan_ok=True)
        text = pool_reports.table(run.finalists, run.unit, run.config["space"])
        said = ("<td>1</td><td>1000.00</td><td>10.00</td>", "<td>2</td><td>failed</td><td>100.00</td>")
        self.check(text, "<th>perplexity, trained from scratch</th>", *said)
        assert pool_reports.agreement(run.finalists, run.unit) is None

    def test_finalists_of_images(self):
        self.write_search(space="a space of another version")
        rows = [{"arch": [at, 1], "shared_weights": at / 10, "trained": (at + 1) / 10} for at in range(5)]
        run_dir.write_json(self.folder / "finalists.json", {"trained_as": "x", "finalists": rows})
        run = report.read(self.folder)
        picture = pool_reports.agreement(run.finalists, run.unit)
        assert picture.caption.startswith("5 architectures. Kendall's tau 1.00 (95 % interval 1.00 to 1.00, ")
        assert picture.tips["architectures-0"][4] == "architecture 4: 40.00 %, stand-alone 50.00 %"
        assert "<td>1</td><td>50.00 %</td><td>40.00 %</td><td>4 1</td>" in pool_reports.table(
            run.finalists, run.unit, run.config["space"]
        )
        rows += [{**one, "epochs": 2, "trained": 0.05} for one in rows[:2]]
        rows += [{"arch": [7, at], "shared_weights": 0.5, "trained": (at + 1) / 100, "epochs": 2 + at} for at in (0, 1)]
        run_dir.write_json(self.folder / "finalists.json", {"trained_as": "x", "finalists": rows})
        run = report.read(self.folder)
        assert pool_reports.agreement(run.finalists, run.unit).caption.startswith("5 architectures.")
        text = pool_reports.table(run.finalists, run.unit, run.config["space"])
        for cells in (
            "<td>1</td><td>50.00 %</td><td>all</td><td>40.00 %</td><td>4 1</td>",
            "<td>5</td><td>10.00 %</td><td>all</td><td>0.00 %</td><td>0 1</td>",
            "<td>6</td><td>2.00 %</td><td>3</td><td>50.00 %</td><td>7 1</td>",
            "<td>7</td><td>1.00 %</td><td>2</td><td>50.00 %</td><td>7 0</td>",
        ):
            assert cells in text
        (self.folder / "finalists.json").write_text(json.dumps({"finalists": [{"arch": None}]}))
        with pytest.raises(ValueError, match=r"finalists\.json is damaged"):
            report.read(self.folder)


class RankingTest(report_folders.FolderTest):
    def read(self, text):
        self.path = self.folder / "ranking.json"
        self.path.write_text(text)
        return report.read(self.path)

    def test_by_hand(self):
        self.read(json.dumps(RANKING))
        page = self.path.with_suffix(".html")
        assert self.run_main(command.main, f"--workdir={self.path}")[0] == f"{page}: 1 pictures of ranking.json\n"
        self.check(
            page.read_text(),
            "<td>scores on shared weights</td><td>0.667 [",
            "<td>number of parameters</td><td>1.000 [1.000, 1.000]</td>",
            "<td>two trainings, with each other</td><td>1.000 [1.000, 1.000]</td>",
            "ranking.json: 4 architectures",
            "architecture 1, 2,000 parameters: 20.00 %, stand-alone 55.00 %",
        )

    def test_one_training(self):
        text = ranking.document(self.read(json.dumps(RANKING | {"alone": [[0.5]] * 4})), [])
        self.check(text, "<td>scores on shared weights</td><td>not defined, as all are equal</td>")
        assert "two trainings, with" not in text

    def test_scores_judged_by_published_accuracies(self):
        text = judged.document(self.read(json.dumps(JUDGED)), [])
        self.check(
            text,
            "ranking.json: 1,500 networks, seed 2, 12 s of processor time",
            "<td>nwot</td><td>0.620 [0.600, 0.640]</td><td>0.400 [0.300, 0.500]</td><td>-</td><td>93.62 %, #35</td>",
            "<td>equal</td><td>-</td><td>-</td><td>-</td><td>93.62 %, #35</td><td>94.00 %, #3</td>",
        )

    @parameterized.parameters(
        ("[]", "is not a file of benchmarks.supernet_ranking"),
        (json.dumps(JUDGED | {"scores": {"nwot": 3}}), "scores.nwot must be an object"),
        ('{"networks": []}', "is not a file of benchmarks.supernet_ranking"),
        (json.dumps(RANKING | {"scores": [0.1]}), r"at least 2; they have the shapes \(1,\), \(4, 2\) and \(4,\)"),
        (json.dumps(RANKING | {"alone": [0.1, 0.2, 0.3, 0.4]}), r"\(4,\), \(4,\) and \(4,\)"),
        (json.dumps(RANKING | {"scores": [0.1, 0.2, 0.3, np.nan]}), "not all of its numbers are finite"),
    )
    def test_bad_files(self, text, message):
        with pytest.raises(ValueError, match=message):
            self.read(text)
