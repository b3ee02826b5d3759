"""Shared weights (supernets): settings, sampling, training, scoring, populations."""
