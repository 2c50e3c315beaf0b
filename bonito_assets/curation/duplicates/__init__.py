"""Finds the rows of a corpus that say what another one says."""
