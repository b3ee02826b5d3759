"""Which trainings can become longer in their folder, and what is said of the others."""

import dataclasses
import pathlib

from absl.testing import parameterized

from common import config as configs
from common.genotypes import genotype
from common.records import run_dir
from common.runs import longer, training_run
from common.training import checkpoints, presets
from tests.shared import folders

_CELL = genotype.Cell(nodes=((genotype.Branch("conv_1x1", 0), genotype.Branch("identity", 1)),), output=(2,))
TINY = genotype.CellGenotype(normal=_CELL, reduction=_CELL)


def made(num_epochs, *, drop_path_keep=1.0, seed=0, **fields):
    preset = presets.PRESETS["digits"]
    network = dataclasses.replace(preset.network, num_cells=1, width=4, drop_path_keep=drop_path_keep)
    training = configs.replace(preset.training, {"num_epochs": num_epochs, **fields})
    preset = preset._replace(network=network, training=training)
    return training_run.new(TINY, preset, "digits", None, stream=None, held_out=0, seed=seed)


class LongerTest(folders.FolderTest, parameterized.TestCase):
    def extended(self, before, now):
        """Returns the number of epochs in the record of a run, after a longer one has its folder."""
        folder = pathlib.Path(self.folder) / "run" / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        run_dir.write_json(folder / checkpoints.ABOUT, {"format": checkpoints.FORMAT, "about": before.about})
        longer.extend(folder, now)
        return checkpoints.read_about(folder)["training"]["num_epochs"]

    @parameterized.parameters(
        *({"schedule": schedule} for schedule in ("constant", "step", "exponential", "cosine_restarts")),
        {"schedule": "cosine", "period_epochs": 9},
        {"schedule": "constant", "drop_path_keep": 0.8, "progress_epochs": 4},
    )
    def test_steps_that_do_not_depend_on_the_number_of_epochs(self, **fields):
        before, now = made(2, **fields), made(3, **fields)
        assert self.extended(before, now) == 3
        with self.assertRaisesRegex(ValueError, "have changed since it began"):  # the images are known from now on
            checkpoints.check_about(self.folder / "run" / "checkpoints", now.about, now.images.checksum + 1)
        assert self.extended(now, before) == 3  # fewer are another run, which the checkpoints reject

    @parameterized.parameters(
        ({"schedule": "cosine"}, "of 2 epochs and cannot become one of 3, as the cosine .* fresh folder .--init_from"),
        ({"schedule": "constant", "drop_path_keep": 0.8}, "as the ramp of drop path .* fresh folder .--init_from"),
    )
    def test_steps_that_depend_on_it(self, fields, message):
        with self.assertRaisesRegex(ValueError, message):
            self.extended(made(2, **fields), made(3, **fields))

    def test_other_settings_that_differ(self):
        with self.assertRaisesRegex(ValueError, "are of another run: seed was 0 and is now 1"):
            self.extended(made(2, schedule="constant"), made(3, schedule="constant", seed=1))
