"""Tests of the documents: programs run, commands accept their flags, links and paths exist.

The programs of a page run in order, as one, in an empty folder. A comment on the line before a program exempts it:
`<!-- slow: why -->` runs it with the slow tests only, `<!-- not run: what it needs -->` only compiles it.
"""

import contextlib
import importlib.util
import io
import pathlib
import re
import shlex
import tempfile
import textwrap
from typing import NamedTuple
from unittest import mock

import pytest
from absl.testing import parameterized

from common.runs import search as runs

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
}
COMMANDS = sorted(path.stem for path in (ROOT / "launch").glob("*.py") if "\ndef main(" in path.read_text())
PRINTED = {  # page: a pattern of the output of its programs
    "README.md": r"^wide-large( (narrow|wide)-(small|large)){0,4} 90\.46 %\n$",
    "docs/data.md": r"^\(32, 8, 8, 1\) float32 \(100,\)\n$",
    "docs/extending.md": r"^[a-z]+(\(\d+\)( \w+\(\d+\))*)? \d\d\.\d %\n\d\d\.\d %\n",
    "docs/lanas.md": r"^.* at best 90\.46 %\n$",
    "docs/nao.md": r"^.* at best 90\.46 %\n$",
}
FOREIGN = {"requeue"}  # flags of other programs, named by themselves


class Program(NamedTuple):
    """A Python block: its mark ("slow", "not run" or empty) and its text."""

    mark: str
    text: str


def programs(page):
    found = re.findall(r"(?:<!-- (slow|not run): [^\n]+ -->\n)?```python\n(.*?)```", page, re.DOTALL)
    return [Program(*one) for one in found]


