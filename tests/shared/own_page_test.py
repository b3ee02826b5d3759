"""The page of a search on own images: its state, tables and pictures, words of networks, importance of decisions."""

import pathlib
import re
import time
from xml.etree import ElementTree

import numpy as np
from absl.testing import parameterized

from common.datasets import records
from common.drawing import lettering
from common.report import own_images, page, small_networks
from common.runs import image_examples
from common.spaces import small_images
from common.statistics import importance
from common.training import augmentation
from tests.shared import folders

ROWS = [small_images.MEMBERS[name] for name in ("three_convolutions", "resnet", "mobilenet")]
CONFIG = {"dataset": "mine.npz", "minutes": 15, "seed": 0, "classes": 2, "limit": ["macs<=5e+06"]}
CONFIG |= {"image_shape": [16, 16, 3], "width": 16, "class_names": ["<cat>", "dog"], "augmentation": "mirrored"}
CONFIG |= {"num_images": {"train": 40, "test": 4}}
PLAN = {"event": "plan", "epochs": [1, 3], "num_candidates": 4}
FINALS = {"event": "finals", "best": ROWS[1], "epochs": 9, "names": ["best", "resnet"]}
FINAL = {"event": "final", "name": "best", "arch": ROWS[1], "test": 0.5, "epochs": 9, "confusion": [[1, 2], [0, 1]]}


def _found(events, candidates, result=None, folder="mine"):
    expected = {row: each[max(each)] / 2 for row, each in candidates.items() if each}
    return own_images.Found(pathlib.Path(folder), CONFIG, events, candidates, set(), result or {}, expected)


def _page(found, **settings):
    return own_images.document(found, own_images.pictures(found), **settings)


def _plain(text):
    return text.replace(lettering.TIMES, "x")


def _cells(text, title):
    """Returns the cells of the rows of the table in the section `title`."""
    section = text[text.index(f"<h2>{title}</h2>") :].split("</section>")[0]
    body = section[section.index("<tbody>") :].split("</tbody>")[0]
    return [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body.split("</tr>")[:-1]]


class StateTest(parameterized.TestCase):
    @parameterized.parameters(
        ((), "The program that trains all candidates compiles."),
        ((PLAN,), "Stage 1: candidates train to epoch 1; 2 of 4 are done."),
        (
            (PLAN, {"event": "stage", "stage": 1, "epochs": 3, "num": 2}),
            "Stage 2: the best candidates continue to epoch 3; 1 of 2 are done.",
        ),
        (
            (PLAN, FINALS, FINAL),
            "Last stage: best of the search, ResNet train from scratch to epoch 9; 1 of 2 are done.",
        ),
    )
    def test_a_running_search_states_its_stage_and_loads_itself_again(self, events, expected):
        found = _found(events, {ROWS[0]: {1: 0.25}, ROWS[1]: {1: 0.5, 3: 0.75}, ROWS[2]: {}})
        text = _page(found, seconds_left=400.0)
        assert f"The search is running:</strong> {expected} The page loads itself again every 15 seconds." in text
        assert abs(float(re.search('data-ends="([0-9]+)"', text)[1]) - time.time() - 400) < 60
        assert '<meta http-equiv="refresh" content="15">' in text
        text = _page(found)  # of another process, which does not know whether it runs
        assert f"{expected} Start it again with the same --workdir to resume." in text
        assert 'http-equiv="refresh"' not in text

    def test_a_search_that_cannot_be_done_says_why(self):
        found = _found([PLAN, {"event": "failed", "message": "minutes = 3 is too little"}], {})
        text = _page(found)
        assert "This search ended without a result:</strong> minutes = 3 is too little" in text
        assert "Start it again" not in text.partition("<script")[0]
        assert "The search is running:</strong> The program that" in _page(found, seconds_left=60.0)

    def test_a_baseline_that_is_better_is_said(self):
        events = [PLAN, FINALS, FINAL, FINAL | {"name": "resnet", "test": 0.6}]
        text = _page(_found(events, {}, {"best": FINAL, "baselines": [], "seconds": 60.0}))
        assert "ResNet classified more test images correctly than the best of the search." in text

    def test_epochs_of_the_last_networks_are_shown(self):
        text = _page(_found([PLAN, FINALS], {}), seconds_left=400.0, epochs={"resnet": 2.25})
        assert "from scratch to epoch 9; 0 of 2 are done. ResNet: epoch 2.2. The page loads" in text
        text = _page(_found([PLAN, FINALS, FINAL], {}), seconds_left=1.0, epochs={"best": 9.0, "resnet": 5.0})
        assert "1 of 2 are done. ResNet: epoch 5.0. The page loads" in text

    def test_a_finished_one_has_its_networks_and_classes(self):
        result = {"best": FINAL, "baselines": [], "seconds": 60.0, "left_out": ["three_convolutions", "resnet"]}
        text = _page(_found([PLAN, FINALS, FINAL], {ROWS[1]: {1: 0.5}}, result), seconds_left=1.0)
        assert 'http-equiv="refresh"' not in text
        assert "There was no time for three convolutions and ResNet." in text
        ((name, test, params, *_),) = _cells(text, "Networks trained to the end")
        assert (name, test, params) == ("best of the search (resnet)", "50.00 %", "218,258")
        assert _cells(text, "Classes") == [["&lt;cat&gt;", "3", "33.33 %", "dog (2)"], ["dog", "1", "100.00 %", ""]]
        assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"|http-equiv', "", text)  # it loads nothing


