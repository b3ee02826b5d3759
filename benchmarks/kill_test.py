"""Kills commands (SIGKILL) at random moments, restarts them, and compares what they write with an uninterrupted run.

Each run is a command in its own process. It is killed at a random time, at a random change of a file in its folder, or
while a file with a temporary name is there (a checkpoint, a table or a dataset that is being written); then it is
restarted on the same folder and killed again, until the number of kills is reached and it ends by itself. Checked after
every kill: earlier lines of journals, searches of a study and checkpoints are still there (nothing lost), no row of a
journal has two results (nothing evaluated twice), and no worker outlives the run. Checked at the end: journals,
histories, results, tables, datasets and the last checkpoint equal those of the uninterrupted run, times aside.

    python -m benchmarks.kill_test
    python -m benchmarks.kill_test --commands='lanas --mode=asynchronous' --num_searches=20 --num_kills=5
    python -m benchmarks.kill_test --commands=train --tamper   # bytes of the newest checkpoint change after a kill
    python -m benchmarks.kill_test --workers --commands='lanas --executor=process --num_workers=2 --budget=60'
    python -m benchmarks.kill_test --clock --num_lines=100000

With --fork, runs start from a process that has imported the project, which saves seconds each. In the killed runs
workers get into trouble if the evaluator is `benchmarks.troubles:evaluator`, and the clock jumps with --clock.
"""

import collections
import functools
import importlib
import os
import pathlib
import random
import shlex
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence

from absl import app, flags

from benchmarks import jumping_clock, troubles
from benchmarks import killed_folders as folders
from benchmarks import killed_runs as runs

_SHARED = "--supernet_width=2 --supernet_num_epochs=4 --supernet_num_images=64 --supernet_held_out=40"
_SHARED += " --supernet_batch_size=32"
_NAO = "--num_initial=20 --num_new=10 --count=10 --budget=60 --num_members=1 --fit_first=20 --fit_later=10"
COMMANDS = (
    "lanas --budget=60",
    "lanas --budget=60 --objectives=fitness,-params",
    f"nao {_NAO}",
    "study --algorithms=random,local_search --budget=10 --num_seeds=1000 --seeds_at_once=100",
    "train --width=4 --num_epochs=2 --batch_size=64 --steps_per_chunk=8 --checkpoint_seconds=0 --num_cells=3"
    " --genotype={genotype}",
    "train_supernet --space=lanas_oneshot --width=2 --num_epochs=4 --num_images=64 --held_out=40 --batch_size=32",
    f"lanas --evaluator=supernet --space=lanas_oneshot {_SHARED} --budget=12 --num_initial=4 --height=2",
    f"baselines --algorithm=random --evaluator=supernet --space=lanas_oneshot {_SHARED} --budget=12",
    f"benchmarks.shared_searches {_SHARED} --proxy_num_epochs=1 --algorithms=random,local_search --budget=20"
    " --num_best=2 --num_random=2 --num_trainings=1",
    "prepare_data --dataset=toy --source={images} --data_dir={folder}",
    "build_table --source={rows} --output={folder}/rows.table",
    "lanas --budget=60 --evaluator=benchmarks.troubles:evaluator --executor=process --num_workers=2 --copy_after=4",
)
_SECONDS_TO_END = 900
_DONE = "exists already; remove it to prepare toy again"
COUNTED = ("runs", "kills", "kills while starting", "kills while working", "kills while a file is written")
COUNTED += ("tampered checkpoints", "workers killed", "workers stopped", "results at a kill")
COUNTED += tuple(f"first evaluations that {kind}" for kind in troubles.KINDS)
ERRORS = ("lost", "measured twice", "orphans", "different")


def _define_flags():
    flags.DEFINE_multi_string(
        "commands", COMMANDS, "commands of launch, or modules, with their flags, without --seed and --workdir"
    )
    flags.DEFINE_integer("num_searches", 5, "runs per command, each with its own seed")
    flags.DEFINE_integer("num_kills", 4, "kills per run")
    flags.DEFINE_integer("seed", 0, "random seed of the moments, and first seed of the runs")
    flags.DEFINE_string("folder", None, "folder of the runs; default: a temporary one")
    flags.DEFINE_bool("tamper", False, "whether to damage the newest checkpoint after a kill, if there is an older one")
    flags.DEFINE_bool(
        "workers", False, "whether to kill, or stop and continue, worker processes instead of the command"
    )
    flags.DEFINE_float("reach", 0.6, "largest part of the uninterrupted run after which a kill comes; less: more kills")
    flags.DEFINE_bool("clock", False, "whether the clock jumps in the killed runs")
    flags.DEFINE_integer("num_lines", 0, "lines of a journal that is cut at random places and read, after the runs")
    flags.DEFINE_bool("fork", False, "whether to fork runs from a process that has imported the project")


def main(argv: Sequence[str]) -> None:
    """Kills the runs that the flags name and prints the counts."""
    del argv
    args = flags.FLAGS
    total = collections.Counter()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        folder = pathlib.Path(folder)
        sources = runs.write_sources(folder)
        for command in args.commands:
            counts = collections.Counter()
            start = functools.partial(runs.fork if args.fork else runs.spawn, sources=sources)
            if args.fork:
                importlib.import_module(runs.module_of(shlex.split(command)[0]))
            for number in range(args.num_searches):
                moments = random.Random(f"{args.seed}/{number}/{command}")
                kill = functools.partial(kill_run, tamper=args.tamper, reach=args.reach)
                counts += (disturb_workers if args.workers else kill)(
                    functools.partial(start, command, seed=args.seed + number, clock=args.clock),
                    folder,
                    num_kills=args.num_kills,
                    moments=moments,
                )
            print(f"{command}\n    {describe(counts)}", flush=True)
            total += counts
    if args.num_lines:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            folders.cut_journal(pathlib.Path(folder) / "journal.jsonl", args.num_lines, random.Random(args.seed))
    if len(args.commands) > 1:
        print(f"all\n    {describe(total)}", flush=True)
    sys.exit(1 if any(total[name] for name in ERRORS) else 0)


