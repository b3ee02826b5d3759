"""Kills searches (SIGKILL) at random moments, restarts them, and compares them with an uninterrupted search.

Each search is a command in its own process. It is killed when its journal reaches a random line, or at a random moment
during start-up; then it is restarted on the same folder and killed again, until the number of kills is reached and it
ends by itself. Checked after every kill: the earlier contents of the journal are still there (nothing lost), no row has
two results (nothing evaluated twice), and no worker outlives the search. Checked at the end: the history equals that of
the uninterrupted search.

    python -m benchmarks.kill_test
    python -m benchmarks.kill_test --commands='lanas --mode=asynchronous' --num_searches=20 --num_kills=5
"""

import collections
import functools
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import numpy as np
from absl import app, flags

from common.records import run_dir

_NAO = "nao --num_initial=20 --num_new=10 --count=10 --budget=60 --num_members=1 --fit_first=20 --fit_later=10"
COMMANDS = ("lanas --budget=60", _NAO)
_SECONDS_TO_END = 600


class Counts(collections.Counter):
    """Numbers of searches, kills and errors."""


def _define_flags():
    flags.DEFINE_multi_string("commands", COMMANDS, "commands of launch with their flags, without --seed and --workdir")
    flags.DEFINE_integer("num_searches", 5, "searches per command, each with its own seed")
    flags.DEFINE_integer("num_kills", 4, "kills per search")
    flags.DEFINE_integer("seed", 0, "random seed of the moments, and first seed of the searches")
    flags.DEFINE_string("folder", None, "folder of the runs; default: a temporary one")


def main(argv: Sequence[str]) -> None:
    """Kills the searches that the flags name and prints the counts."""
    del argv
    args = flags.FLAGS
    failed = False
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for command in args.commands:
            counts = Counts()
            for number in range(args.num_searches):
                moments = random.Random(f"{args.seed}/{number}/{command}")
                one = kill_search(
                    command,
                    pathlib.Path(folder),
                    seed=args.seed + number,
                    num_kills=args.num_kills,
                    moments=moments,
                )
                counts.update(one)
            print(f"{command}\n    {describe(counts)}", flush=True)
            failed |= bool(counts["lost"] + counts["measured twice"] + counts["different"] + counts["orphans"])
    sys.exit(1 if failed else 0)


def describe(counts: Counts) -> str:
    """Returns one line of all counts."""
    names = ("searches", "kills", "kills while starting", "kills while searching", "results at a kill")
    names += ("lost", "measured twice", "orphans", "different")
    return ", ".join(f"{counts[name]} {name}" for name in names)


def kill_search(command: str, folder: pathlib.Path, *, seed: int, num_kills: int, moments: random.Random) -> Counts:
    """Runs one uninterrupted search and one that is killed; returns the counts.

    Args:
      command: see --commands.
      folder: parent of their run folders.
      seed: of both searches.
      num_kills: kills of the second search.
      moments: random generator of the moments.
    """
    undisturbed, killed = folder / "undisturbed", folder / "killed"
    for path in (undisturbed, killed):
        shutil.rmtree(path, ignore_errors=True)
    started = time.monotonic()
    _end(_start(command, undisturbed, seed))
    seconds = time.monotonic() - started
    num_lines = len(_whole_lines(undisturbed))
    counts = Counts(searches=1)
    before: list[bytes] = []
    for kill in range(num_kills):
        process = _start(command, killed, seed)
        if moments.random() < 0.25:
            until = time.monotonic() + moments.uniform(0, seconds)
            is_over = _wait(process, functools.partial(_is_past, until))
        else:
            # Spread over the rest, so that the last kill is near the end.
            line = moments.randint(len(before), max(len(before), round(num_lines * (kill + 1) / num_kills)))
            is_over = _wait(process, functools.partial(_has_lines, killed, line))
            time.sleep(moments.uniform(0, 0.05))
        if is_over:
            break
        group = process.pid
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts["kills"] += 1
        counts["orphans"] += _survivors(group)
        after = _whole_lines(killed)
        counts["kills while searching" if len(after) > len(before) else "kills while starting"] += 1
        _compare(before, after, counts)
        counts["results at a kill"] += sum(b'"measured"' in line for line in after)
        before = after
    _end(_start(command, killed, seed))
    _compare(before, _whole_lines(killed), counts)
    fields = ["archs", "fitness", "status"]
    if "--evaluator=training" not in command:  # whose cost is the seconds that a training took
        fields.append("cost")
    counts["different"] += not _is_same(undisturbed, killed, fields)
    return counts


def _start(command, workdir, seed):
    """Starts a search, with its workers, in its own process group."""
    log = workdir.with_suffix(".log").open("ab")
    with log:
        return subprocess.Popen(
            [sys.executable, "-m", *_words(command), f"--seed={seed}", f"--workdir={workdir}"],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _words(command):
    name, *rest = shlex.split(command)
    return [f"launch.{name}", *rest]


def _end(process):
    if process.wait(_SECONDS_TO_END) != 0:
        raise RuntimeError(f"{' '.join(process.args)} ended with {process.returncode}; see its .log")


def _wait(process, is_time):
    """Waits for the moment of a kill; returns whether the process ended earlier."""
    while not is_time():
        if process.poll() is not None:
            return True
        time.sleep(0.001)
    return process.poll() is not None


def _is_past(until):
    return time.monotonic() > until


def _has_lines(workdir, count):
    return len(_whole_lines(workdir)) >= count


def _survivors(group):
    """Returns the number of processes of a group a few seconds after its first was killed, and ends them."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        alive = _members(group)
        if not alive:
            return 0
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return len(alive)


def _members(group):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # it has just ended
        if int(pgrp) == group and state != "Z":
            found.append(path.parent.name)
    return found


def _whole_lines(workdir):
    path = workdir / run_dir.JOURNAL
    data = path.read_bytes() if path.exists() else b""
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def _compare(before, after, counts):
    """Counts lost lines, and rows with two results."""
    counts["lost"] += sum(line not in after[at : at + 1] for at, line in enumerate(before))
    rows = collections.Counter(event["at"] for event in map(json.loads, after) if event.get("event") == "measured")
    counts["measured twice"] += sum(count - 1 for count in rows.values())


def _is_same(first, second, fields):
    histories = [run_dir.read_history(path / run_dir.HISTORY)[0] for path in (first, second)]
    return all(
        np.array_equal(*(np.asarray(one[name]) for one in histories), equal_nan=name == "fitness") for name in fields
    )


if __name__ == "__main__":
    _define_flags()
    app.run(main)
