"""Trains the language model of one recurrent cell: a published one by its name, or a genotype in a JSON file.

python -m launch.train_language
python -m launch.train_language --genotype=nao_ptb --corpus=ptb --data_dir=data --preset=nao_ptb --workdir=runs/ptb

Started again on its workdir, training resumes bit-exactly. Training settings default to those of --preset; --help shows
those of --preset=topics.
"""

import os
import re
import sys
from collections.abc import Sequence

from absl import flags

from common import config as configs
from common import flag_files
from common.genotypes import published
from common.genotypes.genotype import RecurrentGenotype
from common.language import config as language_config
from common.report import console
from common.runs import language
from launch import commands

_GENOTYPE = re.compile(r"--?genotype(=|$)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return commands.run_main("train_language", __doc__, define, run, argv)


def is_asked_for(argv: Sequence[str]) -> bool:
    """Returns whether the last --genotype of a command line, flag files included, is a recurrent cell.

    `launch.train`, which trains all other genotypes, forwards such command lines; it also reports invalid ones.
    """
    try:
        words = flag_files.expand(argv, commands.FLAG_FILES)
        pairs = zip(words, [*words[1:], ""], strict=True)
        found = [word.partition("=")[2] or following for word, following in pairs if _GENOTYPE.match(word)]
        return bool(found) and isinstance(published.get(found[-1]), RecurrentGenotype)
    except (ValueError, OSError):
        return False


def corpus() -> language.Corpus:
    """Returns the default corpus, in the folder that $NAS_DATA_DIR names."""
    return language.Corpus(data_dir=os.environ.get("NAS_DATA_DIR"))


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    presets = ", ".join(language_config.PRESETS)
    for name, default, text in (
        ("genotype", "nao_ptb", "published recurrent cell (listed by launch.genotype) or JSON file"),
        ("preset", "topics", f"training settings to start from: {presets}"),
    ):
        flags.DEFINE_string(name, default, text, flag_values=values)
    commands.define_cache(values)
    commands.define(values, language.Options(corpus=corpus()))


def run(values: flags.FlagValues) -> None:
    """Trains and prints the result."""
    configs.one_of("--preset", values.preset, language_config.PRESETS)
    options = language.Options(corpus=corpus(), training=language_config.PRESETS[values.preset])
    options = commands.read(values, options)
    genotype = published.get(values.genotype)
    if not isinstance(genotype, RecurrentGenotype):
        raise ValueError(f"{values.genotype} is not a recurrent cell; train it with launch.train")
    result = language.train(genotype, options, name=values.genotype, flags=values.flag_values_dict())
    _print_result(result)
    print(f"workdir: {result['workdir']}", flush=True)


def _print_result(result):
    best, unigram = result["best"], result["unigram_perplexity"]
    rows = {
        "validation perplexity": f"{best['valid_perplexity']:.2f} (unigram model: {unigram['valid']:.2f})",
        "test perplexity": f"{best['test_perplexity']:.2f} (unigram model: {unigram['test']:.2f})",
        "best epoch": f"{best['epoch']} of {result['epochs']}{', averaged weights' if best['is_averaged'] else ''}",
        "parameters": f"{result['parameters']:,}",
        "seconds": f"{result['seconds']:.1f}, including compilation",
    }
    console.show_facts(f"{result['genotype']} on {result['corpus']}", rows)


if __name__ == "__main__":
    sys.exit(main())
