"""NAO: search by gradient ascent in a learned continuous space (arXiv:1808.07233)."""
