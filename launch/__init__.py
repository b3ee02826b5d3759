"""Command-line programs. Only they read flags."""
