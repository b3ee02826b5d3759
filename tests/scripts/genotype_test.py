"""`launch.genotype` end to end: output, files and error messages."""

import io
import sys
import unittest.mock

import pytest
from absl.testing import parameterized

from common.drawing import catalogue
from common.genotypes import formats, json_text, published
from launch import genotype
from tests.shared import folders

NAO_WS = published.PUBLISHED["nao_ws"].text


class GenotypeCommandTest(folders.FolderTest):
    def run_command(self, *arguments, code=0):
        return self.run_main(genotype.main, *arguments, code=code)

    def test_list(self):
        output, _ = self.run_command("--list")
        lines = output.splitlines()
        for name in published.PUBLISHED:
            assert any(line.split("│")[1].strip() == name for line in lines if line.count("│") > 2)
        assert "cifar10: test error 1.93 %" in output
        output, _ = self.run_command("--list_formats")
        for name in formats.FORMATS:
            assert name in output

    def test_show_is_the_default(self):
        output, _ = self.run_command("--genotype=nao_ptb")
        assert output == self.run_command("--genotype=nao_ptb", "--show")[0]
        assert "  11 = identity(1)\n" in output
        assert "ptb: test perplexity 56.02 (850 units, 27.30 million parameters); github.com/renqianluo/NAO" in output
        assert f"\nnao_rnn:\n{published.PUBLISHED['nao_ptb'].text}\n" in output
        assert f"\njson:\n{json_text.to_text(published.get('nao_ptb'))}" in output
        assert "nao_small" not in output

    def test_show_others(self):
        adjacency, names = [[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "maxpool3x3", "output"]
        text = str({"module_adjacency": adjacency, "module_operations": names})
        output, _ = self.run_command(f"--text={text}")
        assert output.startswith(
            "cell with an operation at each vertex\n  0 = input\n  1 = maxpool3x3 of 0\n  2 = output of 0, 1\n"
        )
        output, _ = self.run_command("--text=3 3 0 3 0 1", "--from_format=nasbench201_row")
        assert output.startswith("cell with an operation at each edge; 0 is the input, 3 the output\n")
        for name in ("lanet", "seminasnet"):
            output, _ = self.run_command(f"--genotype={name}")
            assert output.startswith(f"{name}: arXiv:")
            for text in formats.written(published.get(name)).values():
                assert text.rstrip() in output

    def test_document(self):
        with unittest.mock.patch.object(catalogue, "write") as write:
            assert self.run_command("--document=architectures.md")[0] == "wrote architectures.md\n"
        write.assert_called_once_with("architectures.md")

    def test_convert(self):
        output, _ = self.run_command("--genotype=nao_ws", "--convert_to=nao_small")
        assert output == f"{NAO_WS}\n"
        output, _ = self.run_command(f"--text={NAO_WS}", "--from_format=nao_small", "--convert_to=nao_small_tokens")
        assert output.startswith("1 8 1 11 3 9 2 10 ")
        with unittest.mock.patch.object(sys, "stdin", io.StringIO(output)):
            output, _ = self.run_command("--text=-", "--from_format=nao_small_tokens", "--convert_to=nao_small")
        assert output == f"{NAO_WS}\n"

    def test_standard_input_and_texts_whose_format_shows(self):
        darts = f"INFO genotype = {published.PUBLISHED['darts_v2'].text}\n"
        path = self.folder / "log.txt"
        path.write_text(darts)
        for arguments in ((f"--text={darts}",), (f"--genotype={darts}",), (f"--genotype={path}",)):
            output, _ = self.run_command(*arguments, "--convert_to=darts")
            assert output == f"{published.PUBLISHED['darts_v2'].text}\n"
        with unittest.mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe0\x00"), "utf-8")):
            _, errors = self.run_command("--text=-", code=1)
        assert errors == "error: standard input is not UTF-8 text\n"

    def test_output_files(self):
        svg, png, path = (self.folder / name for name in ("a.svg", "a.png", "found.json"))
        output, _ = self.run_command("--text=3 3 0 3 0 1", "--from_format=nasbench201_row", f"--output={path}")
        assert output == f"wrote {path}\n"
        output, _ = self.run_command(f"--genotype={path}", "--convert_to=nasbench201")
        assert output == "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|none~1|skip_connect~2|\n"
        result = self.folder / "result.json"
        result.write_text('{"best": 0.9}')
        _, errors = self.run_command("--genotype=lanet", f"--output={result}", code=1)
        assert errors == f"error: {result} exists and is no genotype, and is not replaced; name another file\n"
        self.run_command("--genotype=lanet", f"--output={path}")
        self.run_command("--genotype=seminasnet", f"--output={svg}")
        assert svg.read_text(encoding="utf-8").startswith("<svg")
        assert "seminasnet</text>" in svg.read_text(encoding="utf-8")
        self.run_command("--genotype=seminasnet", f"--output={png}")
        assert png.read_bytes().startswith(b"\x89PNG")

    def counted(self, *arguments):
        output, _ = self.run_command("--count", *arguments)
        lines = (line.split(": ") for line in output.splitlines())
        return {name: int(value.replace(",", "")) if name != "network" else value for name, value in lines}

    def test_count_a_small_network(self):
        few = self.counted("--genotype=lanet", "--num_cells=3", "--width=8")
        many = self.counted("--genotype=lanet", "--num_cells=3", "--width=8", "--num_classes=100")
        assert (few["network"], few["cells"], few["width"], few["classes"], few["pixels"]) == ("lanas", 3, 8, 10, 32)
        assert many["classes"] == 100
        # The last cell outputs 4 states of 4 * 8 channels.
        assert many["parameters"] - few["parameters"] == 90 * (4 * 4 * 8 + 1)
        assert many["multiply-adds"] - few["multiply-adds"] == 90 * 4 * 4 * 8

    @pytest.mark.slow
    def test_count_the_network_of_a_space(self):
        for name, network in (("seminasnet", "seminas"), ("naonet_a", "nao_pytorch_large")):
            assert self.counted(f"--genotype={name}")["network"] == network

    def test_count_networks_of_published_tables(self):
        """The formulas of NAS-Bench-201: multiply-adds of its program, and of NAS-Bench-Suite-Zero."""
        found = self.counted("--text=3 2 4 3 1 0", "--from_format=nasbench201_row")
        assert found["parameters"] == 73_306 + 2 * 243_040 + 28_000
        assert found["multiply-adds"] == 7_783_040 + 2 * 35_389_440 + 3_932_160
        assert found["with norms, ReLUs and pools"] == 7_943_872 + 2 * 35_819_520 + 4_362_240 + 1_290_240
        found = self.counted("--text=22212220", "--from_format=nasbench_macro")
        assert (found["network"], found["parameters"], found["multiply-adds"]) == ("nasbench_macro", 1985514, 85164544)

    @parameterized.parameters(
        ((), "give --genotype=NAME_OR_FILE, or --text and --from_format; --list shows the names"),
        (("--genotype=lanet", "--text=0"), "give --genotype or --text, not both"),
        (("--text=0",), "give --from_format, the format of --text"),
        (("--genotype=lanet", "--from_format=darts"), "--from_format is the format of --text"),
        (("--genotype=lanet", "--output=a.gif"), "a file that ends in .svg, .png or .json; got 'a.gif'"),
        (("--genotype=lanet", "--output=/no/such/folder/a.svg"), "cannot write /no/such/folder/a.svg: No such file"),
        (("--genotype=/dev",), "/dev is a folder, not a file"),
        (("--genotype=/dev/null",), "/dev/null is a device, not a file"),
        (("--genotype=nao_ptb", "--count"), "--count is for cells of convolutional networks and chains"),
        (("--genotype=seminasnet", "--count", "--width=8"), "--width is not a setting of the network seminas"),
    )
    def test_says_what_is_wrong(self, arguments, message):
        output, errors = self.run_command(*arguments, code=1)
        assert output == ""
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1
        assert message in errors
