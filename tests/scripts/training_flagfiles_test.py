"""Flagfiles of published trainings: `launch.train` accepts them, and the networks have the published sizes."""

import dataclasses
import functools
import pathlib
import re

import pytest
from absl import flags
from absl.testing import parameterized

from common.genotypes import published
from common.networks import counting
from common.training import models, presets
from launch import train

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "training.md"
PATHS = sorted(
    path
    for path in (ROOT / "launch" / "flagfiles").glob("train_*.cfg")
    if not path.name.startswith("train_language_")  # of launch.train_language
)
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
# Of these the published count is that of another program, or there is none; docs/training.md says more.
OTHERS = (
    "lanas_oneshot",
    "nao_proxy",
    "naonet_tf_cifar10",
    "naonet_tf_cifar100",
    "nao_ws",
    "lanas_proxy",
    "lanet_36",
    "lanet_imagenet",
)


@functools.cache
def parsed(path):
    values = flags.FlagValues()
    train.define(values)
    values(["train", f"--flagfile={path}"])
    return values


def network(values):
    config = dataclasses.replace(train.preset(values).network, num_classes=CLASSES[values.dataset])
    return models.network(published.get(values.genotype), config)


def counts(path):
    """Returns (parameters, of the auxiliary head) as the head of a flagfile has them."""
    found = re.search(r"# Parameters: ([\d,]+)(?:, and ([\d,]+) of the auxiliary head)?\.\n", path.read_text())
    return tuple(int((number or "0").replace(",", "")) for number in found.groups())


class FlagfilesTest(parameterized.TestCase):
    def test_there_is_one_of_every_published_preset(self):
        used = {parsed(path).preset for path in PATHS}
        ours = {"digits", "small_images", "ofa_mobile_cifar", "ofa_mobile_imagenet"}
        others = {"nao_v1_rerank", "nao_v2_rerank", "nasbench201", "nasbench_macro"}
        assert used == set(presets.PRESETS) - ours - others

    @parameterized.parameters(*PATHS)
    def test_head_and_published_count(self, path):
        assert "\n# Published: " in path.read_text()
        network(parsed(path))
        name = path.stem.removeprefix("train_")
        claimed = [claim.params for claim in published.PUBLISHED[parsed(path).genotype].claims]
        if name not in OTHERS:
            assert counts(path)[0] in claimed or round(counts(path)[0], -3) in claimed

    def test_the_page_has_the_same_counts(self):
        rows = re.findall(r"^\| `(train_\w+)` \| [^|]+ \| ([\d,]+) \| ([\d,]+) \|", PAGE.read_text(), re.MULTILINE)
        found = {name: tuple(int(number.replace(",", "")) for number in numbers) for name, *numbers in rows}
        assert found == {path.stem: counts(path) for path in PATHS}

    @parameterized.parameters(*PATHS)
    @pytest.mark.slow
    def test_its_count_is_that_of_the_network(self, path):
        values = parsed(path)
        size = 224 if values.dataset == "imagenet" else 32
        assert counting.num_params(network(values), (size, size, 3)) == counts(path)
