"""TAP for test scripts: each ok line is one test; call done() last."""

import re
import sys
import traceback

_count = 0
_failed = 0


def _line(passed, name, remark=""):
    global _count, _failed
    _count += 1
    _failed += not passed
    print(f"{'ok' if passed else 'not ok'} {_count} - {name}{remark}", flush=True)
    return passed


def _explain(**values):
    for label, value in values.items():
        for line in f"{label}: {value!r}".splitlines():
            print(f"#   {line}", flush=True)


def ok(condition, name):
    """Passes when the condition is true."""
    return _line(bool(condition), name)


def is_(got, expected, name):
    """Passes when both are equal, and shows them when not."""
    if not _line(got == expected, name):
        _explain(got=got, expected=expected)
        return False
    return True


def like(text, pattern, name):
    """Passes when the pattern is found in the text."""
    if not _line(re.search(pattern, text, re.S) is not None, name):
        _explain(text=text, pattern=pattern)
        return False
    return True


def skip(name, why):
    """Counts a test that cannot run here."""
    _line(True, name, f" # SKIP {why}")


def done():
    """Writes the plan and ends the script; a script that dies before this one has failed."""
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _failed else 0)


def _died(kind, value, trace):
    _line(False, f"the script ran to its end ({kind.__name__})")
    for line in "".join(traceback.format_exception(kind, value, trace)).splitlines():
        print(f"# {line}", flush=True)
    print(f"1..{_count}", flush=True)


sys.excepthook = _died
