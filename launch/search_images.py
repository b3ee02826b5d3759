"""A network for your own images, in given minutes, within limits; or a comparison of searches on shared weights.

python -m launch.search_images --dataset=mine.npz --minutes=15
python -m launch.search_images --dataset=photos --minutes=30 --limit='macs<=5e6' --workdir=runs/photos

Candidates proposed by --algorithm train for a few epochs; a third of them continues, three times as long, and again.
The best one trains from scratch, beside a plain network and a ResNet. It says first what it does in which time, and
ends with a table, best.json (a genotype for launch.train), model.safetensors, model.stablehlo (a program for JAX alone)
and report.html, a page that can be opened while the search runs. Other flags with --minutes: --data_dir, --seed and
--compilation_cache_dir. Photos of any sizes become a dataset by launch.prepare_data first. See docs/own_images.md.

Without --minutes, searches by several algorithms on shared weights are compared:

python -m launch.search_images
python -m launch.search_images --space=nao_small --budget=300 --seed=1
python -m launch.search_images --algorithms=lanas,regularized_evolution --supernet_num_images=500

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
from common.supernets import config as supernet_config
from launch import algorithms, commands, single

SPACE = "lanas_oneshot"
DATASET = "cluttered_digits"  # on plain digits architectures hardly differ
BUDGET, NUM_EPOCHS = 100, 6
TRAINING = supernet_config.Training(preset=DATASET, num_epochs=80)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("search_images", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    from common.runs import search_images  # flax, which takes a second to import

    single.define(values, training=TRAINING)
    flags.DEFINE_list(
        "algorithms",
        ["nao", "lanas"],
        f"some of {', '.join(algorithms.ALGORITHMS)}; or package.module:name",
        flag_values=values,
    )
    commands.define(values, search_images.Settings())
    flags.DEFINE_float(
        "minutes", None, "for everything: searches one network for --dataset, see above", flag_values=values
    )
    flags.DEFINE_string("algorithm", "lanas", "with --minutes: proposes the candidates", flag_values=values)
    values["dataset"].help = f"images: {problem.IMAGES}"
    defaults = {"budget": BUDGET, "dataset": DATASET, "evaluator": single.SUPERNET, "proxy_num_epochs": NUM_EPOCHS}
    for name, default in defaults.items():
        values.set_default(name, default)


def run(values: flags.FlagValues) -> None:
    """Runs all stages and prints the table."""
    if values.minutes is not None:
        return _search_own(values)
    from common.runs import search_images

    if commands.given(values, ["algorithm"]):
        raise ValueError("--algorithm needs --minutes; without it give --algorithms")
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
        lambda: commands.read(values, search_images.Settings()),
        lambda: single.read_options(values),
        lambda: single.read_weights(values, space=SPACE, training=TRAINING),
    )
    result, folder = search_images.run(
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
    print(f"summary: {folder / search_images.SUMMARY}\npage: {page}", flush=True)


def _search_own(values):
    """Runs a search for a network for the user's images and prints the result."""
    from common.runs import image_result, own_images

    allowed = {
        "minutes",
        "algorithm",
        "dataset",
        "data_dir",
        "limit",
        "seed",
        "workdir",
        "compilation_cache_dir",
        "traceback",
        "help",
    }
    if given := commands.given(values, sorted(set(values) - allowed)):
        raise ValueError(f"--{', --'.join(given)} does not apply with --minutes; leave it out")
    result = own_images.search_images(
        values.dataset,
        minutes=values.minutes,
        limit=values.limit,
        workdir=values.workdir,
        algorithm=algorithms.get(values.algorithm),
        seed=values.seed,
        data_dir=values.data_dir,
    )
    console.show(image_result.title(result), *image_result.table(result))
    data_dir = values.data_dir if commands.given(values, ["data_dir"]) else None  # else of the environment
    print(image_result.next_steps(result, data_dir), flush=True)


if __name__ == "__main__":
    sys.exit(main())
