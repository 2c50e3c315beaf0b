"""Bonito Assets: from text that nobody has labelled to an instruction-tuned, evaluated model."""
