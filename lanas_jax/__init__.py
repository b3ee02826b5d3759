"""LaNAS: a tree of learned linear splits of the search space, sampled by Monte Carlo tree search (arXiv:1906.06832)."""
