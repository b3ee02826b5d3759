"""Training of image classifiers: settings, step, loop, checkpoints, augmentation."""
