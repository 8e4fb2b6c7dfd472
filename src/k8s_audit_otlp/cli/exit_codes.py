"""The exit codes of every command, and how one ends with a message."""

import sys
from typing import Final, NoReturn

from k8s_audit_otlp.cli.terminal import echo

PROGRAM: Final = "k8s-audit-otlp"

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
STATE: Final = 3
UNDELIVERED: Final = 4
MISSING: Final = 5
CHANGED: Final = 6
UNPROVEN: Final = 7
NOTHING: Final = 8
INTERRUPTED: Final = 130

# Errors whose text says where, what and the way out; by name, as few commands import their modules.
OF_ERRORS: Final = {
    "KeyFileError": USAGE,
    "RefusalError": USAGE,
    "ReplayRunningError": STATE,
    "StateError": STATE,
    "StateLockedError": STATE,
    "UnreadableExportError": USAGE,
}

EXIT_CODES: Final = """\b
Exit codes:
  0  done
  1  unexpected failure; doctor, demo, status --fail: something is wrong
  2  mistake in the usage or the configuration
  3  trouble with the state: locked, corrupt, not writable
  4  --once or a replay left something undelivered
  5  verification found something missing
  6  verification found something changed or forged
  7  verification found nothing wrong, but could not judge all
  8  there was nothing to verify
  130  interrupted
"""


def say(message: str) -> None:
    """Write a message to standard error, each line under the one prefix that all errors have."""
    for line in message.splitlines():
        echo(f"{PROGRAM}: {line}", err=True)


def die(message: str, code: int = USAGE) -> NoReturn:
    """End the command with a message and an exit code."""
    say(message)
    sys.exit(code)
