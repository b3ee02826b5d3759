"""The journal: what is written is read again, torn ends are dropped, damage and other searches are refused."""

import json
import math
import pathlib
import tempfile

import chex
import numpy as np
import pytest

from common import journal as journal_lib
from common import types

HEADER = {"space": "toy", "seed": 3, "config": {"count": 2}}
ROUNDS = (np.array([[0, 1], [2, 0]], np.int32), np.array([[1, 1], [2, 2]], np.int32))


def evaluation(fitness, cost=1.5, ok=True):
    return types.Evaluation(
        fitness=np.array([fitness], np.float32), cost=np.array([cost], np.float32), ok=np.array([ok])
    )


class JournalTest(chex.TestCase):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "journal.jsonl")

    def write(self):
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_proposed(0, ROUNDS[0])
            journal.write_measured(np.array([1]), evaluation(1 / 3))
            journal.write_measured(np.array([0]), evaluation(math.nan, cost=math.inf))
            journal.write_proposed(1, ROUNDS[1])
            journal.write_measured(np.array([2]), evaluation(0.5, ok=False))
        return self.path.read_bytes().splitlines(keepends=True)

    def test_what_is_written_is_read_again(self):
        lines = self.write()
        assert len(lines) == 6
        with journal_lib.open_journal(self.path, HEADER) as journal:
            for round_, archs in enumerate(ROUNDS):
                np.testing.assert_array_equal(journal.proposed[round_], archs)
            got = journal.evaluation(np.array([0, 1, 2]))
            np.testing.assert_array_equal(got.fitness, np.array([np.nan, 1 / 3, np.nan], np.float32))
            np.testing.assert_array_equal(got.cost, np.array([np.nan, 1.5, 1.5], np.float32))
            np.testing.assert_array_equal(got.ok, [False, True, False])
            np.testing.assert_array_equal(journal.missing(np.arange(4)), [3])
        assert self.path.read_bytes().splitlines(keepends=True) == lines

    def test_lines_are_on_disk_as_soon_as_they_are_written(self):
        journal = journal_lib.open_journal(self.path, HEADER)
        self.addCleanup(journal.close)
        assert len(self.path.read_bytes().splitlines()) == 1
        journal.write_proposed(0, ROUNDS[0])
        assert json.loads(self.path.read_bytes().splitlines()[1])["archs"] == [[0, 1], [2, 0]]
        journal.write_measured(np.array([1]), evaluation(0.25))
        assert json.loads(self.path.read_bytes().splitlines()[2])["fitness"] == 0.25

    def test_torn_at_every_byte(self):
        whole = b"".join(self.write())
        for size in range(len(whole) + 1):
            self.path.write_bytes(whole[:size])
            with journal_lib.open_journal(self.path, HEADER) as journal:
                num_lines = whole[:size].count(b"\n")
                assert len(journal.proposed) + len(journal.measured) == max(num_lines - 1, 0)
            kept = self.path.read_bytes()
            assert kept.startswith(whole[: whole[:size].rfind(b"\n") + 1])
            assert kept.count(b"\n") == max(num_lines, 1)

    def test_goes_on_after_a_torn_line(self):
        lines = self.write()
        self.path.write_bytes(b"".join(lines)[:-9])
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_measured(np.array([2]), evaluation(0.75))
        with journal_lib.open_journal(self.path, HEADER) as journal:
            assert journal.measured[2].fitness == 0.75

    def test_clock_goes_on(self):
        lines = self.write()
        lines[-1] = lines[-1].replace(b'"seconds": 0', b'"seconds": 500')
        self.path.write_bytes(b"".join(lines))
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_measured(np.array([3]), evaluation(0.75))
            assert 500 <= journal.measured[3].seconds < 600

    def test_damaged_line_is_named(self):
        lines = self.write()
        for number, damaged in (
            (1, b'{"format": 1, "head\n'),
            (3, b'{"event": "meas\n'),
            (3, b"\0\0\0\n"),
            (3, b"17\n"),
            (3, b'{"event": "measured", "at": 9, "fitness": 0, "cost": 0, "ok": true, "seconds": 0}\n'),
            (4, lines[2]),  # row 1 twice
            (2, lines[4]),  # round 1 first
            (5, b'{"event": "started", "seconds": 0}\n'),
            (5, b'{"event": "proposed", "round": 1, "archs": [[1], [1, 2]], "seconds": 0}\n'),
        ):
            changed = list(lines)
            changed[number - 1] = damaged
            self.path.write_bytes(b"".join(changed))
            with pytest.raises(ValueError, match=rf"line {number} of .*journal.jsonl is damaged"):
                journal_lib.open_journal(self.path, HEADER)
            assert self.path.read_bytes() == b"".join(changed)

    def test_other_searches_are_refused(self):
        lines = self.write()
        for other, message in (
            ({"seed": 4}, "seed was 3 and is now 4"),
            ({"space": "nasbench201"}, "space was 'toy' and is now 'nasbench201'"),
            ({"config": {"count": 3}}, "config was {'count': 2} and is now {'count': 3}"),
            ({"dataset": "cifar10"}, "dataset was None and is now 'cifar10'"),
        ):
            with pytest.raises(ValueError, match=f"is of another search: {message}; start in a fresh folder"):
                journal_lib.open_journal(self.path, {**HEADER, **other})
        self.path.write_bytes(lines[0].replace(b'"format": 1', b'"format": 2') + b"".join(lines[1:]))
        with pytest.raises(ValueError, match="not a journal of format 1"):
            journal_lib.open_journal(self.path, HEADER)

    def test_header_may_hold_tuples(self):
        for _ in range(2):
            journal_lib.open_journal(self.path, {"sizes": (1, 2)}).close()
