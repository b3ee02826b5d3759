"""Genotypes: architectures by the names of their operations, independent of any space's numbering."""
