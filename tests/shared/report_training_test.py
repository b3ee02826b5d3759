"""Pages of trainings of a network, shared weights and a language model, from synthetic folders."""

import math

import numpy as np
import pytest
from absl.testing import parameterized

from common.genotypes import json_text, published
from common.records import run_dir
from common.report import report, training, training_pictures
from tests.shared import report_folders

ENVIRONMENT = {"device": {"platform": "cpu", "kind": "cpu", "count": 1}, "versions": {"python": "3.11", "jax": "0.10"}}


def network(**flags):
    """config.json of launch.train."""
    genotype = json_text.to_dict(published.get("lanet"))
    flags = {"genotype": "lanet", "workdir": "/secret", "data_dir": "/secret"} | flags
    about = {"genotype": genotype, "dataset": "/secret/data/toy.npz", "held_out": 10, "seed": 3}
    return {"command": "train", "flags": flags, "training": {"num_epochs": 2}, **about} | ENVIRONMENT


def epoch(number, **more):
    line = {"step": 4 * number, "epoch": float(number), "loss": 2.0 / number, "top1": 0.25 * number, "top5": 0.5}
    line |= {"grad_norm": 1.5, "learning_rate": 0.1 / number, "images_per_second": 100.0 * number, "seconds": 2.0}
    return line | more


def scores(top1):
    return {"loss": 0.5, "top1": top1, "top5": 1.0}


RESULT = {"protocol": "validation", "epochs": 2, "parameters": 1234, "auxiliary_parameters": 56, "multiply_adds": 7890}
RESULT |= {"latest": {"step": 8, "validation": scores(0.5), "test": scores(0.625)}, "seconds": 12.5}
RESULT |= {"best": {"step": 4, "validation": scores(0.75), "test": scores(0.6875)}, "images_per_second": 150.0}
CELL = json_text.to_dict(published.get("nao_ptb"))
LANGUAGE = {"command": "train_language", "flags": {"genotype": "nao_ptb"}, "genotype": CELL, "corpus": "topics"}
LANGUAGE |= {"vocabulary_size": 1672, "config": {"num_epochs": 2}, "seed": 0} | ENVIRONMENT
WORDS = [
    {"epoch": at, "train_perplexity": 600.0 / at**3, "valid_perplexity": 90.0 / at}
    | {"is_averaging": at == 2, "words_per_second": 1000.0, "seconds": 1.0}
    for at in (1, 2)
]
LANGUAGE_RESULT = {
    "epochs": 2,
    "parameters": 99,
    "seconds": 2.0,
    "best": {"epoch": 2, "is_averaged": True, "valid_perplexity": 45.0, "test_perplexity": 48.25},
    "unigram_perplexity": {"valid": 228.3, "test": 289.5},
}


