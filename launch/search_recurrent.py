"""Searches a recurrent cell for language models, with any algorithm of `launch.study`.

python -m launch.search_recurrent
python -m launch.search_recurrent --algorithm=lanas --budget=100
python -m launch.search_recurrent --measure=training --budget=20
python -m launch.search_recurrent --schedule=topics --rerank=3
python -m launch.search_recurrent --flagfile=launch/flagfiles/search_recurrent_nao_ws.cfg --data_dir=data

Cells are evaluated on shared weights (--measure=supernet), which are trained first or, with --schedule, on a pool of
cells that the search renews between blocks of training; or each cell is trained from scratch (--measure=training). The
best one is written to best.json, for launch.train_language --genotype=.../best.json. Started again on its workdir, a
search resumes.
"""

import functools
import math
import sys
from collections.abc import Sequence

from absl import flags

from common import config as configs
from common import in_turn, spaces
from common.datasets import text
from common.language import config as language_config
from common.report import console
from common.runs import population, recurrent_search, weight_sharing
from common.runs import search as searches
from launch import algorithms, commands, train_language

BUDGET = 60


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("search_recurrent", __doc__, define, run, argv)


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    presets = f"training settings to start from: {', '.join(language_config.PRESETS)}"
    defaults = ", ".join(f"{preset} with --measure={name}" for name, preset in recurrent_search.PRESETS.items())
    schedules = f"train shared weights on a pool that the search renews: {', '.join(population.SCHEDULES)}"
    for name, default, help_text in (
        ("algorithm", "nao", f"search algorithm: {', '.join(algorithms.ALGORITHMS)}"),
        ("preset", None, f"{presets}; default: {defaults}"),
        ("schedule", None, schedules),
    ):
        flags.DEFINE_string(name, default, help_text, flag_values=values)
    for field in configs.fields(weight_sharing.Schedule):
        if field.name in algorithms.POOL:
            help_text = f"with --schedule: {field.help}; by default its own"
            flags.DEFINE_integer(field.name, None, help_text, flag_values=values)
    commands.define_cache(values)
    commands.define(values, searches.Options(budget=BUDGET))
    commands.define(values, recurrent_search.Settings(corpus=train_language.corpus()))


def run(values: flags.FlagValues) -> None:
    """Searches and prints the result."""
    algorithm = algorithms.get(values.algorithm)
    configs.one_of("--measure", values.measure, recurrent_search.PRESETS)
    preset = values.preset or recurrent_search.PRESETS[values.measure]
    configs.one_of("--preset", preset, language_config.PRESETS)
    settings = recurrent_search.Settings(corpus=train_language.corpus(), training=language_config.PRESETS[preset])
    settings, options, schedule = configs.gathered(
        lambda: commands.read(values, settings),
        lambda: commands.read(values, searches.Options(budget=BUDGET)),
        lambda: algorithms.read_schedule(values),
    )
    found = recurrent_search.search(
        _searcher(algorithm, schedule),
        settings,
        options,
        algorithm=algorithm.name,
        schedule=schedule,
        schedule_name=values.schedule,
        flags=values.flag_values_dict(),
    )
    _print_found(found, algorithm.name, settings.final_training.num_epochs)


def _searcher(algorithm, schedule):
    """Returns the searcher of an algorithm on the space of recurrent cells."""
    change = functools.partial(population.renewing, schedule=schedule) if schedule else lambda config: config
    return in_turn.configured(algorithm, spaces.get("nao_rnn"), change)


def _print_found(found, algorithm, num_epochs):
    console.show_result(found.result, algorithm, None)
    for line in found.result.get("blocks", ()):
        print(f"block {line['block'] + 1}: best {100 * line['best']:.2f} %, mean {100 * line['mean']:.2f} %")
    size = found.vocabulary_size
    if found.best is not None:
        best = found.result["best"]
        values = {"validation": best["fitness"], "test": best["test"]}
        perplexities = {name: text.perplexity(value, size) for name, value in values.items() if value is not None}
        print("perplexity: " + ", ".join(f"{name} {value:.2f}" for name, value in perplexities.items()))
    if found.finalists:
        print(f"trained from scratch for {num_epochs} epochs, perplexity on validation text:")
        for number, one in enumerate(found.finalists, start=1):
            before, after = (text.perplexity(fitness, size) for fitness in (one.found, one.result.fitness))
            trained = f"{after:.2f}" if math.isfinite(after) else f"failed ({one.result.reason})"
            print(f"  {number}. {trained} (on shared weights {before:.2f})")
    if found.best is not None:
        print(f"best cell: {found.best}; train it with launch.train_language --genotype={found.best}")
    print(f"workdir: {found.folder}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
