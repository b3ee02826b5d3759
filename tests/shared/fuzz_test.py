"""Invalid files and flags: one line of error message, no traceback, no hang."""

import contextlib
import functools
import io
import json
import pathlib
import tempfile

import hypothesis
import jax
import numpy as np
from absl.testing import parameterized
from hypothesis import strategies as st

from common import search, spaces, tables
from common.baselines import random_search
from common.records import journal as journal_lib
from common.records import measurements
from common.spaces import factory
from common.tables import table
from launch import baselines, build_table, lanas, nao, study
from tests.shared import troubled_evaluator as troubled

HEADER = {"space": "toy"}
SMALL = hypothesis.settings(max_examples=30, deadline=30_000, derandomize=True, database=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("event", "round", "archs", "at", "fitness", "cost", "ok", "reason", "seconds", "format", "header")


def given(*strategies):
    """Makes a test of examples that are the same in every run."""
    return lambda function: SMALL(hypothesis.given(*strategies)(function))


@functools.cache
def journal_lines() -> list[bytes]:
    """A sound journal: earlier measurements, rounds and results, of which some failed."""
    archs = np.array(troubled.SPACE.enumerate(), np.int32)
    earlier = measurements.Measurements(archs[:3], np.array([0.5, np.nan, 0.25], np.float32), np.ones(3, np.float32))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "journal.jsonl")
        with journal_lib.open_journal(path, HEADER) as journal:
            run(journal, earlier=earlier)
        return path.read_bytes().splitlines(keepends=True)


def run(journal, earlier=None):
    return search.run_search(
        jax.random.key(0), _searcher(), troubled.evaluator(raises=(5, 6, 7)), budget=6, journal=journal, earlier=earlier
    )


@functools.cache
def _searcher():
    return random_search.searcher(troubled.SPACE, random_search.Config(count=3))


def changed_line(lines):
    """A sound line with some fields taken out, or replaced by anything."""

    def change(line, removed, replaced):
        event = {name: value for name, value in json.loads(line).items() if name not in removed}
        return json.dumps({**event, **replaced}).encode() + b"\n"

    return st.builds(
        change,
        st.sampled_from(lines),
        st.sets(st.sampled_from(FIELDS), max_size=2),
        st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=2),
    )


@st.composite
def changed_bytes(draw, data: bytes):
    """`data` cut short, with bytes flipped, taken out or put in."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.sampled_from(("flip", "cut", "remove", "insert")))
        if kind == "flip" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 64))]
        else:
            data[at:at] = draw(st.binary(max_size=16))
    return bytes(data)


class JournalTest(parameterized.TestCase):
    def check(self, data):
        """A journal is resumed to a complete history, or rejected in one line and left unchanged."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "journal.jsonl")
            path.write_bytes(data)
            with contextlib.ExitStack() as stack:
                try:
                    journal = stack.enter_context(journal_lib.open_journal(path, HEADER))
                except ValueError:
                    assert path.read_bytes() == data
                    return
                kept = path.read_bytes()
                assert data.startswith(kept) or (b"\n" not in data and kept.count(b"\n") == 1)
                with contextlib.suppress(ValueError):  # rows that are not of the space, or too many
                    assert len(run(journal).archs) in (6, 9)
                assert path.read_bytes().startswith(kept)

    @given(
        st.lists(
            st.sampled_from(journal_lines())
            | changed_line(journal_lines())
            | JSON.map(lambda it: json.dumps(it).encode()),
            max_size=12,
        )
    )
    def test_lines(self, lines):
        self.check(journal_lines()[0] + b"".join(lines))

    @given(changed_bytes(b"".join(journal_lines())))
    def test_bytes(self, data):
        self.check(data)


@functools.cache
def table_bytes() -> bytes:
    """A sound table file, of a space that is small."""
    archs = spaces.get("nasbench_macro").enumerate()
    info = table.Info("nasbench_macro", "nasbench_macro", {"cifar10": {"validation": "v"}}, source="", licence="")
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "a.table")
        table.save(path, table.from_rows(info, archs, {"v": np.linspace(0, 1, len(archs))}))
        return path.read_bytes()


