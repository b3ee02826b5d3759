"""Page of searches on shared weights: a synthetic folder, complete, unfinished and damaged."""

import json
import re

import jax
import numpy as np
import pytest
from absl.testing import parameterized

from common import spaces, types
from common.records import journal as journals
from common.records import run_dir
from common.report import image_search, training
from common.report import report as reports
from launch import report
from tests.shared import report_folders

SPACE = "lanas_oneshot"
ABOUT = {"space": SPACE, "dataset": "digits", "num_images": 64, "seed": 3, "training": {"num_epochs": 2}}
ARCHS = np.asarray(spaces.get(SPACE).sample(jax.random.key(0), 6)).tolist()
SCORES = (0.25, 0.5, 0.125, 0.375)
RANDOM_ONE = {"found_by": "random, chosen alike", "arch": ARCHS[2], "shared_weights": 0.25}
EPOCHS = [
    {"epoch": float(at), "loss": 2.0 / at, "top1": 0.25, "images_per_second": 100.0 * at, "seconds": 9.0}
    | {"learning_rate": 0.1, "grad_norm": 1.0, "validation": {"top1": 0.25 * at}}
    for at in (1, 2)
]


class ImageSearchTest(report_folders.FolderTest):
    NAME = "images"

    def write_shared(self, lines=EPOCHS):
        checkpoints = self.folder / "supernet" / "checkpoints"
        checkpoints.mkdir(parents=True)
        run_dir.write_json(checkpoints / "about.json", {"format": 1, "about": ABOUT})
        self.write_lines(f"supernet/{run_dir.METRICS}", lines)

    def write_search(self, name, num_measured=4):
        folder = self.folder / name
        folder.mkdir()
        header = {"benchmark": "supernet/digits/subset", "space": SPACE, "protocol": "validation", "seed": 3}
        header |= {"algorithm": name, "config": {"shared_weights": ABOUT}}
        flags = {"budget": 4, "algorithms": ["nao", "lanas"], "seed": 3}
        run_dir.write_json(folder / run_dir.CONFIG, {"command": "search_images", "flags": flags, **header})
        with journals.open_journal(folder / run_dir.JOURNAL, header) as journal:
            journal.write_proposed(0, np.array(ARCHS[:4]))
            journal.write_measured([types.Outcome(at, SCORES[at], 1.0, True) for at in range(num_measured)])
        if num_measured == 4:
            run_dir.write_json(folder / run_dir.RESULT, {"seconds": 1.5, "best": {"test": None}})

    def write_result(self, **more):
        networks = [
            {"found_by": "nao", "arch": ARCHS[1], "shared_weights": 0.5, "test": [0.75, 0.875], "news": {"a": 1}},
            {"found_by": "lanas", "arch": ARCHS[3], "shared_weights": 0.375, "test": [0.625, 0.625]},
            {"found_by": "random architectures", "arch": ARCHS[4], "shared_weights": 0.25, "test": [0.5, 0.5]},
            {"found_by": "random architectures", "arch": ARCHS[5], "shared_weights": 0.125, "test": [0.5, None]},
        ]
        result = {"space": SPACE, "dataset": "digits", "seed": 3, "num_images": 64, "budget": 4, "networks": networks}
        run_dir.write_json(self.folder / run_dir.RESULT, result | more)
        run_dir.write_json(self.folder / "trained.json", {"trainings": [{}] * 8})

    def write_all(self, *, has_shared=True, **more):
        if has_shared:
            self.write_shared()
        for name in ("nao", "lanas"):
            self.write_search(name)
        self.write_result(**more)

    def page(self, *, is_drawn=True):
        """(what is read, its pictures, the text of its page)."""
        found = reports.read(self.folder)
        made = image_search.pictures(found) if is_drawn else []
        return found, made, image_search.document(found, made, reports=".", name="report.html")

    def test_a_folder_by_hand(self):
        self.write_all()
        found, made, text = self.page()
        assert isinstance(found, image_search.ImageSearch)
        record = (found.name, found.is_finished, found.num_trained, list(found.runs))
        assert record == ("images", True, 8, ["nao", "lanas"])
        assert [one.accuracy for one in found.networks[:3]] == [0.8125, 0.625, 0.5]
        assert np.isnan(found.networks[3].accuracy)
        curves = ["loss", "accuracy", "learning_rate", "gradient_norm", "images_per_second"]
        assert [one.name for one in made] == ["agreement", *curves]
        # Of three pairs all are in one order, as the fourth network has no accuracy.
        assert made[0].caption.startswith("3 architectures. Kendall's tau 1.00 (95 % interval ")
        rows = re.findall(r"<tr>(<td>.*?)</tr>", text)
        assert rows[0] == "<td>nao</td><td>81.25 % ± 6.25</td><td>50.00 %</td><td>1</td><td>0</td>"
        assert rows[2] == "<td>random architectures</td><td>50.00 %</td><td>18.75 %</td><td>2</td><td>1</td>"
        assert text.count("<svg") == len(made) + 2  # and the best of each search
        self.check(
            text,
            "<td>random architectures</td><td>-</td><td>12.50 %</td><td>50.00 %, failed</td>",
            "4 of 4 queries, best validation fitness 50.00 %",
            "nao: 50.00 % on shared weights, 81.25 % trained from scratch",
            "2 of 2 epochs in 9.0 s, compilation included, 150 images per second",
            "12.0 s for shared weights and searches",  # 9 and twice 1.5
            "random search is missing",
        )
        assert "unfinished" not in text

    def test_the_command_writes_the_pages_that_it_links_to(self):
        self.write_all(has_shared=False)
        output = self.folder.parent / "elsewhere.html"
        for flags, page, links in (
            ((), self.folder / "report.html", ["nao/report.html", "lanas/report.html"]),
            ((f"--output={output}", "--norefit"), output, ["images/nao/report.html", "images/lanas/report.html"]),
        ):
            flags = (f"--workdir={self.folder}", *flags)
            assert self.run_main(report.main, *flags)[0] == f"{page}: 1 pictures of images\n"
            assert re.findall(r'<a href="(.*?)">', page.read_text()) == links
            for link in links:
                assert "<h1>" in (page.parent / link).read_text()
                (page.parent / link).unlink()

    def test_what_was_chosen_among_the_best(self):
        choice = [
            {"found_by": "nao", "arch": ARCHS[1], "shared_weights": 0.5, "validation": 0.75},
            {"found_by": "nao", "arch": ARCHS[0], "shared_weights": 0.25, "validation": None},
            *[dict(RANDOM_ONE, validation=0.5)] * 3,
        ]
        self.write_all(choice=choice)
        result = json.loads((self.folder / run_dir.RESULT).read_text())
        result["networks"].append(dict(RANDOM_ONE, test=[0.5, 0.75]))
        run_dir.write_json(self.folder / run_dir.RESULT, result)
        found, _, text = self.page(is_drawn=False)
        assert found.candidates[0].accuracy == 0.75
        self.check(
            text,
            "Choice: 5 networks",
            "<td>nao</td><td>75.00 %</td><td>50.00 %</td>",
            "Chosen among the 2 best on shared weights by validation accuracy after training from scratch.",
            "Chosen among 3 random ones by validation accuracy after training from scratch.",
            "<td>random, chosen alike</td><td>62.50 % ± 12.50</td><td>50.00 % ± 0.00</td><td>25.00 %</td><td>1</td>",
        )
        assert "random search is missing" not in text

    def test_an_unfinished_search(self):
        self.write_shared()
        self.write_search("nao", num_measured=3)
        found, made, text = self.page()
        assert (found.is_finished, list(found.waiting)) == (False, ["lanas"])
        said = "the search by nao is unfinished; the search by lanas has not started; 0 trainings from scratch are done"
        self.check(text, f"This search is unfinished:</strong> {said}", "3 of 4 queries")
        assert made[0].name == "loss"
        self.write_search("lanas")
        (self.folder / "lanas" / run_dir.JOURNAL).unlink()
        assert reports.read(self.folder).waiting == {"lanas": "has measured nothing yet"}
        (self.folder / "lanas" / run_dir.JOURNAL).write_text("{}\n")
        with pytest.raises(ValueError, match="not a journal of format 1"):
            reports.read(self.folder)

    def test_a_result_of_an_earlier_start_with_another_budget_is_not_shown(self):
        self.write_all(budget=3)
        found, _, text = self.page(is_drawn=False)
        assert (found.is_finished, found.result, found.networks) == (False, {}, ())
        assert "This search is unfinished" in text

    def test_shared_weights_in_training(self):
        self.write_shared(EPOCHS[:1])
        found = reports.read(self.folder)
        assert isinstance(found, training.Training)
        assert (found.kind, found.epoch, found.num_epochs, found.is_finished) == ("shared weights", 1.0, 2, False)
        self.write_search("nao")
        assert "1 of 2 epochs are done" in self.page(is_drawn=False)[2]

    @parameterized.parameters(
        ([3], r"result\.json is damaged: number 0 of networks"),
        ([{"found_by": "nao"}], r"number 0 of networks cannot be read \(KeyError\('arch'\)\)"),
        ([{"found_by": "nao", "arch": ["x"]}], "number 0 of networks cannot be read"),
    )
    def test_damaged(self, networks, message):
        self.write_all(networks=networks)
        with pytest.raises(ValueError, match=message):
            reports.read(self.folder)

    def test_names_are_escaped(self):
        self.write_all()
        found = reports.read(self.folder)
        hostile = "<b>x</b>&"
        found = found._replace(networks=tuple(one._replace(found_by=hostile) for one in found.networks))
        made = image_search.pictures(found)[:1]
        text = image_search.document(found, made, reports="..", name="a b.html")
        assert "<b>" not in text
        assert 'href="../nao/a%20b.html"' in text
