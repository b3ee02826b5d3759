"""Sources of fitness. `problem.build` makes each from its settings."""
