"""Choice of the programs of a search by training: where one for all pays, and resuming with those it began with."""

import json
from unittest import mock

from absl.testing import parameterized

from common.evaluators import problem, training, training_config, training_program
from common.networks import supernet
from launch import baselines
from tests.shared import folders, tiny_supernet

BEGAN = "training programs: one for each architecture, as the search in this folder began so"


class ChosenTest(folders.FolderTest, parameterized.TestCase):
    def chosen(self, space="nao_small", *, budget=100, workdir=None, dataset="digits", **proxy):
        settings = problem.Training(space=space, dataset=dataset, proxy=training_config.Config(**proxy))
        found, line = training_program.chosen(settings, budget=budget, workdir=workdir)
        return found.proxy.program, line

    @parameterized.parameters("nao_small", "nao_middle", "nao_large", "lanas_oneshot")
    def test_one_program_where_it_takes_less_time(self, space):
        program, line = self.chosen(space, budget=4, num_cells=5, width=4)
        assert program == "shared"
        assert line.startswith("training programs: one for all architectures, as compiling one takes less time than 4;")

    @parameterized.parameters(
        ({"budget": 3}, "a budget of 3 is below 4, from which one for all takes less time"),
        ({"space": "lanas_cell"}, "'lanas_cell' has no network with shared weights"),
        ({"space": "small_images"}, "'small_images' is none of nao_small, nao_middle, nao_large, lanas_oneshot"),
        ({"preset": "nao_proxy_tf"}, "preset 'nao_proxy_tf' is not 'short'"),
        ({"fitness_epoch": "best"}, "fitness_epoch is not 'last'"),
    )
    def test_one_for_each_where_it_does_not(self, changes, why):
        assert self.chosen(**changes) == (None, f"training programs: one for each architecture, as {why}")

    def test_one_for_each_where_a_training_is_long(self):
        assert 90 * 727 * 64 * 8**2 <= training_program.MAX_WORK < 91 * 727 * 64 * 8**2
        assert self.chosen(num_epochs=90)[0] == "shared"
        why = "91 epochs of 727 images of 8x8 pixels take longer than compiling"
        assert self.chosen(num_epochs=91) == (None, f"training programs: one for each architecture, as {why}")
        assert self.chosen(width=64)[0] is None
        assert self.chosen(width=64, num_images=300)[0] == "shared"

    @parameterized.parameters("each", "shared")
    def test_what_is_given_is_left(self, program):
        assert self.chosen(budget=1, program=program) == (program, "")

    def test_a_search_on_a_table_trains_nothing(self):
        table = problem.Benchmark()
        assert training_program.chosen(table, budget=9, workdir=None) == (table, "")

    @parameterized.parameters(
        ("training/digits/preset=short", None),  # as all earlier versions wrote
        ("training/digits/preset=short,program=each,width=2", "each"),
        ("training/digits/preset=short,program=shared,width=2", "shared"),
    )
    def test_a_search_resumes_with_the_programs_it_began_with(self, name, program):
        (self.folder / "config.json").write_text(json.dumps({"benchmark": name}))
        for budget in (2, 100):
            found, line = self.chosen(budget=budget, workdir=str(self.folder))
            assert found == program
            assert line.endswith("as the search in this folder began so")

    def test_a_folder_of_another_search_is_not_followed(self):
        (self.folder / "config.json").write_text(json.dumps({"benchmark": "digits_convnet/digits"}))
        assert self.chosen(workdir=str(self.folder))[0] == "shared"


class CommandTest(folders.FolderTest):
    def search(self, *flags):
        """Returns (what a search printed, the name of its evaluator)."""
        fixed = ("--algorithm=random", "--evaluator=training", "--space=nao_small", "--count=1")
        tiny = ("--proxy_width=2", "--proxy_num_epochs=1", "--proxy_num_images=64", "--proxy_held_out=40")
        output, _ = self.run_main(baselines.main, *fixed, *tiny, f"--workdir={self.folder / 'run'}", *flags)
        return output, json.loads((self.folder / "run" / "config.json").read_text())["benchmark"]

    def test_a_search_with_one_program(self):
        self.enterContext(mock.patch.object(supernet, "Network", tiny_supernet.network))
        output, name = self.search("--budget=4")
        assert "training programs: one for all architectures, as compiling one takes less time than 4" in output
        assert ",program=shared" in name
        assert self.search("--budget=5")[1] == name

    def test_a_search_that_began_with_a_program_for_each(self):
        self.enterContext(mock.patch.object(training, "_accuracy", return_value=0.5))
        _, name = self.search("--budget=3")
        assert "program=" not in name
        output, resumed = self.search("--budget=6")
        assert BEGAN in output
        assert resumed == name
        lines = (self.folder / "run" / "journal.jsonl").read_text().splitlines()
        assert sum('"measured"' in line for line in lines) == 6
