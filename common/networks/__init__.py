"""Flax modules built from architecture encodings; `kernels/` holds what is written for XLA's CPU compiler."""
