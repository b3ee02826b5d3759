"""Whole runs as functions: resumable searches, trainings and studies, each with a folder of files."""