def run(name, these):
    """Runs programs in one namespace, in an empty folder, and returns their output."""
    output, namespace = io.StringIO(), {"__name__": "page"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(output):
        for number, program in enumerate(these):
            exec(compile(program.text, f"{name}, program {number}", "exec"), namespace)
    return output.getvalue()


def spans(page):
    """Returns the inline code of running text."""
    prose = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def commands(page):
    """Returns (package, module, arguments) of every command line: in blocks, indented, or between backticks."""
    joined = re.sub(r"\\\n\s*", " ", page)
    lines = re.findall(r"^(?: {4}(?: {4})?|)[^`|\n]*?(python -m (?:launch|benchmarks)\..*)$", joined, re.MULTILINE)
    lines = [line for line in lines if "`" not in line]
    lines += [span for span in spans(page) if re.match(r"(python -m )?(launch|benchmarks)\.\w+( --|$)", span)]
    found = []
    for line in lines:
        package, module = re.search(r"(launch|benchmarks)\.(\w+)", line).groups()
        arguments = shlex.split(line.split(f"{package}.{module}", 1)[1], comments=True)
        found.append((package, module, tuple(arguments)))
    return list(dict.fromkeys(found))


def usage_error(package, module, arguments):
    """Returns the usage error of a command line, empty if there is none. Runs nothing."""
    if not (ROOT / package / f"{module}.py").is_file():
        return f"there is no {package}.{module}"
    if package == "benchmarks":  # their flags are global to the process, so search the source
        source = (ROOT / package / f"{module}.py").read_text(encoding="utf-8")
        names = [argument[2:].partition("=")[0] for argument in arguments]
        return " ".join(f"no flag --{name}" for name in names if f'"{name}"' not in source)
    if module not in COMMANDS:
        return "" if not arguments else f"{module} is no command"
    said = io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = importlib.import_module(f"launch.{module}").main([*arguments, "--help"])
    return said.getvalue() if code else ""


def settings_error(module, arguments):
    """Returns the error of a search before its first evaluation, empty if there is none."""

    def check(evaluator, searcher, options, **_):
        runs.check(options, searcher, evaluator.space, folder=None, evaluator=evaluator)
        raise ValueError("checked")

    said = io.StringIO()
    with mock.patch.object(runs, "run", check), contextlib.redirect_stderr(said):
        importlib.import_module(f"launch.{module}").main([*arguments])
    return "" if said.getvalue() == "error: checked\n" else said.getvalue()


def flag_names():
    """The names of all flags of commands and benchmarks."""
    names = set(FOREIGN)
    for path in (ROOT / "benchmarks").glob("*.py"):
        names |= set(re.findall(r'DEFINE_\w+\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    for command in COMMANDS:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            importlib.import_module(f"launch.{command}").main(["--help"])
        names |= set(re.findall(r"^  --(\w+):", said.getvalue(), re.MULTILINE))
    return names


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def broken_links(name, page):
    """Returns links to missing files or headings, and paths of the repository that do not exist."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page):
        path, _, anchor = target.partition("#")
        if re.match(r"https?://", target):
            continue
        whole = (ROOT / name).parent / path if path else ROOT / name
        if not whole.exists() or (anchor and anchor not in anchors(whole.read_text(encoding="utf-8"))):
            found.append(target)
    folders = "common|launch|nao_jax|lanas_jax|tests|benchmarks|docs"
    for path in re.findall(rf"(?<![\w/.-])((?:{folders})/[\w/*-]+(?:\.\w+)?)", page):
        if not list(ROOT.glob(path)):
            found.append(path)
    return found


_each_page = parameterized.parameters(*PAGES)


class DocumentationTest(parameterized.TestCase):
    @parameterized.parameters(*(name for name, page in PAGES.items() if programs(page)))
    def test_programs_run(self, name):
        found = programs(PAGES[name])
        for number, program in enumerate(found):
            compile(program.text, f"{name}, program {number}", "exec")
        quick = found[: next((at for at, program in enumerate(found) if program.mark), len(found))]
        printed = run(name, quick)
        if quick and name in PRINTED:
            self.assertRegex(printed, PRINTED[name])

    @parameterized.parameters(*(name for name, page in PAGES.items() if "\n<!-- slow: " in page))
    @pytest.mark.slow
    def test_slow_programs_run(self, name):
        printed = run(name, [program for program in programs(PAGES[name]) if program.mark != "not run"])
        if name in PRINTED:
            self.assertRegex(printed, PRINTED[name])

    def test_modules_of_the_reference_exist_and_are_in_it_once(self):
        pages = "\n".join(page for name, page in PAGES.items() if name.startswith("docs/api/"))
        modules = re.findall(r"^::: (\S+)$", pages, re.MULTILINE)
        assert [module for module in modules if importlib.util.find_spec(module) is None] == []
        assert len(set(modules)) == len(modules) > 50

    def test_every_page_is_in_the_navigation(self):
        navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
        pages = [name.removeprefix("docs/") for name in PAGES if re.match(r"docs/(api/)?\w+\.md", name)]
        assert [page for page in pages if f" {page}\n" not in navigation] == []

    @_each_page
    def test_marks_stand_before_a_program(self, name):
        marks = re.findall(r"^<!-- (?:slow|not run)\b", PAGES[name], re.MULTILINE)
        assert len(marks) == sum(bool(program.mark) for program in programs(PAGES[name]))

    @_each_page
    def test_commands_accept_their_flags(self, name):
        errors = {" ".join(command[1:2] + command[2]): usage_error(*command) for command in commands(PAGES[name])}
        assert {line: error for line, error in errors.items() if error} == {}

    def test_presets_in_running_text_suit_their_space(self):
        named = {command[1:] for page in PAGES.values() for command in commands(page) if command[1] in ("lanas", "nao")}
        named = {one for one in named if any(flag.startswith("--preset=") for flag in one[1])}
        errors = {one: settings_error(*one) for one in named if not any("data_dir" in flag for flag in one[1])}
        assert {one: error for one, error in errors.items() if error} == {}
        assert len(errors) > 3
        assert "below num_initial, 600" in settings_error("nao", ("--preset=nao_cnn",))

    def test_flags_named_by_themselves_are_flags(self):
        names = flag_names()
        names |= {f"no{name}" for name in names}
        for page, text in PAGES.items():
            named = {name for span in spans(text) if span.startswith("--") for name in re.findall(r"--(\w+)", span)} - {
                "help"
            }
            assert named <= names, (page, named - names)

    @_each_page
    def test_links_and_paths_exist(self, name):
        assert broken_links(name, PAGES[name]) == []

    def test_every_command_is_in_the_table(self):
        table = "\n".join(line for line in PAGES["README.md"].splitlines() if line.startswith("| `python"))
        assert sorted(set(re.findall(r"launch\.(\w+)", table))) == COMMANDS

    def test_errors_are_found(self):
        page = textwrap.dedent("""
            # A page

            Run `launch.study --no_such_flag=1` and `python -m launch.no_such`:

                python -m launch.lanas --budget=20 \\
                  --preset=lanas  # a comment

            See [here](nowhere.md), [there](#a-page), [and there](#another), common/types.py and `docs/no_such.md`.
        """)
        errors = {command[1:]: usage_error(*command) for command in commands(page)}
        assert errors[("lanas", ("--budget=20", "--preset=lanas"))] == ""
        assert "no_such_flag" in errors[("study", ("--no_such_flag=1",))]
        assert "there is no" in errors[("no_such", ())]
        assert len(errors) == 3
        assert broken_links("README.md", page) == ["nowhere.md", "#a-page", "#another", "docs/no_such.md"]
