"""Feeds changed and generated files to every reader of the project, under a memory limit, and counts what goes wrong.

A reader may return, or raise a `ValueError` (or that a file is missing) of one line without the words of a parser.
Counted: other exceptions, processes that crash, inputs of more than two seconds of processor time.

    python -m benchmarks.fuzz_readers --num_inputs=1000000
    python -m benchmarks.fuzz_readers --readers=pickle,npz --num_inputs=20000 --seed=7
"""

import collections
import mmap
import os
import pathlib
import random
import re
import resource
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence

from absl import app, flags, logging

from benchmarks import fuzz_seeds

_BATCH = 50_000
_SLOWEST = "microseconds of the slowest"
_SLOW = 2.0  # seconds of processor time
_HANGS = 120.0  # seconds without progress
_PARSERS = re.compile(
    r"object at 0x|column \d+ \(char|unpickling|could not find MARK|invalid load key|leading zeros|<unknown>"
    r"|Object arrays cannot|invalid literal for|could not convert string|bytes-like object|values to unpack"
    r"|positional argument|Expecting |Extra data|\n"
)
_NUMBERS = [0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**60, 2**63 - 1, 2**64 - 1]
_TEXTS = (b"", b"[", b"]", b"{", b"}", b",", b":", b'"', b"null", b"-1", b"1e999", b"NaN", b"true", b"\n", b"\0")
_TEXTS += (b"\xef\xbb\xbf", b"\xff\xfe", b"<html>", b"[" * 200, b"(" * 200, b"9" * 5000, b"'", b"range(0, 9)", b"|")


def _define_flags():
    flags.DEFINE_integer("num_inputs", 100_000, "inputs over all readers")
    flags.DEFINE_list("readers", [], f"by default all: {', '.join(fuzz_seeds.SHARES)}")
    flags.DEFINE_integer("seed", 0, "random seed")
    flags.DEFINE_integer("memory_gb", 4, "limit of the address space of a process")


def main(argv: Sequence[str]) -> None:
    """Runs all inputs and prints the counts."""
    del argv
    args, total = flags.FLAGS, collections.Counter()
    logging.set_verbosity(logging.ERROR)
    shares = {name: fuzz_seeds.SHARES[name] for name in args.readers or fuzz_seeds.SHARES}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        for name, share in shares.items():
            num = max(1, round(args.num_inputs * share / sum(shares.values())))
            counts = _run(pathlib.Path(folder), name, num, seed=args.seed, memory=args.memory_gb << 30)
            print(f"{name}: {_described(counts)}", flush=True)
            slowest = max(total[_SLOWEST], counts[_SLOWEST])
            total += counts
            total[_SLOWEST] = slowest
    print(f"all: {_described(total)}")
    sys.exit(1 if total["tracebacks"] + total["crashes"] + total["over 2 s"] + total["words of parsers"] else 0)


def _described(counts):
    names = ("inputs", "read", "refused", "tracebacks", "crashes", "over 2 s", "words of parsers")
    seconds = f"slowest {counts[_SLOWEST] / 1e6:.2f} s"
    return ", ".join(f"{counts[name]:,} {name}" for name in names) + f", {seconds}"


def _run(folder, name, num, *, seed, memory):
    """Runs inputs in forked processes of `_BATCH` each."""
    counts, done = collections.Counter(), 0
    with mmap.mmap(-1, 8 * 8) as shared:
        while done < num:
            shared[:] = bytes(64)
            count = min(_BATCH, num - done)
            if not (pid := os.fork()):
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
                _child(folder, name, range(done, done + count), seed, shared)
            status = _wait(pid, shared)
            found = dict(zip(_FIELDS, struct.unpack("<8q", shared[:]), strict=True))
            counts[_SLOWEST] = max(counts[_SLOWEST], found.pop("slowest"))
            counts.update(found)
            if status:
                counts["crashes"] += 1
                counts["inputs"] += 1
                print(f"{name}: input {done + found['inputs']} of seed {seed} ended the process ({status})", flush=True)
            done += found["inputs"] + bool(status)
    return counts


