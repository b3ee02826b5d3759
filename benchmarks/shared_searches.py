"""Searches by several algorithms on one set of shared weights, against random architectures.

    python -m benchmarks.shared_searches
    python -m benchmarks.shared_searches --space=nao_small --budget=300 --seed=1
    python -m benchmarks.shared_searches --algorithms=lanas,regularized_evolution --supernet_num_images=500

1. Shared weights train on a space of cells.                                                          supernet/
2. Each algorithm searches the space on them.                                                         nao/ lanas/
3. The best --num_best of each search train from scratch; the one with the best validation accuracy is what the
   algorithm found. One of as many random architectures is chosen likewise, without shared weights: the baseline.
4. The chosen architectures and other random ones train from scratch again, with other initial parameters, and are
   tested: the chosen ones --num_trainings times, as the result of one training is random.           trained.json
5. The table of the results.                                                            summary.md, report.html

Stand-alone trainings take --proxy_num_epochs passes, few by default, and run the program that trains the shared
weights, so that nothing is compiled for each; --num_threads run at a time, and those that no search decides on run
while shared weights are trained and searched. Started again on its workdir, the command resumes.
"""

import dataclasses
import sys
from collections.abc import Sequence

from absl import flags

from common import config as configs
from common.evaluators import problem, training_config
from common.report import console, image_table, report
from common.runs import shared_searches
from common.supernets import config as supernet_config
from launch import algorithms, commands, single

SPACE = "lanas_oneshot"
DATASET = "cluttered_digits"  # on plain digits architectures hardly differ
BUDGET, NUM_EPOCHS = 100, 6
TRAINING = supernet_config.Training(preset=DATASET, num_epochs=80)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the comparison and returns its exit code."""
    return commands.run_main("benchmarks.shared_searches", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    single.define(values, training=TRAINING)
    flags.DEFINE_list(
        "algorithms",
        ["nao", "lanas"],
        f"some of {', '.join(algorithms.ALGORITHMS)}; or package.module:name",
        flag_values=values,
    )
    commands.define(values, shared_searches.Settings())
    values["dataset"].help = f"images: {problem.IMAGES}"
    defaults = {"budget": BUDGET, "dataset": DATASET, "evaluator": single.SUPERNET, "proxy_num_epochs": NUM_EPOCHS}
    for name, default in defaults.items():
        values.set_default(name, default)


def run(values: flags.FlagValues) -> None:
    """Runs all stages and prints the table."""
    single.check_evaluator(values)
    found = [algorithms.get(name) for name in values.algorithms]
    if len({algorithm.name for algorithm in found}) < len(found):
        raise ValueError(f"--algorithms={','.join(values.algorithms)} names one twice")
    others = {single.PREFIX + field.name for field in dataclasses.fields(training_config.Config)}
    given = commands.given(values, sorted(others - {"proxy_num_epochs"}))
    configs.require(
        (
            not given,
            f"--{', --'.join(given)} does not apply to this command; leave it out, or set the --supernet_ flag",
        ),
        (
            not values.rerank,
            "--rerank does not apply to this command, which trains --num_best of each search; leave it out",
        ),
        (values.proxy_num_epochs >= 1, f"--proxy_num_epochs must be at least 1; got {values.proxy_num_epochs}"),
    )
    settings, options, weights = configs.gathered(
        lambda: commands.read(values, shared_searches.Settings()),
        lambda: single.read_options(values),
        lambda: single.read_weights(values, space=SPACE, training=TRAINING),
    )
    result, folder = shared_searches.run(
        weights,
        options,
        settings,
        {algorithm.name: algorithms.factory(algorithm) for algorithm in found},
        num_epochs=values.proxy_num_epochs,
        flags=values.flag_values_dict(),
        on_search=lambda name, searched: console.show_result(searched, name, None),
    )
    console.show(image_table.title(result), *image_table.table_of(result))
    print(f"rank correlation of shared weights and test (Kendall's tau): {image_table.tau(result)}", flush=True)
    page = report.write([folder]).output
    print(f"summary: {folder / shared_searches.SUMMARY}\npage: {page}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
