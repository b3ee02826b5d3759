"""The page of published architectures is what the code writes, and every picture on it is sound."""

import dataclasses
import pathlib
import re

import pytest
from absl.testing import parameterized

from common.drawing import catalogue as page
from common.genotypes import published
from common.genotypes.published import Claim

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
COMMAND = "python -m launch.genotype --document=docs/genotypes.md"


@pytest.fixture(scope="module")
def files():
    return page.files()


def test_the_page_in_docs_is_up_to_date(files):
    stale = [
        path for path, text in files.items() if not (DOCS / path).is_file() or (DOCS / path).read_text("utf-8") != text
    ]
    assert not stale, f"run {COMMAND}: differing or absent are {', '.join(stale)}"
    left_over = {f"genotypes/{path.name}" for path in (DOCS / "genotypes").iterdir()} - set(files)
    assert not left_over, f"docs has pictures of what is not published: {', '.join(sorted(left_over))}"


def test_everything_published_is_on_it(files):
    text = files["genotypes.md"]
    assert COMMAND in text
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == list(published.PUBLISHED)
    assert re.findall(r"^!\[.*\]\((.*)\)", text, re.MULTILINE) == [path for path in files if path.endswith(".svg")]
    for made in published.PUBLISHED.values():
        start = text.index(f"\n## {made.name}\n")
        section = text[start : (text + "\n## ").index("\n## ", start + 1)]
        assert "".join(made.text.split()) in "".join(section.split())
        assert " ".join(made.source.split()) in " ".join(section.split())
        assert section.count("\n| ") == len(made.claims) + bool(made.claims)


class WriteTest(parameterized.TestCase):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.folder = tmp_path

    def test_it_writes_where_it_is_told(self):
        one = published.PUBLISHED["lanet"]
        claim = Claim("cifar10", "a|b", 1.5, "me", params=12_345_000)
        page.write(self.folder / "new" / "cells.md", {"lanet": dataclasses.replace(one, claims=(claim,), space=None)})
        assert sorted(path.name for path in (self.folder / "new").rglob("*")) == ["cells", "cells.md", "lanet.svg"]
        text = (self.folder / "new" / "cells.md").read_text("utf-8")
        assert "![lanet](cells/lanet.svg)" in text
        assert "| cifar10 | a\\|b | 1.5 | 12.345 million |  | me |" in text
        assert "in no search space" in text

    def test_it_refuses_what_is_no_page(self):
        with pytest.raises(ValueError, match=r"must be a path that ends in \.md; got 'page\.html'"):
            page.write("page.html")
