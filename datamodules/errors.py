"""The one error this package raises for bad input."""


class DataError(ValueError):
    """Data that cannot be used: one sentence says what is wrong, what was expected and how to mend it."""
