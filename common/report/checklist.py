"""What a paper on architecture search must state, filled from a run: what is known, and what only its author knows.

After M. Lindauer and F. Hutter, "Best practices for scientific research on neural architecture search"
(arXiv:1909.02453).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from common.report import page


class Item(NamedTuple):
    """One thing to state.

    Attributes:
      what: it is.
      said: what the run says of it, or what is missing.
      is_known: whether nothing is missing.
    """

    what: str
    said: str
    is_known: bool


def items(
    config: Mapping[str, Any],
    *,
    benchmark: str,
    protocol: str,
    budget: str,
    seeds: str,
    has_spread: bool,
    baselines: str,
    has_baselines: bool,
    seconds: str,
    test: str,
) -> list[Item]:
    """Returns the list.

    Args:
      config: config.json.
      benchmark: what was searched, and its space.
      protocol: "validation" or "test".
      budget: what a search may spend.
      seeds: which there are.
      has_spread: whether they are several.
      baselines: which other algorithms stand beside.
      has_baselines: whether random search is among them.
      seconds: of wall-clock time, and what of it is compiling.
      test: what is known of test fitness.
    """
    sees = {
        "validation": "validation fitness; test fitness is looked up after the search, of the best alone",
        "test": "test fitness, an oracle, as in the LaNAS paper: not to be compared with searches on validation",
    }
    return [
        Item("Search space and benchmark", benchmark, True),
        Item("What the search sees", sees.get(protocol, protocol), True),
        Item("Budget", budget, True),
        Item("Seeds", seeds, has_spread),
        Item("Baselines under the same budget", baselines, has_baselines),
        *_settings(),
        Item("Test fitness of what was found", test, test != "unknown"),
        *_environment(config, seconds),
        Item("Files", "publish the folder of this run: journal or histories, config.json and this page", True),
    ]


def training_items(
    config: Mapping[str, Any],
    *,
    trained: str,
    data: str,
    stopped: str,
    seed: int,
    seconds: str,
    test: str,
) -> list[Item]:
    """Returns the list of a training of one network.

    Args:
      config: config.json.
      trained: what was.
      data: that it learnt from, and what was held out.
      stopped: by what the network that is reported was chosen.
      seed: of its randomness.
      seconds: of wall-clock time.
      test: what is known of its quality on the test data.
    """
    seeds = f"{seed} alone, which says nothing of spread: train with other --seed too"
    return [
        Item("What was trained", trained, True),
        Item("Data", data, True),
        Item("Which checkpoint is reported", stopped, True),
        Item("Seeds", seeds, False),
        *_settings(),
        Item("Quality on the test data", test, test != "unknown"),
        *_environment(config, seconds),
        Item("Files", "publish the folder of this run: checkpoints, metrics.jsonl, config.json and this page", True),
    ]


def _settings():
    return [
        Item("All settings", "in the flags at the end of this page", True),
        Item(
            "How the settings were chosen, and what that cost",
            "not known to the program: say on which seeds and datasets, how many searches, and that they are not these",
            False,
        ),
    ]


def _environment(config, seconds):
    """What it ran on."""
    device, versions = config.get("device", {}), config.get("versions", {})
    hardware = f"{device.get('count', '?')} x {device.get('kind', '?')} ({device.get('platform', '?')})"
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        Item("Hardware", hardware if device else "unknown", bool(device)),
        Item("Wall-clock time", seconds, seconds != "unknown"),
        Item("Software", software or "unknown", bool(versions)),
        Item("Version of the code", "not known to the program: name the commit or release", False),
    ]


def body(found: list[Item]) -> str:
    """Returns the list as HTML: what is known with a tick, what is missing with a question mark."""
    lines = [
        f'<li class="{"yes" if item.is_known else "no"}"><strong>{page.escape(item.what)}.</strong> '
        f"{page.escape(item.said)}</li>"
        for item in found
    ]
    return '<ul class="check">\n' + "\n".join(lines) + "\n</ul>"


def flagfile(config: Mapping[str, Any]) -> str:
    """Returns the flags of a run as the text of a flagfile; folders of this machine and what is unset are left out."""
    left_out = {"help", "h", "traceback", "workdir", "data_dir", "compilation_cache_dir", "export", "flagfile"}
    lines = [f"# python -m launch.{config.get('command')} --flagfile=THIS_FILE --workdir=... --data_dir=..."]
    for name, value in config.get("flags", {}).items():
        if name in left_out or value is None or name.startswith("?"):
            continue
        if isinstance(value, list):
            value = ",".join(map(str, value))
        lines.append(f"--{name}={' '.join(str(value).split())}")
    return "\n".join(lines) + "\n"
