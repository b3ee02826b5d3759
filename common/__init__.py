"""Neural architecture search: search spaces, evaluators, the search loop, training of networks, statistics, reports.

    from common import Search, run_search, spaces

`common.search` is imported at the first use of one of its names, so that `common.config` stays light.
"""

import importlib
from typing import Any

_PUBLIC = ("Search", "run_search")


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module("common.search"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
