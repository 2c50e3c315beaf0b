"""What each task type promises, as a check per type.

A check gets the instruction's own words (the passage's place is taken out), the answer and the
passage. It gives a verdict and a label; the label is null where there is none.
"""
