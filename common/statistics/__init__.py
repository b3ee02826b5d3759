"""Statistics of searches over seeds: intervals, comparisons of algorithms, what it takes to reach a target, tables.

What is resampled is always the seeds. Habits are those of rliable (Agarwal et al., arXiv:2108.13264): interquartile
means, percentile intervals of the bootstrap, probability of improvement.
"""
