"""Starts that got nowhere in, whether to go carefully out.

A start that finds the positions where the two starts before found them, none of which ended
cleanly, may be one of a process that dies of what it reads. It may as well be that a back end is
down and somebody restarts the agent; so being careful costs time and nothing else.
"""

from hashlib import blake2b

import msgspec

from k8s_audit_otlp.state.checkpoint import Checkpoint

STARTS = 2  # without progress, before the third is careful


def digest(checkpoint: Checkpoint) -> str:
    """Return what changes when any exporter has moved."""
    settled = {
        log: {exporter: position.settled for exporter, position in exporters.items()}
        for log, exporters in checkpoint.positions.items()
    }
    return blake2b(msgspec.json.encode(settled), digest_size=8).hexdigest()


def note_start(checkpoint: Checkpoint) -> bool:
    """Note this start in *checkpoint*; say whether it should go carefully."""
    now = digest(checkpoint)
    careful = checkpoint.starts == [now] * STARTS
    checkpoint.starts = [*checkpoint.starts, now][-STARTS:]
    return careful
