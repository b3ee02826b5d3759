"""The best few of a search, each trained alone: a table, and their scores against each other."""

import numpy as np

from common import spaces
from common.report import canvas, latent_pictures, page, run_files

_LEAST = 5  # of which a picture says more than the table


def agreement(run: run_files.Run) -> canvas.Picture | None:
    """Returns their fitness in the search against that after training alone; None where they are too few."""
    known = [one for one in run.finalists if np.isfinite(one.shared) and np.isfinite(one.alone)]
    if len(known) < _LEAST:
        return None
    shared, alone = np.array([(one.shared, one.alone) for one in known]).T
    return latent_pictures.agreement(shared, alone, unit=run.unit)


def table(run: run_files.Run) -> str:
    """Returns the table, the best after training alone first, HTML; empty where none was trained alone."""
    order = sorted(run.finalists, key=lambda one: -one.alone if np.isfinite(one.alone) else np.inf)
    space = spaces.SPACES.get(run.config["space"])
    rows = []
    for rank, one in enumerate(order, start=1):
        values = [run.unit.text(value) if np.isfinite(value) else "-" for value in (one.alone, one.shared)]
        told = space.describe(one.arch) if space is not None else " ".join(map(str, one.arch.tolist()))
        rows.append((rank, values[0] if np.isfinite(one.alone) else "failed", values[1], told))
    header = ("rank", f"{run.unit.name}, trained alone", f"{run.unit.name}, in the search", "architecture")
    return page.table(header, rows)
