"""Shared weights: sampling, training, scoring, populations."""
