"""Metrics logs resume; exported networks equal the trained ones; presets equal published settings."""

import dataclasses
import errno
import functools
import json
from unittest import mock

import jax
import numpy as np
import pytest
import safetensors.numpy
from absl.testing import parameterized

from common.genotypes import conversion, genotype, published
from common.networks import child, nasbench201, styles
from common.records import metrics_log
from common.training import augmentation, export, models, presets
from common.training import step as step_lib
from tests.shared import event_files

_CELL = genotype.Cell(nodes=((genotype.Branch("conv_1x1", 0), genotype.Branch("identity", 1)),), output=(2,))
GENOTYPE = genotype.CellGenotype(normal=_CELL, reduction=_CELL)
CONFIG = child.Config(num_cells=1, width=4, num_classes=5, style=styles.NAO_PYTORCH, auxiliary=False)
IMAGES = export.Images((8, 8, 2), (0.25, 0.5), (0.5, 0.25))


@functools.cache
def _variables(network):
    """Positive weights and statistics, without compiling an initializer."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: step_lib.init_variables(network, key, IMAGES.shape), jax.random.key(0))
    return jax.tree.map(lambda leaf: rng.uniform(0.1, 0.5, leaf.shape).astype(leaf.dtype), shapes)


class FolderTest(parameterized.TestCase):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path


class MetricsLogTest(FolderTest):
    def _log(self, start=0):
        settings = {"title": "run", "total": 9, "unit": "steps", "events": self.folder / "events"}
        return metrics_log.MetricsLog(self.folder / "metrics.jsonl", start=start, **settings)

    def _lines(self):
        return [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]

    def test_a_run_that_is_resumed(self):
        with self._log() as log:
            for step in (2, 4, 6):
                log.add({"step": step, "loss": step / 8}, scalars={"train/loss": step / 8}, note="")
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write('{"step": 8, "lo')  # as a kill leaves it
        with self._log(start=4) as log:
            assert [line["step"] for line in log.lines] == [2, 4]
            log.add({"step": 6, "loss": 1.0}, scalars={"train/loss": 1.0}, note="")
        assert self._lines() == [{"step": 2, "loss": 0.25}, {"step": 4, "loss": 0.5}, {"step": 6, "loss": 1.0}]
        found = list(event_files.events(self.folder / "events"))
        assert [event.step for event in found if event.session_log.status == event.session_log.START] == [5]
        assert event_files.scalars(self.folder / "events")[6, "train/loss"] == 1.0

    def test_a_full_disk_ends_the_run_and_a_jumping_clock_does_not(self):
        with self._log() as log, mock.patch("time.time", side_effect=[4e9, -4e9, 0.0]):
            for step in range(3):
                log.add({"step": step}, scalars={"train/loss": step}, note="")
        assert event_files.scalars(self.folder / "events") == {(step, "train/loss"): step for step in range(3)}
        full = OSError(errno.ENOSPC, "No space left on device")
        flush = mock.patch("tensorboardX.record_writer.RecordWriter.flush", side_effect=[full, None])
        with self._log(start=2) as log, flush, self.assertRaisesRegex(OSError, "No space left"):
            log.add({"step": 3}, scalars={"train/loss": 1.0}, note="")

    def test_a_run_that_starts_again(self):
        for loss in (0.5, 0.25):
            with self._log() as log:
                log.add({"step": 1, "loss": loss}, scalars={"train/loss": loss}, note="")
        assert self._lines() == [{"step": 1, "loss": 0.25}]
        assert event_files.scalars(self.folder / "events") == {(1, "train/loss"): 0.25}


class ExportTest(FolderTest):
    def _save(self, config=CONFIG):
        network = models.network(GENOTYPE, config)
        variables = _variables(network)
        path = self.folder / "model.safetensors"
        export.save(path, network, variables, IMAGES, about={"dataset": "made up"})
        return path, network, variables

    @parameterized.parameters(True, False)
    def test_five_lines_give_the_logits(self, is_standardized):
        style = dataclasses.replace(styles.NAO_PYTORCH, is_standardized=is_standardized)
        path, network, variables = self._save(dataclasses.replace(CONFIG, style=style))
        images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 2)).astype(np.uint8)

        model = export.load(path)
        scores = model.logits(images)

        values = augmentation.normalize(images, IMAGES.mean, IMAGES.std)
        wanted = jax.jit(lambda values: network.apply(variables, values, train=False).main)(values)
        np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-5)
        assert (model.network, model.about["dataset"], scores.shape) == (network, "made up", (3, 5))
        with self.assertRaisesRegex(ValueError, r"images must be uint8\[B, 8, 8, 2\]; got float32\[1, 8, 8, 2\]"):
            model.logits(np.zeros((1, 8, 8, 2), np.float32))
        stem = safetensors.numpy.load_file(path)["params.stem.convolution.kernel"]
        np.testing.assert_array_equal(stem, variables["params"]["stem"]["convolution"]["kernel"])

    def test_a_file_is_replaced_only_by_the_same_training(self):
        path, network, _ = self._save()
        export.check_replaceable(path, network, {"dataset": "made up"})
        export.check_replaceable(self.folder / "new", network, {})
        with self.assertRaisesRegex(ValueError, "is of another training \\(its dataset, seed differ\\); name another"):
            export.check_replaceable(path, network, {"dataset": "other", "seed": 1})
        wide = models.network(GENOTYPE, dataclasses.replace(CONFIG, width=6))
        with self.assertRaisesRegex(ValueError, "is of another training \\(its network differ\\)"):
            export.check_replaceable(path, wide, {"dataset": "made up"})
        (self.folder / "notes").write_text("my notes")
        with self.assertRaisesRegex(ValueError, "notes exists and is no exported network"):
            export.check_replaceable(self.folder / "notes", network, {})
        with self.assertRaisesRegex(ValueError, "there is no folder"):
            export.check_replaceable(self.folder / "no" / "x", network, {})
        export.check_replaceable(self.folder / "no" / "x", network, {}, folder=self.folder / "no")

    def test_files_that_are_refused(self):
        path, network, variables = self._save()
        with self.assertRaisesRegex(ValueError, "there is no file"):
            export.load(self.folder / "nothing")
        with self.assertRaisesRegex(ValueError, "there is no folder"):
            export.save(self.folder / "no" / "x", network, variables, IMAGES)
        torn = self.folder / "torn"
        torn.write_bytes(path.read_bytes()[:-10])
        with self.assertRaisesRegex(ValueError, "is cut short, damaged or not a safetensors file"):
            export.load(torn)
        arrays = safetensors.numpy.load_file(path)
        bare = self.folder / "bare"
        safetensors.numpy.save_file(arrays, bare)
        with self.assertRaisesRegex(ValueError, "no description of a network"):
            export.load(bare)
        wide = models.network(GENOTYPE, dataclasses.replace(CONFIG, width=6))
        export.save(path, network, _variables(wide), IMAGES)
        with self.assertRaisesRegex(ValueError, r"does not fit its own network: .* is float32\[.*\]; expected float32"):
            export.load(path)


class ModelsTest(parameterized.TestCase):
    @parameterized.parameters(*presets.PRESETS)
    def test_every_preset_survives_json(self, name):
        preset = presets.PRESETS[name]
        others = {child.Config: GENOTYPE, nasbench201.Config: conversion.from_arch("nasbench201", np.arange(6) % 5)}
        architecture = others.get(type(preset.network), published.get("seminasnet"))
        network = models.network(architecture, preset.network)
        assert models.from_dict(json.loads(json.dumps(models.to_dict(network)))) == network

    def test_networks_that_cannot_be_built(self):
        with self.assertRaisesRegex(ValueError, "which has no image classifier; give a genotype of"):
            models.network(published.get("nao_ptb"), CONFIG)
        for architecture, message in (
            (
                published.get("seminasnet"),
                "choose another preset: .*, nasbench_macro, seminasnet$",
            ),
            (conversion.from_arch("small_images", np.zeros(18, np.int32)), "choose another preset: small_images$"),
            (conversion.from_arch("convnet", np.array([4, 3, 0, 0, 0])), "no preset has networks of its blocks"),
        ):
            with self.assertRaisesRegex(ValueError, message):
                models.network(architecture, CONFIG)
        record = json.loads(json.dumps(models.to_dict(models.network(GENOTYPE, CONFIG))))
        del record["network"]["width"]
        with self.assertRaisesRegex(ValueError, "settings of another version: width missing or unknown"):
            models.from_dict(record)
        with self.assertRaisesRegex(ValueError, "not a network's genotype and settings"):
            models.from_dict({"genotype": {}})


class PresetsTest(parameterized.TestCase):
    @parameterized.parameters(
        *(("naonet_tf", 128, 600, 128, 0.024, 5e-4, 0.6, 0.7), ("nao_ws_tf", 36, 630, 144, 0.05, 2e-4, 0.8, 0.6)),
        *(("naonet_a_36", 36, 600, 128, 0.025, 3e-4, 0.6, 0.8), ("naonet_b_36", 36, 600, 128, 0.025, 3e-4, 0.6, 0.8)),
        ("naonet_a_128", 128, 600, 128, 0.025, 5e-4, 0.6, 0.7),
        ("naonet_v2_36", 36, 600, 128, 0.025, 5e-4, 0.6, 0.8),
        *(("nao_proxy_tf", 32, 25, 128, 0.024, 5e-4, 1.0, 0.7), ("lanet", 128, 1500, 32, 0.025, 3e-4, 1.0, 0.8)),
        ("lanas_proxy", 32, 101, 200, 0.025, 3e-4, 1.0, 0.8),
        ("lanas_oneshot_retrain", 36, 600, 64, 0.025, 3e-4, 1.0, 0.8),
    )
    def test_published_numbers(self, name, width, epochs, batch, rate, decay, dropout, drop_path):
        network, training, _ = presets.PRESETS[name]
        optimizer = training.optimizer
        assert (network.width, training.num_epochs, training.batch_size) == (width, epochs, batch)
        assert (optimizer.schedule.learning_rate, optimizer.weight_decay) == (rate, decay)
        assert (network.dropout_keep, network.drop_path_keep) == (dropout, drop_path)
        assert (training.loss.auxiliary_weight, optimizer.momentum) == (0.4, 0.9)
