"""Evaluators, the sources of fitness. `problem.build` makes each one from its settings."""
