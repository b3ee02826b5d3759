"""PNG drawings equal the SVG ones, letters are no wider than assumed, and matplotlib's global state is not used."""

import math
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
from absl.testing import parameterized
from matplotlib import font_manager, textpath

from common.drawing import charts, lettering, pictures
from common.genotypes import published

SOME = ("naonet_a", "amoebanet_b_nao", "lanet", "nao_ptb", "seminasnet")


class PngTest(parameterized.TestCase):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.folder = tmp_path

    @parameterized.parameters(*SOME)
    def test_every_box_has_its_place_and_colour(self, name):
        genotype = published.PUBLISHED[name].genotype
        charts.draw_png(genotype, self.folder / "cell.png", title=name)
        picture = pictures.picture(genotype, title=name)
        pixels = np.asarray(PIL.Image.open(self.folder / "cell.png").convert("RGB"))
        assert pixels.shape[0] == pytest.approx(2 * picture.height, abs=2)
        assert pixels.shape[1] == pytest.approx(2 * picture.width, abs=2)
        for box in picture.boxes:
            if not box.is_behind and box.width > 20:
                # Near the lower edge, where boxes have neither words nor badges.
                x, y = box.x + box.width / 2, box.y + box.height - 2.5
                colour = "#" + bytes(pixels[math.floor(2 * y), math.floor(2 * x)].tolist()).hex()
                assert colour == box.fill, box

    def test_equal_genotypes_give_equal_files_whatever_the_title(self):
        for name in ("a.png", "b.png"):
            charts.draw_png(published.PUBLISHED["seminasnet"].genotype, self.folder / name, title=r"$\frac{")
        assert (self.folder / "a.png").read_bytes() == (self.folder / "b.png").read_bytes()

    def test_pyplot_stays_out(self):
        program = "import sys; from common.drawing import charts; sys.exit('matplotlib.pyplot' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class WidthTest(parameterized.TestCase):
    @parameterized.parameters("normal", "bold")
    def test_letters_are_no_wider_than_taken_for(self, weight):
        font = font_manager.FontProperties(family="DejaVu Sans", weight=weight, size=100)
        for letter in [*map(chr, range(32, 127)), lettering.TIMES, lettering.MINUS, "…", "é", "Ω", "\ufffd"]:
            # Between two bars, so that blanks count too.
            whole, _, _ = textpath.text_to_path.get_text_width_height_descent(f"|{letter}|", font, ismath=False)
            bars, _, _ = textpath.text_to_path.get_text_width_height_descent("||", font, ismath=False)
            assert whole - bars <= lettering.width(letter, 100.0, is_bold=weight == "bold") + 0.5, letter
