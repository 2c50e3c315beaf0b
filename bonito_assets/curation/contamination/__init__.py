"""Finds what rows share with the test sets of a corpus, for such rows flatter every score."""

from bonito_assets.curation.contamination.overlaps import Overlaps, TestSets

__all__ = ["Overlaps", "TestSets"]
