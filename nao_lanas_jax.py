"""Starts the installed commands nas-lanas, nas-train, ... by a module name that no other package has.

The packages of the project have general names (`common`, `launch`). Here they are found first, whatever files or
packages of the same name are in the current folder or on PYTHONPATH. Modules of the current folder that a command line
names (perceptron:evaluator) are found last.
"""

import importlib
import os
import pathlib
import sys


def main() -> int:
    """Runs the command after which the program is named: `nas-train-language` runs `launch.train_language`."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    sys.path.append(os.getcwd())
    name = pathlib.Path(sys.argv[0]).stem.removeprefix("nas-").replace("-", "_")
    return importlib.import_module(f"launch.{name}").main()
