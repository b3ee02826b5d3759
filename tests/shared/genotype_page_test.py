"""The page of published architectures is up to date and complete."""

import dataclasses
import pathlib
import re

import pytest

from common.drawing import catalogue
from common.genotypes import published

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
COMMAND = "python -m launch.genotype --document=docs/genotypes.md"


@pytest.fixture(scope="module")
def files():
    return catalogue.files()


def content(path, text):
    """Returns the content of a page; of a picture its words and how many lines it has, as places depend on a solver."""
    if not path.endswith(".svg"):
        return text
    return sorted(re.findall(r">([^<]+)<", text)), text.count("<path"), text.count("<rect")


def test_the_page_in_docs_is_up_to_date(files):
    assert {f"genotypes/{path.name}" for path in (DOCS / "genotypes").iterdir()} | {"genotypes.md"} == set(files)
    stale = [path for path, text in files.items() if content(path, text) != content(path, (DOCS / path).read_text())]
    assert not stale, f"run {COMMAND}: {', '.join(stale)} differ"


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


def test_into_any_folder(tmp_path, monkeypatch):
    claim = published.Claim("cifar10", "a|b", 1.5, "me", params=12_345_000)
    made = dataclasses.replace(published.PUBLISHED["lanet"], claims=(claim,), space=None)
    monkeypatch.setattr(published, "PUBLISHED", {"lanet": made})
    catalogue.write(tmp_path / "new" / "cells.md")
    assert sorted(path.name for path in (tmp_path / "new").rglob("*")) == ["cells", "cells.md", "lanet.svg"]
    text = (tmp_path / "new" / "cells.md").read_text("utf-8")
    assert "![lanet](cells/lanet.svg)" in text
    assert "| cifar10 | a\\|b | 1.5 | 12.345 million |  | me |" in text
    assert "in no search space" in text
    with pytest.raises(ValueError, match=r"must be a path that ends in \.md; got 'page\.html'"):
        catalogue.write("page.html")
