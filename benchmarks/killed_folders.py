"""Folders of runs for `benchmarks.kill_test`: what changes in them, what they hold, and how two of them compare."""

import collections
import itertools
import json
import os
import pathlib
import random
import time
from collections.abc import Mapping

import numpy as np

from common.records import journal

STEPS = "checkpoints"
_TIMES = ("seconds", "time", "memory", "workdir", "flags", "versions", "device", "starts", "per_second", "compile")
_IGNORED = (".log", "lock", ".html", ".md", "config.json", "about.json")  # words for people, and paths of the run
_IGNORED_FOLDERS = ("events", STEPS)


class Watch:
    """Counts the changes of files in a folder, and the files and folders with temporary names that appear in it."""

    def __init__(self, folder: pathlib.Path):
        """Starts with what is there."""
        self.folder, self.num_changes, self.num_temporary = folder, 0, 0
        self._seen = self._read()

    def look(self) -> None:
        """Counts what has changed since the last look."""
        now = self._read()
        self.num_changes += now != self._seen
        self.num_temporary += len({name for name in now.keys() - self._seen.keys() if _is_temporary(name)})
        self._seen = now

    def _read(self):
        found = {}
        for at, folders, files in os.walk(self.folder):
            found |= {os.path.join(at, name): (0, 0) for name in folders}
            for name in files:
                path = os.path.join(at, name)
                try:
                    status = os.stat(path)
                except OSError:
                    continue  # it has just been replaced
                found[path] = status.st_size, status.st_mtime_ns
        return found


def _is_temporary(path):
    name = os.path.basename(path)
    return "tmp" in name or "partial" in name or (name.startswith(".") and len(name) > 1)


def progress(folder: pathlib.Path) -> dict[str, list[bytes]]:
    """Returns the finished work of a run by file: lines of journals, searches of a study, steps with a checkpoint."""
    found = {}
    for path in sorted(folder.rglob("*.jsonl")):
        data = path.read_bytes()
        if data.startswith(b'{"format"'):
            found[str(path.relative_to(folder))] = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)
    for path in sorted(folder.rglob("history_*.npz")):
        with np.load(path) as file:
            found[path.name] = [rows.tobytes() for rows in file["archs"]]
    for path in sorted(folder.rglob(STEPS)):
        steps = _steps(path)
        found[str(path.relative_to(folder))] = [b"%d" % step for step in range(max(steps, default=0))]
    return found


def faults(before: Mapping[str, list[bytes]], after: Mapping[str, list[bytes]]) -> collections.Counter:
    """Counts entries that are lost, and rows of journals with two results."""
    counts = collections.Counter()
    for name, lines in before.items():
        kept = after.get(name, [])
        counts["lost"] += sum(line not in kept[at : at + 1] for at, line in enumerate(lines))
    for name, lines in after.items():
        if name.endswith(".jsonl"):
            events = [json.loads(line) for line in lines]
            rows = collections.Counter(event["at"] for event in events if event.get("event") == "measured")
            counts["measured twice"] += sum(count - 1 for count in rows.values())
    return counts


def tamper(folder: pathlib.Path, moments: random.Random) -> bool:
    """Damages the newest checkpoint of a run that has an older one; returns whether there was one."""
    for path in folder.rglob(STEPS):
        steps = _steps(path)
        if len(steps) < 2:
            continue
        files = sorted(file for file in (path / f"{max(steps):08}").rglob("*") if file.is_file())
        victim, how = moments.choice(files), moments.choice(("delete", "cut", "flip"))
        data = bytearray(victim.read_bytes())
        if how == "delete":
            victim.unlink()
        elif how == "cut":
            victim.write_bytes(data[: len(data) // 2])
        elif data:
            data[moments.randrange(len(data))] ^= 1 << moments.randrange(8)
            victim.write_bytes(data)
        return True
    return False


def _steps(path):
    return [int(entry.name) for entry in path.iterdir() if entry.is_dir() and entry.name.isdigit()]


def differences(first: pathlib.Path, second: pathlib.Path) -> list[str]:
    """Returns the files in which two folders of a run differ, times and words for people aside.

    Workers may end in another order, so the lines of a journal may be in another one.
    """
    found = []
    for read in (_files, _checkpoints):
        one, other = read(first), read(second)
        found += [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    return found


def _files(folder):
    """Returns name -> contents, without times."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        is_ignored = path.name.endswith(_IGNORED) or set(name.parts[:-1]) & set(_IGNORED_FOLDERS)
        if not path.is_file() or is_ignored or any(map(_is_temporary, name.parts)):  # a kill may leave such a file
            continue
        if path.suffix == ".npz":
            with np.load(path) as file:
                arrays = {key: values for key, values in file.items() if not _is_time(key)}
            found[str(name)] = {
                key: (values.dtype.str, values.shape, values.tobytes()) for key, values in arrays.items()
            }
        elif path.suffix in (".json", ".jsonl"):
            found[str(name)] = sorted(json.dumps(_without_times(json.loads(text))) for text in _texts(path))
        else:
            found[str(name)] = path.read_bytes()
    return found


def _texts(path):
    return path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]


def _checkpoints(folder):
    """Returns the record, with the checksums of all arrays, of the last checkpoint in each folder of them."""
    found = {}
    for path in folder.rglob(STEPS):
        if steps := _steps(path):
            found[str(path.relative_to(folder))] = (path / f"{max(steps):08}" / "told" / "metadata").read_text()
    return found


def _is_time(name):
    return any(word in name for word in _TIMES) or name in ("run", "cost")  # where networks train, costs are seconds


def _without_times(value):
    if isinstance(value, dict):
        kept = {name: _without_times(item) for name, item in value.items() if not _is_time(name)}
        if "trainings" in kept:  # of threads, in the order in which they ended
            kept["trainings"] = sorted(kept["trainings"], key=json.dumps)
        return kept
    return [_without_times(item) for item in value] if isinstance(value, list) else value


def cut_journal(path: pathlib.Path, num_lines: int, moments: random.Random, *, num_cuts: int = 5) -> None:
    """Writes a journal, cuts it at random places, and reads it; prints the times.

    Raises:
      RuntimeError: another number of events was read than there are whole lines.
    """
    count, header = 4, {"format": 1, "header": {}}
    lines, rows = [json.dumps(header)], itertools.product(range(10), repeat=6)
    for at in range(0, num_lines, count + 1):
        archs = list(itertools.islice(rows, count))
        events = [{"event": "proposed", "round": at // (count + 1), "archs": archs}]
        first = at // (count + 1) * count
        events += [
            {"event": "measured", "at": first + number, "fitness": 0.5, "cost": 1.0, "ok": True}
            for number in range(count)
        ]
        lines += [json.dumps({**event, "seconds": 0.1 * at}) for event in events]
    data = ("\n".join(lines) + "\n").encode()
    for cut in [len(data), *(moments.randrange(len(lines[0]) + 1, len(data)) for _ in range(num_cuts))]:
        path.write_bytes(data[:cut])
        started = time.process_time()
        read = journal.read(path)
        seconds = time.process_time() - started
        found, wanted = len(read.proposed) + len(read.measured), data[:cut].count(b"\n") - 1
        print(f"journal of {wanted + 1:,} lines: read in {seconds:.1f} s", flush=True)
        if found != wanted:
            raise RuntimeError(f"{found} events of {wanted} were read from a journal of {cut} bytes")
