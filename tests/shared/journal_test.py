"""Journal: round trip, torn ends are dropped, damaged files and other searches are rejected."""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from common import types
from common.records import journal as journal_lib
from common.records import json_lines, locks, measurements
from tests.shared import folders

HEADER = {"space": "toy", "seed": 3, "config": {"count": 2}}
ROUNDS = (np.array([[0, 1], [2, 0]], np.int32), np.array([[1, 1], [2, 2]], np.int32))


def outcome(at, fitness, cost=1.5, ok=True, reason=""):
    return [types.Outcome(at=at, fitness=fitness, cost=cost, ok=ok, reason=reason)]


class Case(folders.FolderTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "journal.jsonl"


class JournalTest(Case):
    def write(self):
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_proposed(0, ROUNDS[0])
            journal.write_measured(outcome(1, 1 / 3))
            journal.write_measured(outcome(0, math.nan, cost=math.inf))
            journal.write_proposed(1, ROUNDS[1])
            journal.write_measured(outcome(2, 0.5, ok=False, reason="diverged"))
        return self.path.read_bytes().splitlines(keepends=True)

    def test_what_is_written_is_read_again(self):
        lines = self.write()
        assert len(lines) == 6
        with journal_lib.open_journal(self.path, HEADER) as journal:
            for round_, archs in enumerate(ROUNDS):
                np.testing.assert_array_equal(journal.proposed[round_], archs)
            assert (list(journal.measured), journal.num_known) == ([1, 0, 2], {0: 0, 1: 2})
            fitness, cost, ok, reason, *_ = zip(*(journal.measured[at] for at in range(3)))
            np.testing.assert_array_equal(fitness, [np.nan, 1 / 3, np.nan])
            np.testing.assert_array_equal(cost, [np.nan, 1.5, 1.5])
            assert (ok, reason) == ((False, True, False), ("", "", "diverged"))
        assert self.path.read_bytes().splitlines(keepends=True) == lines

    def test_retried_rows(self):
        self.write()
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_measured(
                [outcome(3, math.nan, ok=False, reason="TypeError: no")[0]._replace(error="TypeError")]
            )
            assert journal.measured[3].error == "TypeError"
            assert journal.retry_failed() == 1
            assert (list(journal.measured), journal.retry_failed()) == ([1, 0, 2], 0)
            journal.write_measured(outcome(3, 0.25))
        read = journal_lib.read(self.path)
        assert [(at, result and result.ok) for at, result in read.results[2:]] == [
            (2, False),
            (3, False),
            (3, None),
            (3, True),
        ]
        assert read.measured[3].fitness == 0.25
        for rows in ([2], [3], [9], "x", [True]):
            with self.path.open("a") as file:
                size = file.tell()
                file.write(json.dumps({"event": "retried", "rows": rows, "seconds": 1}) + "\n")
            with pytest.raises(ValueError, match=r"line 10 of .* is damaged \(rows .* are retried and"):
                journal_lib.read(self.path)
            os.truncate(self.path, size)

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

    def test_clock_goes_on(self):
        lines = self.write()
        lines[-1] = lines[-1].replace(b'"seconds": 0', b'"seconds": 500')
        self.path.write_bytes(b"".join(lines))
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_measured(outcome(3, 0.75))
            assert 500 <= journal.measured[3].seconds < 600

    def test_results_out_of_range_are_not_written(self):
        self.write()
        before = self.path.read_bytes()
        with journal_lib.open_journal(self.path, HEADER) as journal:
            for results, message in (
                (outcome(3, 5.0), "fitness is 5, not a fraction from 0 to 1"),
                (outcome(3, 0.5, cost=-1.0), "cost is -1, not seconds from 0 up"),
            ):
                with pytest.raises(ValueError, match=message):
                    journal.write_measured(results)
            with pytest.raises(ValueError, match=r"the architecture \[2, 2\] was proposed before"):
                journal.write_proposed(2, ROUNDS[1][1:])
        assert self.path.read_bytes() == before

    def test_damaged_line_is_named(self):
        lines = self.write()
        for number, damaged in (
            (1, b'{"format": 1, "head\n'),
            (3, b'{"event": "meas\n'),
            (3, b"\0\0\0\n"),
            (3, b'{"event": "measured", "at": 9, "fitness": 0, "cost": 0, "ok": true, "seconds": 0}\n'),
            (4, lines[2]),  # row 1 twice
            (2, lines[4]),  # round 1 first
            (3, b'{"event": "measured", "at": 1, "fitness": 0.5, "cost": 0, "ok": "yes", "seconds": 0}\n'),
            (3, b'{"event": "measured", "at": 1, "fitness": 0.5, "cost": 0, "ok": true, "seconds": NaN}\n'),
            (3, 100_000 * b"[" + b"\n"),
            (2, b'{"event": "proposed", "round": 0, "archs": [["0", 1], [1, 2]], "seconds": 0}\n'),
            (2, b'{"event": "proposed", "round": 0, "archs": [], "seconds": 0}\n'),
            (5, b'{"event": "started", "seconds": 0}\n'),
            (5, b'{"event": "earlier", "archs": [[1, 2]], "fitness": [1], "cost": [1], "seconds": 0}\n'),
            (5, b'{"event": "proposed", "round": 1, "archs": [[1], [1, 2]], "seconds": 0}\n'),
            (5, b'{"event": "proposed", "round": 1, "archs": [[1, 1], [2, 0]], "seconds": 0}\n'),  # [2, 0] again
            (5, b'{"event": "proposed", "round": 1, "archs": [[1, 1, 1]], "seconds": 0}\n'),
            (3, b'{"event": "measured", "at": 1, "fitness": 5, "cost": 0, "ok": true, "seconds": 0}\n'),
            (3, b'{"event": "measured", "at": 1, "fitness": -0.1, "cost": 0, "ok": true, "seconds": 0}\n'),
            (3, b'{"event": "measured", "at": 1, "fitness": 0.5, "cost": -1e9, "ok": true, "seconds": 0}\n'),
            (3, b'{"event": "measured", "at": 1, "at": 0, "fitness": 0.5, "cost": 0, "ok": true, "seconds": 0}\n'),
            (2, b'{"event": "earlier", "archs": [[1, 2]], "fitness": [5], "cost": [1], "seconds": 0}\n'),
            (2, b'{"event": "earlier", "archs": [[1, 2], [1, 2]], "fitness": [1, 1], "cost": [1, 1], "seconds": 0}\n'),
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
            ({"config": {"count": 3}}, "count was 2 and is now 3"),
            ({"dataset": "cifar10"}, "dataset was None and is now 'cifar10'"),
        ):
            with pytest.raises(ValueError, match=f"is of another search: {message}; start in a fresh folder"):
                journal_lib.open_journal(self.path, {**HEADER, **other})
        many = dict.fromkeys("abcdefg", 1)
        for other, message in (
            (many, "; ".join(f"{name} was None and is now 1" for name in "abcde") + "; and 2 more; start in"),
            (many | {"algorithm": "nao"}, "another search: algorithm was None and is now 'nao'; start in"),
        ):
            with pytest.raises(ValueError, match=message):
                journal_lib.open_journal(self.path, {**HEADER, **other})
        self.path.write_bytes(lines[0].replace(b'"format": 1', b'"format": 2') + b"".join(lines[1:]))
        with pytest.raises(
            ValueError, match="not a journal of format 1, which this version reads, but one of format 2"
        ):
            journal_lib.open_journal(self.path, HEADER)

    def test_earlier_measurements(self):
        earlier = measurements.Measurements(
            np.array([[5, 5], [6, 6]], np.int32), np.array([0.1, np.nan], np.float32), np.array([np.nan, 3], np.float32)
        )
        for _ in range(2):
            with journal_lib.open_journal(self.path, HEADER) as journal:
                got = journal.agree_on_earlier(earlier)
                for field, values in zip(got, earlier):
                    np.testing.assert_array_equal(field, values)
                    assert field.dtype == values.dtype
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_proposed(0, ROUNDS[0])
            with pytest.raises(ValueError, match="row 1 of 4 is measured twice or was not proposed"):
                journal.write_measured(outcome(1, 0.5))  # measured earlier
        self.path.write_bytes(b"".join(self.path.read_bytes().splitlines(keepends=True)[:3]))
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_measured(outcome(3, 0.5))
        with journal_lib.open_journal(self.path, HEADER) as journal:
            assert list(journal.measured) == [3]


class LockTest(Case):
    def test_the_second_is_refused_and_told_by_whom(self):
        with journal_lib.open_journal(self.path, HEADER) as journal:
            journal.write_proposed(0, ROUNDS[0])
            before = self.path.read_bytes()
            self.path.write_bytes(before + b'{"eve')  # as if the holder were writing
            with pytest.raises(ValueError, match=rf"{self.path.parent} is in use by pid {os.getpid()} on .*; wait for"):
                journal_lib.open_journal(self.path, HEADER)
            assert self.path.read_bytes() == before + b'{"eve'
        journal_lib.open_journal(self.path, HEADER).close()

    def test_another_process_holds_it_until_it_is_killed(self):
        program = (
            "import sys; from common.records import locks\n"
            "with locks.hold(sys.argv[1], what='it'):\n    print('held', flush=True); sys.stdin.read()"
        )
        lock = f"{self.path}{json_lines.LOCK_SUFFIX}"
        root = pathlib.Path(__file__).parents[2]
        with subprocess.Popen(
            [sys.executable, "-c", program, lock], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(ValueError, match=f"in use by pid {holder.pid} on "):
                journal_lib.open_journal(self.path, HEADER)
            holder.kill()
        with locks.hold(lock, what="it"):
            assert f"pid {os.getpid()} on " in pathlib.Path(lock).read_text()


class FullDiskTest(Case):
    """System errors name the file; the journal can be resumed afterwards."""

    def limited(self, limit):
        """Runs a program that may write files of `limit` bytes at most, and fills a journal until it cannot."""
        program = f"""
import resource, sys
import numpy as np
from common.records import journal as journal_lib
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    with journal_lib.open_journal({str(self.path)!r}, {HEADER!r}) as journal:
        for round_ in range(len(journal.proposed), 1000):
            journal.write_proposed(round_, np.arange(20).reshape(4, 5) + 20 * round_)
except OSError as error:
    print(error.filename, error.strerror, len(journal.proposed) if "journal" in dir() else "none")
"""
        root = pathlib.Path(__file__).parents[2]
        done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.split()

    def test_nothing_half_written_is_left(self):
        for limit in (5, 777):
            self.path.unlink(missing_ok=True)
            name, *reason, num_proposed = self.limited(limit)
            assert (name, reason) == (str(self.path), ["File", "too", "large"])
            data = self.path.read_bytes()
            assert not data or data.endswith(b"\n")
            with journal_lib.open_journal(self.path, HEADER) as journal:
                if num_proposed != "none":
                    assert len(journal.proposed) == int(num_proposed)
                journal.write_proposed(len(journal.proposed), np.full((1, 5), 9999))

    def test_a_folder_that_is_deleted_or_moved_while_it_is_written_to(self):
        for number, remove in enumerate((shutil.rmtree, lambda folder: folder.rename(self.folder / "elsewhere"))):
            folder = self.folder / f"run{number}"
            folder.mkdir()
            with journal_lib.open_journal(folder / "journal.jsonl", HEADER) as journal:
                journal.write_proposed(0, ROUNDS[0])
                remove(folder)
                with pytest.raises(FileNotFoundError, match=r"was deleted or moved while .*: '.*/run./journal.jsonl'"):
                    journal.write_measured([types.Outcome(0, 0.5, 1.0, True)])
                assert not journal.measured
            assert not folder.exists()
        with journal_lib.open_journal(self.folder / "elsewhere" / "journal.jsonl", HEADER) as journal:
            assert list(journal.proposed) == [0]

    def test_a_device_that_is_full(self):
        with (
            open("/dev/full", "ab", buffering=0) as file,
            pytest.raises(OSError, match="No space left on device: '/dev/full'"),
        ):
            json_lines.append(file, [HEADER])
