"""Trains a Bonito-format model: labelled and programmatic pairs, then a small network from them."""
