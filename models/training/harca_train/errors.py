"""The error that a user's input can cause; the command line prints its message and no traceback."""


class TrainingError(Exception):
    """What is wrong and what to do, in one or two lines."""
