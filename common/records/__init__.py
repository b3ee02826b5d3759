"""Files of a run: folder, journal, measurements, locks, progress."""
