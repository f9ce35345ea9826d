"""The one exception that a user's input can raise."""


class UserError(ValueError):
    """Bad input, told in one line: the field, what came, what was expected.

    The experiments print it and exit with status 2; in a program of one's own it is a `ValueError`.
    """
