"""Reports: files that are read, pictures, and pages that are self-contained and escape all names."""

import dataclasses
import functools
import html.parser
import json
from typing import Annotated
from xml.etree import ElementTree

import numpy as np
import pytest
from absl.testing import parameterized

from common import explanations, spaces, types
from common.records import journal as journals
from common.records import run_dir
from common.report import (
    across,
    across_pictures,
    architectures,
    canvas,
    checklist,
    latents,
    page,
    partition,
    ranking,
    report,
    search,
    study_pictures,
)
from common.report import study as studies
from common.statistics import study as statistics
from tests.shared import folders, report_folders

NAN = np.nan
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>$\\frac{1}{0}$\x00\n]]>"
ENVIRONMENT = {"device": {"platform": "cpu", "kind": "cpu", "count": 1}, "versions": {"python": "3.11", "jax": "0.10"}}
ARCHS = spaces.get("convnet").enumerate()[:4].tolist()


class Parser(html.parser.HTMLParser):
    """Records tags, attributes and text; a tag that is closed wrongly is an error."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        self.open += [tag] * (tag not in ("meta", "input"))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def assert_self_contained(text):
    """Checks that a page loads nothing, that references have one target each, and that only our script runs."""
    parser = Parser()
    parser.feed(text)
    parser.close()
    assert (parser.open, parser.tags.count("script")) == ([], 1)
    assert not {"link", "img", "image", "iframe", "object", "embed", "base"} & set(parser.tags)
    for name, value in parser.attributes:
        assert not name.startswith("on"), (name, value)
        assert name not in ("src", "srcset", "data", "action"), (name, value)
        assert name not in ("href", "xlink:href") or value.startswith("#"), value
        assert name.startswith("xmlns") or "http" not in (value or ""), (name, value)
    assert "@import" not in text
    assert "default-src 'none'" in text
    ids = [value for name, value in parser.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = {value[1:] for name, value in parser.attributes if name == "xlink:href"}
    assert links | {value[5:-1] for name, value in parser.attributes if name == "clip-path"} <= set(ids)
    return parser


class WrittenTest(report_folders.FolderTest):
    def write_run(self, *, num_measured=4, budget=4, name="lanas", **more):
        """Writes the files of a search of two rounds; the third architecture failed."""
        header = {"benchmark": f"toy/{name}", "space": "convnet", "protocol": "validation", "seed": 3}
        header["algorithm"] = name
        flags = {"budget": budget, "seed": 3, "note": name, "workdir": "/secret", "help": False}
        config = {"command": "lanas", "flags": flags, **header, "config": {"height": 2, "note": name}, "optimum": 0.75}
        run_dir.write_json(self.folder / run_dir.CONFIG, config | ENVIRONMENT | more)
        outcomes = [types.Outcome(0, 0.25, 30.0, True), types.Outcome(1, 0.5, 30.0, True)]
        outcomes += [types.Outcome(2, NAN, 0.0, False, name), types.Outcome(3, 0.75, 90.0, True)]
        (self.folder / run_dir.JOURNAL).unlink(missing_ok=True)
        with journals.open_journal(self.folder / run_dir.JOURNAL, header) as journal:
            for round_ in range(2):
                journal.write_proposed(round_, np.array(ARCHS[2 * round_ : 2 * round_ + 2]))
                journal.write_measured(outcomes[2 * round_ : min(2 * round_ + 2, num_measured)])
        rounds = [{"round": at, "queries": 2 * at + 2, "pairwise_accuracy": [None, 0.5][at]} for at in (0, 1)]
        self.write_lines(run_dir.METRICS, rounds, torn='{"round": 2, "que')
        best = {"arch": ARCHS[3], "description": name, "fitness": 0.75, "test": 0.625}
        if num_measured == 4:
            run_dir.write_json(self.folder / run_dir.RESULT, {"seconds": 1.5, "best": best, "failures": {name: 1}})

    def write_study(self, names=("good", "bad"), missing=(), folder=None, **more):
        """Writes the files of a study; `more` is added to study.json."""
        folder = folder or self.folder
        folder.mkdir(exist_ok=True)
        generator = np.random.default_rng(0)
        written = {"benchmark": "toy", "dataset": "small", "protocol": "validation", "budget": 12, "num_seeds": 6}
        written |= {"seed": 0, "optimum": 1.0, "algorithms": {}, **more}
        curves = {}
        for at, name in enumerate(names):
            best = np.maximum.accumulate(generator.uniform(0, 1 - 0.3 * at, (6, 12)), axis=1)
            best[: 3 - at, 6:] = 1.0
            seconds = np.tile(np.arange(1.0, 13) * 600, (6, 1))
            curves[name] = statistics.Curves(best_fitness=best, test_of_best=best - 0.1, seconds=seconds)
            record = {"seconds_per_search": 0.5, "compile_seconds": 2.0}
            written["algorithms"][name] = record | statistics.of_algorithm(curves[name], optimum=1.0, targets=(1.0,))
            file_name = "".join(letter if letter.isalnum() else "_" for letter in name)[:40]
            run_dir.write_arrays(folder / run_dir.CURVES.format(file_name), curves[name]._asdict())
        written["comparisons"] = statistics.comparisons(curves, targets=(1.0,))
        config = {"command": "study", "flags": {"algorithms": [*names, *missing], "budget": 12}} | ENVIRONMENT
        run_dir.write_json(folder / run_dir.CONFIG, config)
        run_dir.write_json(folder / run_dir.STUDY, written)
        return report.read(folder)._replace(curves=curves)


class SearchTest(WrittenTest):
    def test_a_finished_run_by_hand(self):
        self.write_run()
        run = report.read(self.folder)
        assert (run.name, run.is_finished, run.budget, run.num_earlier) == ("run", True, 4, 0)
        np.testing.assert_array_equal(run.history.archs, ARCHS)
        np.testing.assert_array_equal(run.history.fitness, np.array([0.25, 0.5, NAN, 0.75], np.float32))
        np.testing.assert_array_equal(run.history.cost, [30, 30, 0, 90])
        measured, infeasible = types.MEASURED, types.INFEASIBLE
        np.testing.assert_array_equal(run.history.status, [measured, measured, infeasible, measured])
        assert [line["queries"] for line in run.rounds] == [2, 4]
        made = search.pictures(run, made_partition())
        names = ["best_by_queries", "best_by_time", "predictor_by_round", "partition_tree", "partition_leaves"]
        assert [one.name for one in made] == names
        assert [one.name for one in search.pictures(run, made_latents())][3:] == ["latent_map", "predictions"]
        text = search.document(run, made, explained=made_partition(), notes=["a note"])
        parser = assert_self_contained(text)
        assert parser.tags.count("svg") == len(made) + 2  # and two architectures
        said = ("75.00 %", "62.50 %", "0.00 points", "2.5 minutes", "python 3.11", "a note", "1.5 s, compilation")
        self.check(" ".join("".join(parser.text).split()), *said, "Table of 3 nodes")
        assert "secret" not in text

    def test_a_run_on_a_space_of_another_package(self):
        flags = {"budget": 4, "evaluator": "forest:evaluator", "space": "forest:space"}
        self.write_run(space="forest", name="three trees", flags=flags, limits=["trees<=3", "seconds<=2"])
        run = report.read(self.folder)
        said = ("trees&lt;=3, seconds&lt;=2", "three trees", "add random search with the same budget")
        self.check(search.document(run, search.pictures(run)), *said)
        with pytest.raises(ValueError, match="its space, forest, is of another package"):
            architectures.space_of(run.config)

    def test_an_unfinished_run(self):
        self.write_run(num_measured=3)
        header = json.loads((self.folder / run_dir.JOURNAL).read_text().splitlines()[0])["header"]
        with journals.open_journal(self.folder / run_dir.JOURNAL, header):  # as while the search runs
            run = report.read(self.folder)
        assert not run.is_finished
        assert run.history.status[3] == types.PENDING
        self.check(search.document(run, search.pictures(run)), "This search is unfinished", "3 of 4")

    def test_budgets(self):
        self.write_run(budget=6)  # larger than before
        assert not report.read(self.folder).is_finished
        self.write_run(budget=2)
        assert len(report.read(self.folder).history.status) == 2
        self.write_run(num_measured=0)
        run = report.read(self.folder)
        assert search.pictures(run) == []
        assert_self_contained(search.document(run, []))

    def test_gains(self):
        self.write_run()
        rounds = [{"queries": 2, "predicted_gain": [0.5], "realised_gain": [0.25]}, {"queries": 4}]
        picture = search.pictures(report.read(self.folder)._replace(rounds=rounds))[-1]
        assert picture.tips == {"gains": ["after 2 queries: predicted +0.50, measured +25.00 points"]}

    def test_a_history_without_a_journal(self):
        self.write_run()
        run = report.read(self.folder)
        run_dir.write_history(self.folder / run_dir.HISTORY, run.history)
        (self.folder / run_dir.JOURNAL).unlink()
        np.testing.assert_array_equal(report.read(self.folder).history.fitness, run.history.fitness)
        (self.folder / run_dir.HISTORY).unlink()
        with pytest.raises(ValueError, match="measured nothing yet"):
            report.read(self.folder)

    def test_earlier_measurements_do_not_count_in_the_budget(self):
        self.write_run()
        header, *events, _ = map(json.loads, (self.folder / run_dir.JOURNAL).read_text().splitlines())
        events = [event | {"at": event["at"] + 1} if "at" in event else event for event in events]
        archs = spaces.get("convnet").enumerate()[9:10].tolist()
        earlier = {"event": "earlier", "archs": archs, "fitness": [0.5], "cost": [None], "seconds": 0.0}
        self.write_lines(run_dir.JOURNAL, [header, earlier, *events])
        run = report.read(self.folder)
        assert (run.num_earlier, len(run.history.status), run.is_finished) == (1, 5, False)
        np.testing.assert_array_equal(run.history.fitness[:3], np.array([0.5, 0.25, 0.5], np.float32))
        assert "Queries up to 0 are the 1 measurements" in search.pictures(run)[0].caption
        assert "beside 1 measured earlier" in search.document(run, [])

    def test_folders_of_something_else(self):
        for config, message in (
            (None, r"has no config.json.*it holds nothing"),
            ({"command": "prepare_data", "flags": {}}, "is of launch.prepare_data; reports are of searches"),
            ({"command": "study", "flags": {}}, "none of its algorithms is done yet"),
        ):
            if config is not None:
                run_dir.write_json(self.folder / run_dir.CONFIG, config)
            with pytest.raises(ValueError, match=message):
                report.read(self.folder)

    @parameterized.parameters(
        (run_dir.RESULT, "{", r"result\.json is damaged"),
        (run_dir.RESULT, "[]", "no JSON object"),
        (run_dir.JOURNAL, '{"a": 1}\n', "not a journal of format 1"),
        (run_dir.RESULT, '{"best": {"test": "x"}}', r"result\.json is damaged: best.test must be a number; got 'x'"),
        (run_dir.RESULT, '{"seconds": []}', r"result\.json is damaged: seconds must be a number; got \[\]"),
        (
            run_dir.CONFIG,
            '{"command": "lanas", "flags": 3}',
            r"config\.json is damaged: flags must be an object; got 3",
        ),
        (
            run_dir.CONFIG,
            '{"command": [1], "flags": {}}',
            r"config\.json is damaged: command must be a text; got \[1\]",
        ),
        (run_dir.CONFIG, '{"a": ' * 99_999, r"config\.json is damaged .*nested more than 100 deep"),
        (
            run_dir.CONFIG,
            '{"command": "study", "tasks": {"a": ".."}}',
            r"config\.json is damaged: the folder of a is '..'",
        ),
        (run_dir.CONFIG, '{"command": "study", "flags": {}, "versions": {"jax": 1}}', "versions.jax must be a text"),
    )
    def test_damaged_files(self, name, text, message):
        self.write_run()
        (self.folder / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            report.read(self.folder)

    def test_models(self):
        """The settings are those of config.json where it has them, also beside others; errors become a note."""

        def explain(space, settings, history, *, seed):
            assert (space.name, len(history.status), seed) == ("convnet", 4, 3)
            if settings.num_tries == 3:
                raise ValueError("three")
            return made_partition() if settings.num_tries == 2 else None

        models = {"lanas": types.Algorithm("lanas", Settings(), {}, searcher=None, explain=explain)}
        for config, text in (
            ({"num_tries": 2}, "Table of 3 nodes"),
            ({"searcher": {"num_tries": 2}, "shared_weights": {}}, "Table of 3 nodes"),
            ({"num_tries": 3}, "The model could not be fitted again: three"),
            ({"num_tries": 2, "other": 1}, "again: settings of another version: other missing or unknown"),
            ({"measure": "supernet"}, "Too few measurements to fit the model again."),  # the default of 1
        ):
            self.write_run(config=config)
            written = report.write([self.folder], models=models)
            assert text in written.output.read_text()
        self.write_run(algorithm="other")
        assert "fitted again" not in report.write([self.folder], models=models).output.read_text()
        report.write([self.folder])
        assert "Models were not fitted again." in (self.folder / report.PAGE).read_text()


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of an algorithm."""

    num_tries: Annotated[int, "a number"] = 1


