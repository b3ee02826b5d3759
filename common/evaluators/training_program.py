"""Choice of the compiled programs of a search by training: one for each architecture, or one that trains any of them.

The one for any is that of shared weights, see `common.supernets.stand_alone`. It takes as long to compile as three of
one architecture, and computes every branch once more for its gradient. So it pays where many architectures are trained
for less time than they take to compile.
"""

import dataclasses
import re

from common import paths
from common.evaluators import problem as problems
from common.evaluators import training_config
from common.records import json_files, run_dir

MIN_BUDGET = 4  # trainings
MAX_WORK = 2**28  # epochs x images x pixels x channels squared: 8 processor seconds more, about half of compiling one


def obstacle(space: str, config: training_config.Config) -> str:
    """Returns why one program cannot train any architecture of a space with some settings; if it can, nothing."""
    from common.networks import elastic, of_space  # flax, which takes a second to import

    if space not in of_space.SHARING and space not in elastic.FAMILIES:
        return f"{space!r} has no network with shared weights"
    if config.preset != training_config.SHORT:
        return f"preset {config.preset!r} is not {training_config.SHORT!r}"
    if config.fitness_epoch == "best":
        return "fitness_epoch is not 'last'"
    return ""


def chosen(problem: problems.Problem, *, budget: int, workdir: str | None) -> tuple[problems.Problem, str]:
    """Returns a problem that says which programs train its architectures, and a line that says which and why.

    Args:
      problem: the problem. If nothing is trained, or it says by which programs, it is returned as it is, with an empty
        line.
      budget: architectures to train.
      workdir: folder of the run. A search resumes with the programs with which it began.

    Raises:
      ValueError: there is no such dataset, or config.json in `workdir` is damaged.
    """
    if not isinstance(problem, problems.Training) or problem.proxy.program:
        return problem, ""
    program, why = _chosen(problem, budget, workdir)
    proxy = dataclasses.replace(problem.proxy, program=program)
    kind = "one for all architectures" if program == "shared" else "one for each architecture"
    return dataclasses.replace(problem, proxy=proxy), f"training programs: {kind}, as {why}"


def _chosen(problem, budget, workdir):
    from common.datasets import images
    from common.evaluators import training_problem
    from common.networks import of_space

    before = (json_files.read(paths.path(workdir) / run_dir.CONFIG) or {}).get("benchmark", "") if workdir else ""
    if before.startswith("training/"):
        named = re.search(r"\bprogram=(each|shared)\b", before)
        return named and named[1], "the search in this folder began so"
    if why := obstacle(problem.space, problem.proxy):
        return None, why
    if problem.space not in of_space.SHARING:
        return None, f"{problem.space!r} is none of {', '.join(of_space.SHARING)}"
    if budget < MIN_BUDGET:
        return None, f"a budget of {budget} is below {MIN_BUDGET}, from which one for all takes less time"
    made = training_problem.problem(problem.space, images.load(problem.dataset, problem.data_dir), problem.proxy)
    num_epochs, (num, height, width, _) = made.preset.training.num_epochs, made.parts["train"].images.shape
    if num_epochs * num * height * width * made.preset.network.width**2 > MAX_WORK:
        return None, f"{num_epochs} epochs of {num:,} images of {height}x{width} pixels take longer than compiling"
    return "shared", f"compiling one takes less time than {budget}; --proxy_program=each for the other"
