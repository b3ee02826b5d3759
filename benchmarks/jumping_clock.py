"""A clock that jumps by up to a month, back and forth, four times a second; for `benchmarks.kill_test`.

Copied to a folder on the path as `sitecustomize.py`, it is imported by every Python process as it starts.
"""

import os
import random
import time

_MOST = 30 * 86400.0  # seconds


def jump() -> None:
    """Makes the clock of this process jump; intervals of `time.monotonic` stay as they are."""
    real, process = time.time, os.getpid()

    def now():
        return real() + random.Random(f"{process}/{int(4 * real())}").uniform(-_MOST, _MOST)

    time.time, time.time_ns = now, lambda: int(1e9 * now())


if __name__ == "sitecustomize":
    jump()
