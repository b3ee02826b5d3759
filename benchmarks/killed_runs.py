"""Processes of commands for `benchmarks.kill_test`: how they start, and their workers."""

import importlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping

import numpy as np
from absl import logging

from benchmarks import jumping_clock, troubles

_SOURCES = {"images": "images.npz", "rows": "rows.csv", "genotype": "cell.json"}


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


def troubles_of(folder: pathlib.Path) -> pathlib.Path:
    """Returns the folder beside that of a run where its troubles are noted."""
    return folder.with_suffix(".troubles")


def _environment(folder, *, is_troubled, clock):
    """Returns environment variables; see `benchmarks.troubles` and `benchmarks.jumping_clock`."""
    path = str(troubles_of(folder))
    before = os.environ.get("PYTHONPATH")
    values = {troubles.FOLDER: path} if is_troubled else {}
    return values | ({"PYTHONPATH": f"{path}:{before}" if before else path} if is_troubled and clock else {})


def module_of(name: str) -> str:
    """Returns the module of a command: a name in `launch`, or a whole one."""
    return name if "." in name else f"launch.{name}"


def spawn(
    command: str,
    folder: pathlib.Path,
    *,
    seed: int,
    sources: Mapping[str, str],
    is_troubled: bool = False,
    clock: bool = False,
) -> subprocess.Popen:
    """Starts a command, with its workers, in its own process group, with troubles and a jumping clock on request."""
    name, *rest = _words(command, folder, seed, sources)
    environment = {**os.environ, **_environment(folder, is_troubled=is_troubled, clock=clock)}
    with folder.with_suffix(".log").open("ab") as log:
        words = [sys.executable, "-m", module_of(name), *rest]
        return subprocess.Popen(words, stdout=log, stderr=log, env=environment, start_new_session=True)


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


def fork(
    command: str,
    folder: pathlib.Path,
    *,
    seed: int,
    sources: Mapping[str, str],
    is_troubled: bool = False,
    clock: bool = False,
) -> Forked:
    """Starts a command as `spawn` does, in a fork of this process, which has imported it but not used JAX."""
    name, *rest = _words(command, folder, seed, sources)
    main = importlib.import_module(module_of(name)).main
    if pid := os.fork():
        return Forked(pid)
    code = 70
    try:
        os.setsid()
        os.environ.update(_environment(folder, is_troubled=is_troubled, clock=clock))
        if is_troubled and clock:
            jumping_clock.jump()
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