class StudyTest(WrittenTest):
    def test_a_study(self):
        study = self.write_study()
        made = studies.pictures(study)
        names = ["best_fitness_mean", "best_fitness_median", "test_of_best_mean"]
        names += ["reached_queries_1_000000", "reached_seconds_1_000000", "improvements"]
        assert [one.name for one in made] == names
        text = studies.document(study, made)
        assert_self_contained(text)
        assert "random search is missing" in text
        assert "unfinished" not in text
        (_, header, rows) = studies.tables(study)[1]
        assert (header[3], rows[0][:2]) == ("training time: median (minutes)", ["good", "50"])
        assert rows[1][2].startswith("never")

    def test_a_target_that_no_search_reached_compares_nothing(self):
        one = {"first": "good", "second": "random", "adjusted": None}
        compared = [one | {"of": "best_fitness", "improvement": [0.9, 0.8, 1.0]}]
        compared += [one | {"of": "queries", "target": 1.0, "improvement": [0.5] * 3}]
        assert "by final best fitness" in study_pictures.improvements({"comparisons": compared}).caption
        compared += [one | {"of": "queries", "target": 0.9, "improvement": [0.7, 0.5, 0.9]}]
        assert "by queries to 90.00 %" in study_pictures.improvements({"comparisons": compared}).caption

    def test_unknown_probabilities_are_dashes(self):
        study = self.write_study()
        first, second = study.report["comparisons"]
        first |= {"p_value": None, "adjusted": None}
        second["improvement"] = [None] * 3
        assert_self_contained(studies.document(study, studies.pictures(study)))
        rows = next(rows for _, header, rows in studies.tables(study) if "p" in header)
        assert rows[0][-2:] == ["-", "-"]
        assert rows[1][-3] == "-"

    def write_tasks(self, *, second=(), names=("random", "good"), **more):
        """Writes folders of studies of two tasks, of which the second has other `names` or says `more`."""
        self.write_study(names, folder=self.folder / "a")
        self.write_study(second or names, folder=self.folder / "b", **{"dataset": "large", **more})
        return [self.folder / "a", self.folder / "b"]

    def test_studies_of_two_tasks(self):
        compared = across.compare(report.read_together(self.write_tasks()), num_queries=5)
        made, found = across_pictures.pictures(compared), across.tables(compared)
        assert [one.name for one in made] == ["across_regret", "across_profile", "across_found", "improvements"]
        text = across.document(compared, made, found)
        words = " ".join("".join(assert_self_contained(text).text).split())
        self.check(
            words, "Study of 2 tasks", "toy/small, toy/large", "larger budgets", "toy/small (12), toy/large (12)"
        )
        (_, header, (random, _)), (_, by_task, tasks), _ = found
        assert header == ["algorithm", "after 5", "mean after 5", "found the optimum (%)"]
        assert by_task == ["task", "1 equals (points)", "random", "good"]
        unit = f"{100 * compared.searches.unit[0][-1]:.3g}"
        assert [row[:2] for row in tasks] == [["toy/small", unit], ["toy/large", unit]]
        # Both tasks have the same six numbers, of which the middle half remains.
        regret = np.sort(np.tile(compared.searches.regret["random"][0][:, -1], 2))[3:9]
        assert random[1].startswith(f"{regret.mean():.3f} [")
        assert random[3] == "0 [0, 0]"

    def test_notes(self):
        folders = self.write_tasks(names=("random", "good", "bad"), second=("random", "good"), seed=7, protocol="test")
        config = json.loads((folders[1] / run_dir.CONFIG).read_text())
        config["flags"]["algorithms"].append("bad")
        run_dir.write_json(folders[1] / run_dir.CONFIG, config)
        found = report.read_together(folders)._replace(missing=("toy/third",), is_finished=False)
        compared = across.compare(found, num_queries=5)
        assert across.notes(compared) == [
            "bad is left out of the comparison: it is missing on toy/large.",
            "Nothing is done yet on toy/third; start the study again to resume.",
            "The study of toy/large is unfinished.",
            "Searches had larger budgets than the number of queries compared here: toy/small (12), toy/large (12).",
            "Protocols differ: toy/small validation, toy/large test.",
            "First seeds differ: toy/small 0, toy/large 7.",
        ]
        assert "bad" not in across.tables(compared)[0][2]

    def test_a_folder_of_several_tasks(self):
        self.write_tasks()
        tasks = {"toy/small": "a", "toy/large": "b", "toy/later": "c"}
        run_dir.write_json(self.folder / run_dir.CONFIG, {"command": "study", "flags": {}, "tasks": tasks})
        found = report.read(self.folder)
        assert (found.name, found.missing, found.is_finished) == ("run", ("toy/later",), False)
        assert [one.task for one in found.studies] == ["toy/small", "toy/large"]
        assert report.read_together([self.folder]).missing == ("toy/later",)
        run_dir.write_json(self.folder / run_dir.CONFIG, {"command": "study", "flags": {}, "tasks": {"toy/later": "c"}})
        with pytest.raises(ValueError, match="no task with a finished algorithm"):
            report.read(self.folder)

    def test_studies_that_are_not_comparable(self):
        for more, message in (
            ({"budget": 13}, r"the budget differs.*toy/large: 13.*--queries"),
            ({"dataset": "small"}, "two of the studies are of toy/small"),
            ({"optimum": None}, "the optimum of toy/large is unknown"),
            ({"second": ("good", "bad")}, "random, which is missing on toy/large"),
        ):
            found = report.read_together(self.write_tasks(**more))
            with pytest.raises(ValueError, match=message):
                across.compare(found)
        (self.folder / "b" / run_dir.CURVES.format("good")).unlink()
        with pytest.raises(ValueError, match="b lacks curves"):
            across.compare(report.read_together([self.folder / "a", self.folder / "b"]))
        self.write_run()
        with pytest.raises(ValueError, match="several folders must all be of studies"):
            report.read_together([self.folder / "a", self.folder])