_FIELDS = ("inputs", "read", "refused", "tracebacks", "over 2 s", "words of parsers", "slowest", "")


def _wait(pid, shared):
    """Waits for a process and returns its exit status; one that makes no progress is killed."""
    seen, since = -1, time.monotonic()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        (now,) = struct.unpack("<q", shared[:8])
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > _HANGS:
            os.kill(pid, 9)
        time.sleep(0.02)


def _child(folder, name, numbers, seed, shared):
    reader = fuzz_seeds.reader(name, pathlib.Path(tempfile.mkdtemp(dir=folder)))  # JAX does not survive a fork
    counts, told = collections.Counter(), set()
    for number in numbers:
        data = fuzz_input(reader.seeds, random.Random(f"{seed}/{name}/{number}"))
        started = time.process_time()
        kind = _read(reader, data, counts, told, f"{name}: input {number} of seed {seed}")
        seconds = time.process_time() - started
        if seconds > _SLOW:
            print(f"{name}: input {number} of seed {seed} took {seconds:.1f} s", flush=True)
        counts.update(inputs=1, **{kind: 1})
        counts["over 2 s"] += seconds > _SLOW
        counts["slowest"] = max(counts["slowest"], round(1e6 * seconds))
        shared[:] = struct.pack("<8q", *(counts[field] for field in _FIELDS))
    sys.stdout.flush()
    os._exit(0)


def _read(reader, data, counts, told, place):
    try:
        reader.read(data)
    except (ValueError, FileNotFoundError) as error:
        if found := _PARSERS.search(str(error)):
            counts["words of parsers"] += 1
            if found[0] not in told:
                told.add(found[0])
                print(f"{place}: {str(error)[:300]!r}", flush=True)
        return "refused"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        if (key := (type(error), last.filename, last.lineno)) not in told:
            told.add(key)
            print(f"{place}:\n{''.join(traceback.format_exception(error)[-8:])}", flush=True)
        return "tracebacks"
    return "read"


def fuzz_input(seeds: Sequence[bytes], moments: random.Random) -> bytes:
    """Returns one of `seeds` with one to eight changes, or, rarely, random bytes."""
    if moments.random() < 0.02:
        return moments.randbytes(moments.randrange(200))
    data = bytearray(moments.choice(seeds))
    for _ in range(moments.choice((1, 1, 1, 2, 3, 8))):
        at = moments.randrange(len(data) + 1)
        kind = moments.randrange(12)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << moments.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = moments.randrange(256)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + moments.choice((1, 2, 8, 64))]
        elif kind == 4:
            data[at:at] = moments.choice(_TEXTS)
        elif kind == 5:
            number = moments.choice(_NUMBERS)
            size = moments.choice((1, 2, 4, 8))
            data[at : at + size] = (number % 256**size).to_bytes(size, moments.choice(("little", "big")))
        elif kind == 6:
            data[at:at] = data[at : at + moments.choice((4, 32, 256))] * moments.choice((1, 2, 50))
        elif kind == 7:
            other = moments.choice(seeds)
            start = moments.randrange(len(other) + 1)
            data[at : at + 32] = other[start : start + 32]
        else:  # one number of a text becomes another
            found = list(re.finditer(rb"-?\d+(\.\d+)?|\"[^\"]*\"|true|false|null", bytes(data[:100_000])))
            if found:
                one = moments.choice(found)
                words = (b"-1", b"5", b"1e999", b"null", b"true", b'"x"', b"[]", b"{}", b"1e-9", b"%d" % 2**63, b"0.5")
                data[one.start() : one.end()] = moments.choice(words)
    return bytes(data[:200_000])


if __name__ == "__main__":
    _define_flags()
    app.run(main)