def describe(counts: collections.Counter) -> str:
    """Returns one line of all counts."""
    return ", ".join(
        f"{counts[name]} {name}" for name in (*COUNTED, *ERRORS) if counts[name] or name not in COUNTED[4:]
    )


def kill_run(
    start, folder: pathlib.Path, *, num_kills: int, moments: random.Random, tamper: bool = False, reach: float = 0.6
):
    """Runs a command once undisturbed and once with kills; returns the counts.

    Args:
      start: starts the command on a folder: (path, is_troubled=True in a run that is killed) -> process.
      folder: parent of the folders of both runs.
      num_kills: kills of the second run.
      moments: random generator of the moments.
      tamper: whether the newest of several checkpoints is damaged after a kill.
      reach: largest part of the time or changes of the undisturbed run after which a kill comes.
    """
    undisturbed, killed = _fresh(folder)
    counts = collections.Counter(runs=1)
    watch = folders.Watch(undisturbed)
    started = time.monotonic()
    _end(start(undisturbed), watch)
    seconds, num_changes, num_temporary = time.monotonic() - started, watch.num_changes, watch.num_temporary
    before = folders.progress(killed)
    for _ in range(num_kills):
        watch, kind = (
            folders.Watch(killed),
            moments.choices(("time", "change", "file"), (1, 2, 2 * bool(num_temporary)))[0],
        )
        until = time.monotonic() + moments.uniform(0, reach * seconds)  # as it resumes, it ends earlier
        change, file = (moments.randint(1, max(1, round(reach * num))) for num in (num_changes, num_temporary))
        is_time = {
            "time": lambda until=until: time.monotonic() > until,
            "change": lambda change=change, watch=watch: watch.num_changes >= change,
            "file": lambda file=file, watch=watch: watch.num_temporary >= file,
        }[kind]
        process = start(killed, is_troubled=True)
        while not is_time() and process.poll() is None:
            watch.look()
            time.sleep(0.001)
        if process.poll() is not None:
            _end(process, watch)
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts["kills"] += 1
        counts["kills while a file is written"] += kind == "file"
        counts["orphans"] += runs.survivors(process.pid)
        after = folders.progress(killed)
        counts["kills while working" if watch.num_changes else "kills while starting"] += 1
        counts["results at a kill"] += sum(len(lines) for lines in after.values())
        counts += folders.faults(before, after)
        before = after
        if tamper and folders.tamper(killed, moments):
            counts["tampered checkpoints"] += 1
            before = {name: lines for name, lines in after.items() if not name.endswith(folders.STEPS)}
    _end(start(killed, is_troubled=True), folders.Watch(killed))
    counts += folders.faults(before, folders.progress(killed)) + _troubles(killed)
    return counts + _compared(undisturbed, killed)


def disturb_workers(start, folder: pathlib.Path, *, num_kills: int, moments: random.Random):
    """Runs a command undisturbed, and once more while its workers are killed or stopped for a while."""
    undisturbed, killed = _fresh(folder)
    counts = collections.Counter(runs=1)
    started = time.monotonic()
    _end(start(undisturbed), folders.Watch(undisturbed))
    seconds = time.monotonic() - started
    process = start(killed, is_troubled=True)
    for _ in range(num_kills):
        until = time.monotonic() + moments.uniform(0, seconds / num_kills)
        while time.monotonic() < until and process.poll() is None:
            time.sleep(0.01)
        if workers := runs.workers(process.pid):
            victim, is_stopped = moments.choice(workers), moments.random() < 0.5
            os.kill(victim, signal.SIGSTOP if is_stopped else signal.SIGKILL)
            counts["workers stopped" if is_stopped else "workers killed"] += 1
            if is_stopped:
                time.sleep(moments.uniform(0, 2))
                runs.signal_if_alive(victim, signal.SIGCONT)
    _end(process, folders.Watch(killed))
    counts += folders.faults({}, folders.progress(killed)) + _troubles(killed)
    return counts + _compared(undisturbed, killed)


def _fresh(folder):
    paths = folder / "undisturbed", folder / "killed"
    for path in (*paths, *map(runs.troubles_of, paths)):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    shutil.copy(jumping_clock.__file__, runs.troubles_of(paths[1]) / "sitecustomize.py")
    return paths


def _troubles(folder):
    found = troubles.counts(runs.troubles_of(folder))
    return collections.Counter({f"first evaluations that {kind}": num for kind, num in found.items() if num})


def _end(process, watch):
    """Waits for the end of a run and watches its folder meanwhile."""
    until = time.monotonic() + _SECONDS_TO_END
    while process.poll() is None and time.monotonic() < until:
        watch.look()
        time.sleep(0.002)
    log = watch.folder.with_suffix(".log").read_text(errors="replace")
    if process.poll() != 0 and not log.rstrip().endswith(_DONE):  # a dataset that is complete is not written again
        raise RuntimeError(f"a run in {watch.folder} ended with {process.poll()}; see {watch.folder}.log")


def _compared(first, second):
    differing = folders.differences(first, second)
    if differing:
        print(f"    different: {', '.join(differing)}", flush=True)
    return collections.Counter(different=bool(differing))


if __name__ == "__main__":
    _define_flags()
    app.run(main)
