"""Statistics of searches over seeds: intervals, comparisons of algorithms, aggregation over tasks, study.json, tables.

Conventions follow rliable (Agarwal et al., arXiv:2108.13264): interquartile means, percentile bootstrap intervals over
seeds, probability of improvement.
"""
