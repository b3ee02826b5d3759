"""Training of networks for classification: steps, loops, schedules, checkpoints."""