class CandidatesTest(parameterized.TestCase):
    def test_every_candidate_has_a_row_with_its_costs_and_status(self):
        rows = [*ROWS, *(tuple(np.eye(18, dtype=int)[at]) for at in (2, 8))]
        values = ({1: 0.25}, {1: 0.5, 3: 0.75}, {1: 0.4}, {1: 0.0}, {})
        events = [PLAN, {"event": "stopped", "arch": rows[2], "stage": 1, "epochs": 3}, FINALS]
        found = _cells(_page(_found(events, dict(zip(rows, values)))), "All candidates")
        assert [row[:6] for row in found] == [
            ["2", "50.00 %", "75.00 %", "37.50 %", "best", "3"],
            ["3", "40.00 %", "", "20.00 %", "stopped", "1"],
            ["1", "25.00 %", "", "12.50 %", "trained", "1"],
            ["4", "0.00 %", "", "0.00 %", "diverged", "1"],
            ["5", "", "", "", "in training", "0"],
        ]
        assert found[2][6:8] == ["93,730", "2,580,736"]
        assert found[2][-1] == "002000002000002000"
        slow = _found(events, dict(zip(rows, values)))._replace(slow={rows[4]})
        assert [row[4] for row in _cells(_page(slow), "All candidates")][-1] == "too slow"

    def test_pictures_show_costs_limits_and_the_front(self):
        found = _found([PLAN, FINALS, FINAL], dict(zip(ROWS, ({1: 0.3}, {1: 0.25}, {1: 0.4}))))
        made = {one.name: one for one in own_images.pictures(found)}
        assert set(made) == {"candidates", "costs", "confusion"}
        axes = made["costs"].figure.axes[0]
        assert axes.get_xscale() == "log"
        front, limit = axes.get_lines()
        macs = small_networks.sizes_of(CONFIG).costs(np.array(ROWS, np.int32))["macs"]
        np.testing.assert_array_equal(front.get_xdata(), macs[[0, 2]])
        assert limit.get_xdata()[0] == 5e6
        assert made["costs"].tips["ends"] == ["best of the search: 50.00 %"]

    def test_importance_states_its_candidates_and_epochs(self):
        rows = [tuple(row) for row in np.eye(18, dtype=int)[:10].tolist()]
        found = _found([PLAN], {row: {1: 0.3 + 0.01 * at} for at, row in enumerate(rows)})
        made = {one.name: one for one in own_images.pictures(found)}
        assert made["importance"].caption.startswith("From 10 candidates after 1 epoch. Marks: ")


