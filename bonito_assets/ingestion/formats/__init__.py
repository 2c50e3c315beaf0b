"""Readers, one module or package per kind of file: bytes in, text and structure out.

They run in worker processes with limits (see ``sandbox``), know no Dagster and touch no file.
"""
