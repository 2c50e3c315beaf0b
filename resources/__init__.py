"""Machinery that stages use: the table store, the generation cache and the generator backends."""
