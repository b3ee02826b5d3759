"""Checks and timings on an accelerator within given minutes: values, searches, training steps, NAO-WS on CIFAR-10.

Each stage is a process of its own with a time limit. One that fails or is stopped is reported with what it measured
until then, and the next one runs; device.json is written after each. The last stage takes the time that is left.

  values      programs on the device and on the CPU of the same process: largest relative difference
  studies     searches a second of LaNAS and NAO on the table that ships, all seeds in one program
  controller  epochs of NAO's controller a second, of 1, 8 and 32 seeds
  supernet    training steps with shared weights a second, and architectures scored a second
  lanet_36, naonet_a_36   images a second in training, bfloat16; and of PyTorch where it is installed, channels last,
              bfloat16, as it is and by torch.compile
  nao_ws      the search of NAO-WS on CIFAR-10, scaled to the time left; needs --cifar10

    python -m benchmarks.device --output=device --cifar10=cifar10_jpeg_q75.npz
    python -m benchmarks.device --output=device --stages=values,studies --minutes=3
    python -m benchmarks.device --output=device --dry_run

A dry run has toy sizes, for a CPU: two minutes.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from absl import app, flags

LIMITS = {  # seconds; None: what is left
    "values": 80,
    "studies": 80,
    "controller": 50,
    "supernet": 90,
    "lanet_36": 120,
    "naonet_a_36": 140,
    "nao_ws": None,
}


def _define_flags():
    flags.DEFINE_list("stages", list(LIMITS), "stages to run, in this order")
    flags.DEFINE_float("minutes", 12, "time of all stages")
    flags.DEFINE_string("output", None, "folder of device.json, and of the log and the results of each stage")
    flags.DEFINE_string("cifar10", None, "CIFAR-10 as JPEGs in one file, see benchmarks.unpack_cifar10")
    flags.DEFINE_bool("dry_run", False, "toy sizes")
    flags.DEFINE_string("stage", None, "run this stage in this process, and write its results to --output")
    flags.DEFINE_float("seconds", 60, "with --stage: its time limit")
    flags.mark_flag_as_required("output")


def main(argv: Sequence[str]) -> None:
    """Runs all stages, or one of them in this process."""
    del argv
    args = flags.FLAGS
    if args.stage:
        from benchmarks import device_stages  # JAX, which takes the device's memory

        return device_stages.run(
            args.stage, pathlib.Path(args.output), args.seconds, is_dry=args.dry_run, cifar10=args.cifar10
        )
    if unknown := sorted(set(args.stages) - set(LIMITS)):
        raise ValueError(f"unknown stages {', '.join(unknown)}; choose some of {', '.join(LIMITS)}")
    if args.dry_run:  # compiling small programs takes longer than running them
        os.environ.setdefault(
            "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        )
    more = [f"--dry_run={args.dry_run}", *([f"--cifar10={args.cifar10}"] if args.cifar10 else [])]

    def command(stage, output, seconds):
        words = [f"--stage={stage}", f"--output={output}", f"--seconds={seconds:.0f}", *more]
        return [sys.executable, "-m", "benchmarks.device", *words]

    run({name: LIMITS[name] for name in args.stages}, pathlib.Path(args.output), 60 * args.minutes, command)


def run(limits: Mapping[str, float | None], folder: pathlib.Path, seconds: float, command) -> dict[str, dict]:
    """Runs stages one after another, each in a process, and writes device.json after each.

    Args:
      limits: stage -> its time limit in seconds; None: the time left.
      folder: of the files.
      seconds: time of all stages; those that find none left are not started.
      command: (stage, file for its results, its time limit) -> the words of its command.

    Returns:
      Stage -> its results, with `status` ("done", or why not) and `seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    end, found = time.monotonic() + seconds, {}
    for stage, limit in limits.items():
        start = time.monotonic()
        limit = min(end - start, end - start if limit is None else limit)
        output, log = folder / f"{stage}.json", folder / f"{stage}.log"
        output.unlink(missing_ok=True)
        status = "not started: no time left"
        if limit > 1:
            with log.open("w") as file:
                status = _status(command(stage, output, limit), file, limit)
        results = json.loads(output.read_text()) if output.exists() else {}
        found[stage] = {"status": status, "seconds": round(time.monotonic() - start, 1), **results}
        (folder / "device.json").write_text(json.dumps(found, indent=2) + "\n")
        print(f"{stage}: {json.dumps(found[stage])}", flush=True)
    return found


def _status(words, log, limit):
    try:
        code = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, timeout=limit, check=False).returncode
    except subprocess.TimeoutExpired:
        return f"stopped after {limit:.0f} seconds"
    lines = pathlib.Path(log.name).read_text(errors="replace").strip().splitlines()
    return "done" if code == 0 else f"failed with exit code {code}: {lines[-1] if lines else ''}"


if __name__ == "__main__":
    _define_flags()
    app.run(main)