class TrainingTest(report_folders.FolderTest):
    NAME = "toy"

    def write(self, config, lines=None, result=None, torn=""):
        run_dir.write_json(self.folder / run_dir.CONFIG, config)
        if lines is not None:
            self.write_lines(run_dir.METRICS, lines, torn)
        if result is not None:
            run_dir.write_json(self.folder / run_dir.RESULT, result)
        return report.read(self.folder)

    def draw(self, found):
        """(pictures by name, the page)."""
        made = training.pictures(found)
        return {one.name: one for one in made}, training.document(found, made)

    def test_a_network_by_hand(self):
        lines = [epoch(1, validation=scores(0.375)), epoch(2, validation=scores(0.5))]
        found = self.write(network(), lines, RESULT)
        assert (found.kind, found.epoch, found.num_epochs, found.is_finished) == ("network", 2.0, 2, True)
        made, text = self.draw(found)
        assert list(made) == ["loss", "accuracy", "learning_rate", "gradient_norm", "images_per_second"]
        assert made["accuracy"].tips == {
            "training": ["training, epoch 1: 25.00 %", "training, epoch 2: 50.00 %"],
            "validation": ["validation, epoch 1: 37.50 %", "validation, epoch 2: 50.00 %"],
        }
        assert made["loss"].tips["validation"] == ["validation, epoch 1: 0.500", "validation, epoch 2: 0.500"]
        assert made["learning_rate"].tips["training"][1] == "training, epoch 2: 0.05"
        assert made["images_per_second"].tips["training"][1] == "training, epoch 2: 200 images per second"
        self.check(
            text,
            "<h1>lanet on toy.npz</h1>",
            "training toy, seed 3, finished",
            "<dt>test accuracy after the last epoch</dt><dd>62.50 %</dd>",
            "<dt>test accuracy of the best checkpoint by validation accuracy</dt><dd>68.75 %</dd>",
            "<dd>1,234, and 56 of the auxiliary head</dd>",
            "<dd>7,890 per image</dd>",
            "<dt>training images per second</dt><dd>150</dd>",
            "<dd>12.5 s, compilation included</dd>",
            "<td>best on validation images</td><td>4</td><td>test</td><td>68.75 %</td><td>100.00 %</td><td>0.5000</td>",
            "10 training images held out",
        )
        assert text.count("<svg") == 6  # and the architecture
        assert "secret" not in text
        assert "unfinished" not in text

    def test_the_best_on_test_images_is_called_biased(self):
        result = RESULT | {"protocol": "test", "best": {"step": 4, "test": scores(0.75)}}
        result["latest"] = {"step": 8, "test": scores(0.625)}
        text = training.document(self.write(network(), [epoch(1), epoch(2)], result), [])
        said = "<td>best on test images</td><td>4</td><td>test</td><td>75.00 %</td>"
        self.check(text, "the best one is chosen on the test images, a biased estimate", said)
        assert "test accuracy of the best" not in text

    def test_unfinished_trainings(self):
        for lines, torn, num_pictures, said in (
            (None, "", 0, "no epoch is done yet"),
            ([], "", 0, "no epoch is done yet"),
            ([epoch(1)], '{"step": 8, "ep', 5, "1 of 2 epochs are done. Start it again"),
        ):
            found = self.write(network(), lines, torn=torn)
            made, text = self.draw(found)
            assert (len(made), found.is_finished) == (num_pictures, False)
            assert f"This training is unfinished:</strong> {said}" in text
            assert "unknown" in text
        found = self.write(network(), [epoch(1)], RESULT)  # of an earlier start with fewer epochs
        assert (found.is_finished, found.result) == (False, {})
        found = self.write(network(), [epoch(1, loss=None), epoch(2, loss=math.nan), epoch(3)])
        np.testing.assert_array_equal(training_pictures.series(found.lines, "loss"), [[3.0, 2.0 / 3]])

    def test_architectures(self):
        config = network() | {"genotype": {"kind": "cell", "version": 9}}
        assert "It could not be drawn: version of a genotype is 1" in training.document(self.write(config), [])
        text = training.document(self.write(network(genotype=' {"kind": 1}')), [])
        assert "<h1>an architecture on toy.npz</h1>" in text

    def test_shared_weights_by_hand(self):
        config = {"command": "train_supernet", "flags": {}, "space": "nao_small", "dataset": "digits", "seed": 0}
        config |= {"training": {"num_epochs": 2}, "held_out": None}
        part = {"mean": 0.5, "best": 0.75, "ok": 16}
        result = {"validation": part, "test": part, "architectures_scored": 16, "seconds": 3.0}
        result |= {"architectures_per_second": 4.0, "images_per_second": 10.0, "parameters": 5}
        lines = [epoch(1, validation={"top1": 0.25}), epoch(2, validation={"top1": 0.5})]
        found = self.write(config, lines, result)
        made, text = self.draw(found)
        assert made["accuracy"].tips["validation"] == ["validation, epoch 1: 25.00 %", "validation, epoch 2: 50.00 %"]
        assert list(made["loss"].tips) == ["training"]
        assert "random architecture" in made["accuracy"].caption
        said = ("<h1>Shared weights of nao_small on digits</h1>", "<dd>mean 50.00 %, best 75.00 %</dd>")
        self.check(text, *said, "<dt>architectures scored per second</dt><dd>4.0</dd>")

    def test_a_language_model_by_hand(self):
        found = self.write(LANGUAGE, WORDS, LANGUAGE_RESULT)
        made, text = self.draw(found)
        assert list(made) == ["perplexity", "words_per_second"]
        assert made["perplexity"].tips == {
            "training": ["training, epoch 1: 600.00", "training, epoch 2: 75.00"],
            "validation": ["validation, epoch 1: 90.00", "validation, epoch 2: 45.00"],
        }
        assert "Parameters are averaged from epoch 2." in made["perplexity"].caption
        axes = made["perplexity"].figure.axes[0]
        assert (axes.get_ylabel(), axes.get_yscale()) == ("perplexity (lower is better)", "log")
        made["perplexity"].figure.canvas.draw()
        labels = [label.get_text() for label in axes.get_yticklabels(which="both")]
        assert {"50", "100", "200", "500"} <= set(labels)
        assert not any("$" in label for label in labels)
        self.check(
            text,
            "<h1>nao_ptb on topics</h1>",
            "<dt>test perplexity</dt><dd>48.25 (unigram model: 289.50)</dd>",
            "<dt>validation perplexity</dt><dd>45.00 (unigram model: 228.30)</dd>",
            "<dd>2, the best on validation text, parameters averaged over steps</dd>",
            "topics, 1,672 words",
        )
        assert "accuracy" not in text

    @parameterized.parameters(
        ({"command": "train", "flags": {}}, None, r"config\.json is damaged: it lacks the number of epochs"),
        (network(), RESULT | {"latest": {}}, r"latest\.test\.top1 must be a number; got None"),
        (network(), RESULT | {"best": {"test": 3}}, r"best\.test\.top1 must be a number"),
        (LANGUAGE, LANGUAGE_RESULT | {"best": {"epoch": 2, "valid_perplexity": "45"}}, "must be a number; got '45'"),
    )
    def test_damaged(self, config, result, message):
        with pytest.raises(ValueError, match=message):
            self.write(config, [], result)

    def test_shared_weights_of_a_search(self):
        assert training.read_shared(self.folder) is None
        (self.folder / "supernet").mkdir()
        about = {"vocabulary_size": 100, "config": {"num_epochs": 2}, "corpus": "topics"}
        run_dir.write_json(self.folder / "supernet" / "about.json", {"format": 1, "about": about})
        found = training.read_shared(self.folder)
        record = (found.kind, found.is_language, found.epoch, found.is_finished)
        assert record == ("shared language model", True, 0, False)
        self.write_lines("supernet.jsonl", WORDS)
        found = training.read_shared(self.folder)
        assert (found.epoch, found.is_finished) == (2.0, True)
        titles = [one.title for one in training.pictures(found)]
        assert titles == ["Shared weights: perplexity", "Shared weights: speed"]
        begun = report.read(self.folder)  # all that the search has so far
        assert begun == found._replace(is_finished=False)
        assert "2 of 2 epochs are done, but not the evaluation after them." in training.unfinished(begun)
