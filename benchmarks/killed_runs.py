"""Runs of commands for `benchmarks.kill_test`: how they start, what their folders hold, and how two folders compare."""

import collections
import importlib
import json
import os
import pathlib
import random
import shlex
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping

import numpy as np
from absl import logging

STEPS = "checkpoints"
_SOURCES = {"images": "images.npz", "rows": "rows.csv", "genotype": "cell.json"}
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


def write_sources(folder: pathlib.Path) -> dict[str, str]:
    """Writes the files that commands read; returns their paths by the names in the commands."""
    random_ = np.random.default_rng(0)
    images, labels = random_.integers(0, 256, (400, 8, 8), np.uint8), np.arange(400) % 10
    np.savez(folder / "images.npz", x_train=images, y_train=labels, x_test=images[:50], y_test=labels[:50])
    rows = [f"{a} {b} {c} {d},{random_.uniform():.4f}" for a, b, c, d in np.ndindex(9, 9, 9, 9)]
    (folder / "rows.csv").write_text("\n".join(["arch,validation", *rows]) + "\n")
    cell = {"nodes": [[["conv_1x1", 0], ["identity", 1]]], "output": [2]}
    genotype = {"kind": "cell", "version": 1, "normal": cell, "reduction": cell}
    (folder / "cell.json").write_text(json.dumps(genotype))
    return {name: str(folder / file) for name, file in _SOURCES.items()}


def _words(command, folder, seed, sources):
    words = [word.format(folder=folder, **sources) for word in shlex.split(command)]
    return words if "{folder}" in command else [*words, f"--seed={seed}", f"--workdir={folder}"]


def spawn(command: str, folder: pathlib.Path, *, seed: int, sources: Mapping[str, str]) -> subprocess.Popen:
    """Starts a command, with its workers, in its own process group."""
    name, *rest = _words(command, folder, seed, sources)
    with folder.with_suffix(".log").open("ab") as log:
        words = [sys.executable, "-m", f"launch.{name}", *rest]
        return subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)


class Forked:
    """A forked process with the methods of `subprocess.Popen` that are needed here."""

    def __init__(self, pid: int):
        """Takes the process id of a child."""
        self.pid, self.returncode = pid, None

    def poll(self):
        """Returns the exit code, None while the process runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self):
        """Waits for the end and returns the exit code."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def send_signal(self, number):
        """Sends a signal."""
        os.kill(self.pid, number)


def fork(command: str, folder: pathlib.Path, *, seed: int, sources: Mapping[str, str]) -> Forked:
    """Starts a command as `spawn` does, in a fork of this process, which has imported it but not used JAX."""
    name, *rest = _words(command, folder, seed, sources)
    main = importlib.import_module(f"launch.{name}").main
    if pid := os.fork():
        return Forked(pid)
    code = 70
    try:
        os.setsid()
        logging.set_verbosity(logging.WARNING)
        log = os.open(folder.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = main(rest)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def survivors(group: int) -> int:
    """Returns the number of processes of a group ten seconds after its first was killed, and ends them."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        alive = _members(group)
        if not alive:
            return 0
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return len(alive)


def workers(group: int) -> list[int]:
    """Returns the worker processes of a group."""
    commands = {pid: pathlib.Path(f"/proc/{pid}/cmdline") for pid in _members(group) if pid != group}
    return [pid for pid, path in commands.items() if path.exists() and b"spawn_main" in path.read_bytes()]


def signal_if_alive(pid: int, number: int) -> None:
    """Sends a signal to a process that may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _members(group):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has just ended
        if int(pgrp) == group and state != "Z":
            found.append(int(path.parent.name))
    return found


def progress(folder: pathlib.Path) -> dict[str, list[bytes]]:
    """Returns what a run has finished, by file: lines of journals, searches of a study, steps with a checkpoint."""
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
        return {name: _without_times(item) for name, item in value.items() if not _is_time(name)}
    return [_without_times(item) for item in value] if isinstance(value, list) else value
