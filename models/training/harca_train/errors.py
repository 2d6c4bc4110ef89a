"""The error that a user's input can cause, printed without a traceback, and how it quotes the errors of libraries."""


class TrainingError(Exception):
    """What is wrong and what to do, in one or two lines."""


def first_line(error):
    """The first line of what `error` says, its class when it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