class NetworksTest(parameterized.TestCase):
    def test_words_and_layers_of_a_row_worked_out_by_hand(self):
        row = (2, 2, 2, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 3, 0, 0, 0, 0)
        sizes = small_networks.sizes_of(CONFIG | {"image_shape": [40, 40, 3]})
        words = ["32 + 2 inverted (5x5, x2, SE)", "32", "32 + 3 residual"]
        assert list(map(_plain, small_networks.words(row, sizes))) == words
        assert list(map(_plain, small_networks.words(row, None)))[1:] == ["width x1", "width x½ + 3 residual"]
        _, rows = small_networks.layers(row, sizes)
        assert [tuple(map(_plain, line[1:3])) for line in rows[:3]] == [
            ("20x20 pixels, 32 channels", "3x3, stride 2"),
            ("10x10 pixels, 32 channels", "3x3, stride 2"),
            ("5x5 pixels, 32 channels", "3x3, stride 2"),
        ]
        active = small_networks.is_active(np.array([row]))[0]
        assert [name for name, one in zip(small_networks.DECISIONS, active) if not one] == [
            *(f"stage 2: {name}" for name in ("kind of blocks", "kernel", "expansion", "squeeze-and-excitation")),
            *(f"stage 3: {name}" for name in ("kernel", "expansion")),
        ]

    @parameterized.parameters(("conv_x1", "width x½"), ("plain", "3x3"), ("inverted_k5_e4_se", "5x5, x4, SE"))
    def test_block(self, name, details):
        assert _plain(lettering.block(name)[1]) == details

    def test_importance_of_a_decision_worked_out_by_hand(self):
        # 0, 1, 1, 2 and 2, 3, 3, 4: sum of squares 4 within, 12 in total: 1 - (4 / 6) / (12 / 7) = 11 / 18.
        archs = np.array([[0, at % 2, at] for at in range(8)])
        fitness = np.array([2.0, 4.0, 0.0, 2.0, 1.0, 3.0, 1.0, 3.0])
        constant, found, alone = importance.of_decisions(archs, fitness, np.ones_like(archs, bool))
        assert np.isnan(constant.share)
        assert np.isnan(alone.share)
        np.testing.assert_allclose(found.share, 11 / 18)
        np.testing.assert_array_equal(found.means, [1.0, 3.0])
        np.testing.assert_array_equal(found.counts, [4, 4])
        left_out = importance.of_decisions(archs, fitness, np.arange(8)[:, None] < [[8, 4, 8]])[1]
        np.testing.assert_array_equal(left_out.counts, [2, 2])

    def test_chance_reaches_its_level_as_often_as_stated(self):
        generator = np.random.default_rng(1)
        archs, active = generator.integers(0, 3, (40, 4)), np.ones((40, 4), bool)
        passed = [
            any(one.share > one.chance for one in importance.of_decisions(archs, generator.normal(size=40), active))
            for _ in range(60)
        ]
        assert np.mean(passed) < 0.15
        assert importance.of_decisions(archs, archs[:, 0] + 0.1 * archs[:, 1], active)[0].share > 0.9


class ImagesTest(folders.FolderTest):
    def test_examples_are_of_different_classes_and_mistakes_of_the_most_frequent_confusions(self):
        labels = np.repeat(np.arange(4), 5)
        x = np.broadcast_to((10 * np.arange(20, dtype=np.uint8))[:, None, None, None], (20, 8, 8, 3))
        dataset = records.make("mine", (x, labels), (x, labels), source="x")
        predicted = np.where(labels == 1, 3, labels)  # five mistakes
        predicted[0] = 2  # and one
        image_examples.write_examples(self.folder, dataset)
        image_examples.write_mistakes(self.folder, dataset, predicted)
        examples, mistakes = (np.load(self.folder / f"{name}.npz") for name in ("examples", "mistakes"))
        np.testing.assert_array_equal(examples["labels"], [0, 1, 2, 3] * 2)
        assert examples["augmented"].shape == (2, 8, 8, 8, 3)
        for view in examples["augmented"]:  # one colour each: shifted, with black edges
            assert all(set(np.unique(one)) <= {0, pixel.max()} for one, pixel in zip(view, examples["images"]))
        np.testing.assert_array_equal(mistakes["labels"], [1] * 5 + [0])
        np.testing.assert_array_equal(mistakes["predicted"], [3] * 5 + [2])
        text = _page(
            _found([PLAN, FINALS, FINAL], {ROWS[1]: {1: 0.5}}, folder=self.folder)._replace(
                config=CONFIG | {"class_names": list("abcd")},
                events=[PLAN, FINALS, FINAL | {"confusion": (np.eye(4, dtype=int) * 5).tolist()}],
            )
        )
        assert text.count("data:image/png;base64,") == 8 + 16 + 6
        assert "b classified as d: 0 of 5 test images" in text

    def test_augmentation_in_words(self):
        config = augmentation.Config(crop_padding=2, cutout="none")
        text = "shifted by up to 2 pixels in each direction, with black edges, mirrored with probability one half"
        assert augmentation.describe(config) == text
        text = "shifted by up to 1 pixel in each direction, with black edges"
        assert augmentation.describe(augmentation.PRESETS["digits"]) == text
        assert augmentation.describe(augmentation.PRESETS["none"]) == "shown as it is"


class PageTest(parameterized.TestCase):
    def test_pictures_scroll_before_their_letters_have_less_than_nine_pixels(self):
        svg = '<svg width="400" viewBox="0 0 400 100"><text font-size="12">a</text><text font-size="6">b</text></svg>'
        text = page.drawing("a", svg, "b")
        assert 'style="min-width: 600px"' in text
        ElementTree.fromstring(text.replace('<input type="checkbox">', ""))

    def test_a_table_has_a_filter_on_request(self):
        assert 'type="search"' in page.table(("a", "b"), [(1, "c")], words=("b",), has_filter=True)
        assert 'type="search"' not in page.table(("a",), [(1,)])
