"""Files of a run: folder, journal, measurements, locks, metrics, progress. Nothing here depends on an algorithm."""
