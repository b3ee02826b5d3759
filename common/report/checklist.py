"""Reporting checklist of a page: what a paper on architecture search must state, filled in as far as the run knows it.

After Lindauer and Hutter, "Best practices for scientific research on neural architecture search", arXiv:1909.02453.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from common.report import page

_PROTOCOLS = {
    "validation": "validation fitness; test fitness is looked up after the search for the best architecture alone",
    "test": "test fitness, an oracle, as in the LaNAS paper: not comparable with searches on validation fitness",
}
_LOCAL = {"help", "h", "traceback", "workdir", "data_dir", "compilation_cache_dir", "export", "flagfile"}


def of_searches(
    benchmark: str, protocol: str, budget: str, *, seeds: tuple[str, bool], baselines: tuple[str, bool]
) -> list[tuple[str, str, bool]]:
    """Returns the first items of a search or a study; of the last two also whether they are as they should be."""
    return [
        ("Search space and benchmark", benchmark, True),
        ("Fitness that the search sees", _PROTOCOLS.get(protocol, protocol), True),
        ("Budget", budget, True),
        ("Seeds", *seeds),
        ("Baselines under the same budget", *baselines),
    ]


def sections(
    config: Mapping[str, Any],
    stated: Sequence[tuple[str, str, bool]],
    *,
    seconds: float | str | None,
    test: str | None,
    files: str = "journal or histories",
    settings: str | None = None,
) -> list[page.Section]:
    """Returns the last sections of a page: the checklist, and the flags of the run.

    Args:
      stated: (item, text, whether it is known) of the items that depend on the subject of the page.
      seconds: wall-clock time, as a number or a text; None if unknown.
      test: quality on the test data; None if unknown.
      files: to be published beside config.json and the page.
      settings: HTML of the last section; by default the flags as a flagfile.
    """
    device, versions = config.get("device", {}), config.get("versions", {})
    count, kind, platform = (str(device.get(name, "?")) for name in ("count", "kind", "platform"))
    hardware = f"{count} x {kind}" + (f" ({platform})" if platform != kind else "")
    seconds = f"{seconds:.1f} s, compilation included" if isinstance(seconds, int | float) else seconds
    software = ", ".join(f"{name} {version}" for name, version in versions.items())
    tuning = "not recorded: state on which seeds and datasets, after how many searches, and that these are others"
    items = [
        *stated,
        ("All settings", "in the flags at the end of this page", True),
        ("How the settings were chosen, and at which cost", tuning, False),
        ("Quality on the test data", test or "unknown", test is not None),
        ("Hardware", hardware if device else "unknown", bool(device)),
        ("Wall-clock time", seconds or "unknown", seconds is not None),
        ("Software", software or "unknown", bool(versions)),
        ("Version of the code", "not recorded: name the commit or release", False),
        ("Files", f"publish the folder of this run: {files}, config.json and this page", True),
    ]
    settings = flags(config) if settings is None else settings
    return [page.Section("Reporting checklist", page.checks(items)), page.Section("Settings", settings)]


def flags(config: Mapping[str, Any], title: str = "All flags, as a flagfile") -> str:
    """Returns the flags of a run as a folded listing, HTML."""
    return page.folded(title, page.listing(flagfile(config)))


def flagfile(config: Mapping[str, Any]) -> str:
    """Returns the flags of a run as the text of a flagfile, without unset ones and folders of this machine."""
    lines = [f"# python -m launch.{config.get('command')} --flagfile=THIS_FILE --workdir=... --data_dir=..."]
    for name, value in config.get("flags", {}).items():
        if name not in _LOCAL and value is not None and not name.startswith("?"):
            value = ",".join(map(str, value)) if isinstance(value, list) else value
            lines.append(f"--{name}={' '.join(str(value).split())}")
    return "\n".join(lines) + "\n"
