"""Decides whether a start runs in safe mode, line by line: after starts that got nowhere.

A start that finds the positions where the two starts before found them, none of which ended
cleanly, may be one of a process that dies of what it reads. It may as well be that a back end is
down and somebody restarts the agent; so safe mode costs time and nothing else.
"""

import logging
from hashlib import blake2b
from pathlib import Path

import msgspec

from k8s_audit_otlp.state.checkpoint import Checkpoint
from k8s_audit_otlp.state.marker import Marker

logger = logging.getLogger("k8s_audit_otlp")

STARTS = 2  # without progress, before the third is in safe mode


def digest(checkpoint: Checkpoint) -> str:
    """Return what changes when any exporter has moved."""
    settled = {
        log: {exporter: position.settled for exporter, position in exporters.items()}
        for log, exporters in checkpoint.positions.items()
    }
    return blake2b(msgspec.json.encode(settled), digest_size=8).hexdigest()


def note_start(checkpoint: Checkpoint) -> bool:
    """Note this start in *checkpoint*; say whether it should be in safe mode."""
    now = digest(checkpoint)
    safe_mode = checkpoint.starts == [now] * STARTS
    checkpoint.starts = [*checkpoint.starts, now][-STARTS:]
    return safe_mode


def marker_for(checkpoint: Checkpoint, state_dir: Path) -> Marker | None:
    """Return what to mark lines with, where the last starts got nowhere; None as a rule."""
    marker = Marker(state_dir)
    died_in_a_line = marker.load()
    if not note_start(checkpoint) and not died_in_a_line and not marker.struck:
        return None
    logger.warning(
        "the last starts made no progress: going line by line past the place; a line that "
        "ends the process is sent without its bodies, then left out, and said to be"
    )
    return marker
