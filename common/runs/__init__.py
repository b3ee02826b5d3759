"""Whole runs with a folder of files: searches and trainings that resume, studies."""
