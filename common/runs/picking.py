"""Picks one architecture from the front of a finished search for several objectives."""

import pathlib
from collections.abc import Sequence

import numpy as np

from common import config as configs
from common import spaces
from common.genotypes import conversion, json_text
from common.records import json_files, run_dir
from common.spaces import limits

PICKED = "picked.json"  # in the folder of the search
_CONFIG = {"space": str}
_RESULT = {"front?": [{"arch": [int], "description": str, "fitness": json_files.NUMBER, "costs": dict}]}


def pick(folder: str | pathlib.Path, texts: Sequence[str]) -> pathlib.Path:
    """Writes the genotype of the fittest of a front that respects limits to the folder, prints and returns its file.

    Args:
      folder: of a search with several objectives.
      texts: limits on them, such as "params<=1e6".

    Raises:
      ValueError: a limit cannot be read or is on no objective, none respects all (the message names the nearest),
        the folder holds no finished search for several objectives, or its space is not of this package.
    """
    folder, wanted = pathlib.Path(folder), limits.parse(texts)
    if not folder.is_dir():
        raise ValueError(f"--pick needs the folder of a search, --genotype=FOLDER; got {folder}")
    config, result = json_files.read(folder / run_dir.CONFIG) or {}, json_files.read(folder / run_dir.RESULT) or {}
    json_files.check(folder / run_dir.CONFIG, config, _CONFIG)
    json_files.check(folder / run_dir.RESULT, result, _RESULT)
    if not (front := result.get("front")):
        raise ValueError(f"{folder} has no front: give that of a finished search with --objectives=fitness,-params")
    found = [{"fitness": one["fitness"], **one["costs"]} for one in front]
    costs = {name: lambda rows, name=name: np.array([found[row][name] for row in rows]) for name in found[0]}
    for limit in wanted:
        configs.one_of("cost", limit.cost, costs)
    over = limits.excess(wanted, costs, np.arange(len(found)))
    fitness = np.array([one["fitness"] for one in found])
    at = int(np.lexsort((-fitness, over))[0])
    values = ", ".join(f"{name} {value:.6g}" for name, value in found[at].items())
    if over[at] > 0:
        raise ValueError(
            f"no architecture of the front in {folder} respects {', '.join(map(str, wanted))}; the nearest has {values}"
        )
    if config["space"] not in spaces.SPACES:
        found = f"the fittest within the limits is {front[at]['description']} ({values})"
        raise ValueError(f"{found}; its space, {config['space']}, is of another package, which must train it")
    made = conversion.from_arch(config["space"], front[at]["arch"])
    run_dir.write_text(folder / PICKED, json_text.to_text(made))
    print(f"picked {front[at]['description']} ({values}): --genotype={folder / PICKED}", flush=True)
    return folder / PICKED
