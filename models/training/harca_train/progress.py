"""Progress bars on a terminal; a log has the lines of the steps instead."""

import sys

from tqdm import tqdm


def progress(steps, name):
    """Goes through `steps` and shows how far it is, under `name`."""
    terminal = sys.stderr.isatty()
    return tqdm(steps, desc=name, leave=False, file=sys.stderr, disable=not terminal)
