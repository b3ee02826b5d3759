"""Command-line programs. Flags are read here and nowhere else."""