class TableTest(parameterized.TestCase):
    def check(self, name, data, read):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, name)
            path.write_bytes(data)
            with contextlib.suppress(ValueError):
                read(path)

    @given(changed_bytes(table_bytes()))
    def test_table(self, data):
        self.check("a.table", data, table.load)

    @given(changed_bytes(table_bytes()[:2000]), st.binary(max_size=64))
    def test_head(self, head, start):
        for data in (head + table_bytes()[2000:], start + table_bytes()):
            self.check("a.table", data, table.load)

    @given(
        st.dictionaries(st.text("0123", min_size=8, max_size=8) | st.text(max_size=4), JSON, max_size=3).map(json.dumps)
        | JSON.map(json.dumps)
        | st.text(max_size=64)
    )
    def test_published_json(self, text):
        read = tables.BENCHMARKS["nasbench_macro"].read
        self.check("nas-bench-macro_cifar10.json", text.encode("utf-8", "surrogatepass"), read)

    @given(st.sampled_from(["nasbench101", "nasbench201"]), st.binary(max_size=256), st.sampled_from((0, 1, 2)))
    def test_published_bytes(self, benchmark, data, at):
        published = tables.BENCHMARKS[benchmark]
        self.check(published.sources[at % len(published.sources)], data, published.read)


class MeasurementsTest(parameterized.TestCase):
    SPACE = factory.search_space("toy", (3, 2, 4), size=24, describe=str)

    def check(self, name, data):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, name)
            path.write_bytes(data)
            try:
                got = measurements.read(path, self.SPACE)
            except ValueError as error:
                assert name in str(error)  # noqa: PT017
                return
            assert len(got.archs) == len(got.fitness) == len(got.cost) > 0
            assert np.all((got.fitness >= 0) & (got.fitness <= 1) | np.isnan(got.fitness))

    @given(
        st.lists(
            st.fixed_dictionaries(
                {
                    "arch": st.lists(st.integers(-1, 4), min_size=2, max_size=4) | st.just([1, 1, 1]) | JSON,
                    "fitness": JSON,
                },
                optional={"cost": JSON},
            ).map(json.dumps)
            | JSON.map(json.dumps)
            | st.text(max_size=20),
            max_size=4,
        )
    )
    def test_json(self, lines):
        self.check("a.jsonl", "\n".join(lines).encode("utf-8", "surrogatepass"))

    @given(st.text('0123456789 ,."\n\r\0-einfx', max_size=60) | st.text(max_size=30), st.binary(max_size=4))
    def test_csv(self, text, end):
        for head in (b"", b"arch,fitness,cost\n", b"arch,fitness\n0 0 0,1\n"):
            self.check("a.csv", head + text.encode("utf-8", "surrogatepass") + end)


COMMANDS = {module.__name__: module.main for module in (lanas, nao, baselines, study, build_table)}


@functools.cache
def flag_names(command: str) -> tuple[str, ...]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert COMMANDS[command](["--help"]) == 0
    lines = [line.strip() for line in output.getvalue().splitlines()]
    return tuple(line[2:].partition(":")[0] for line in lines if line.startswith("--"))


_VALUES = st.sampled_from(
    ["", "0", "1", "-1", "nan", "1e999", "2.5", "true", "none", "/dev/null", "/nowhere", "a,b", "="]
)
_VALUES = _VALUES | st.text(max_size=6).filter(lambda text: "\0" not in text) | st.integers().map(str)


@st.composite
def command_lines(draw):
    command = draw(st.sampled_from(sorted(COMMANDS)))
    names = st.sampled_from(flag_names(command)) | st.text("-abz_=", min_size=1, max_size=6)
    flag = st.builds("--{}={}".format, names, _VALUES) | st.builds("--{}".format, names) | _VALUES
    return command, draw(st.lists(flag, max_size=4))


class FlagsTest(parameterized.TestCase):
    @given(command_lines())
    def test_flags(self, line):
        """One line on standard error with exit code 1 or 2, or it did what it should."""
        command, arguments = line
        last = ["--benchmark=nowhere", "--compilation_cache_dir="][: 1 + (command != "launch.build_table")]
        output, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = COMMANDS[command]([*arguments, *last])  # no benchmark, so no example starts a search
        assert code in (0, 1, 2), (code, errors.getvalue())
        if code:
            assert errors.getvalue().splitlines()[-1].startswith("error: "), errors.getvalue()
            is_short = len(errors.getvalue().splitlines()) == 1 and len(errors.getvalue()) < 2000
            assert is_short or "--traceback" in " ".join(arguments), errors.getvalue()