class PageTest(WrittenTest):
    def test_names_are_escaped(self):
        self.write_run(name=HOSTILE)
        run = report.read(self.folder)._replace(name=HOSTILE)
        made = [*search.pictures(run, made_partition()), *latents.pictures(made_latents())]
        parser = assert_self_contained(search.document(run, made, notes=[HOSTILE]))
        assert not {"b", "frac"} & set(parser.tags)
        assert "<script>alert(1)</script>" in "".join(parser.text)  # as text
        study = self.write_study(names=(HOSTILE, "$x$", "</svg>"))._replace(name=HOSTILE)
        assert_self_contained(studies.document(study, studies.pictures(study)))

    def test_flagfile(self):
        config = {"command": "lanas", "flags": {"budget": 4, "dataset": None, "workdir": "w", "algorithms": ["a", "b"]}}
        config["flags"]["evil"] = "a\n--budget=9"
        assert checklist.flagfile(config).splitlines()[1:] == ["--budget=4", "--algorithms=a,b", "--evil=a --budget=9"]

    def test_tables(self):
        assert "&lt;i&gt;" in page.table(("a", "b"), [("<i>", 1)])
        assert page.table(("a",), []) == ""
        text = page.table(("rank", "architecture"), [(1, "x" * 41), (2, "y")])
        self.check(text, "<tr><th>rank</th><th class=text>architecture</th></tr>", "<td>2</td><td class=text>y</td>")


