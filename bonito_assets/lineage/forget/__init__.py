"""Forgets a document: it and all that was made of it, wherever that lies."""
