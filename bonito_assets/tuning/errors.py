"""The one error of this package that a person can put right."""


class TuningError(ValueError):
    """The model cannot be tuned as asked; the message says what is wrong and what to do."""