@functools.cache
def made_partition():
    """Height 2: two at the good leaf, one at the bad one."""
    return explanations.Partition(
        count=np.array([3.0, 2.0, 1.0]),
        mean=np.array([0.5, 0.625, 0.25]),
        bound=np.array([0.5, np.inf, 0.75]),
        quality=np.array([1.0]),
        gap=np.array([0.375]),
        leaf=np.array([2, 1, 1]),
        fitness=np.array([0.25, 0.5, 0.75]),
        selected=np.array([1, 1]),
        num_unseen=np.array([2.0, 0.0, 2.0]),
    )


@functools.cache
def made_latents():
    return explanations.LatentMap(
        points=np.array([[0.0, 1], [1, 0], [0, 0], [1, 1]]),
        fitness=np.array([0.25, 0.5, 0.75, 0.5]),
        is_learned=np.array([True, True, False, False]),
        predicted=np.array([0.0, 1.0, 2.0, 1.5]),
        explained=np.array([0.75, 0.25]),
        paths=np.array([[[0.0, 0], [0.5, 0.5], [1, 1]]]),
        decoded=np.array([[[0.0, 0.25], [NAN, NAN]]]),
        texts=[[HOSTILE, "invalid"]],
    )


class CanvasTest(folders.FolderTest):
    def tips(self, picture):
        root = ElementTree.fromstring(canvas.svg(picture))
        marks = [element for element in root.iter() if element.tag.endswith(("use", "path"))]
        return [child.text for mark in marks for child in mark if child.tag.endswith("title")]

    def test_tips_stand_at_their_marks(self):
        tips = self.tips(partition.tree(made_partition()))
        assert tips == [
            "node 0: 3 measured, 2 left, mean 50.00 %, UCB 0.50; good before bad in 100 % of pairs, +37.50 points",
            "node 1: 2 measured, 0 left, mean 62.50 %",
            "node 2: 1 measured, 2 left, mean 25.00 %, UCB 0.75",
        ]
        assert len(self.tips(latents.latent_map(made_latents()))) == 5

    @parameterized.parameters((0.0, "Crosses: exhausted", 1), (1.0, "Every node has", 0), (None, "is unknown", 0))
    def test_exhausted_nodes(self, left, caption, num_crosses):
        left = None if left is None else np.array([left + 2, left, 2.0])
        for draw in (partition.tree, partition.leaves):
            picture = draw(made_partition().replace(num_unseen=left))
            assert caption in picture.caption
            crosses = [
                dots.get_offsets() for dots in picture.figure.axes[0].collections if dots.get_gid() == "exhausted"
            ]
            assert sum(map(len, crosses)) == num_crosses
            if num_crosses:
                assert crosses[0][0, 0] == (0.25 if draw is partition.tree else 0)

    def test_equal_pictures_are_equal_texts(self):
        first, second = (canvas.svg(partition.leaves(made_partition())) for _ in range(2))
        assert first == second
        assert "<metadata" not in first
        assert "var(--ink, #16191d)" in first

        with pytest.raises(ValueError, match="nodes has 3 marks and 1 tips"):
            canvas.svg(partition.tree(made_partition())._replace(tips={"nodes": ["one"]}))

    @parameterized.parameters(("svg", b"<svg"), ("png", b"\x89PNG"), ("pdf", b"%PDF"))
    def test_files(self, suffix, start):
        path = self.folder / f"a.{suffix}"
        canvas.write(partition.tree(made_partition()), path)
        assert path.read_bytes().startswith(start)
        assert b"var(--" not in path.read_bytes()  # not all viewers know such colours

    def test_agreement_by_hand(self):
        """Of three pairs two are in the same order."""
        picture = ranking.agreement(np.array([0.1, 0.2, 0.3]), np.array([0.5, 0.7, 0.6]))
        assert picture.caption == (
            "3 architectures. Kendall's tau 0.33 (95 % interval -1.00 to 1.00, bootstrap over architectures), "
            "Spearman's rho 0.50."
        )
        assert self.tips(picture)[0] == "architecture 0: 10.00 %, stand-alone 50.00 %"
        for scores, accuracies in ((np.zeros(1), np.zeros(1)), (np.zeros(2), np.zeros(3))):
            with pytest.raises(ValueError, match="of the same architectures, at least 2"):
                ranking.agreement(scores, accuracies)

    def test_limits_of_marks_and_names(self):
        assert (canvas.some(3).tolist(), canvas.some(0).tolist()) == ([0, 1, 2], [])
        assert (canvas.some(9, most=3).tolist(), len(canvas.some(100_000))) == ([0, 4, 8], 2000)
        assert (canvas.words("a\x00b\n c"), len(canvas.words("x" * 99))) == ("a\ufffdb c", 40)
