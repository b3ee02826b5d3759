"""Neural architecture search: search spaces, evaluators, the search loop, training of networks, statistics, reports.

    from common import Search, run_search, search_images, spaces

Modules are imported at the first use of one of these names, so that `common.config` stays light.
"""

import importlib
from typing import Any

_PUBLIC = {"Search": "ask_tell", "run_search": "search", "search_images": "runs.own_images"}


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"common.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
