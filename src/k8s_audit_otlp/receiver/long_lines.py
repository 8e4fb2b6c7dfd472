"""What is kept of an event that is too long to be sent: its two ends, without the bodies. Pure.

The apiserver writes who, what and the objects first, then the bodies, then the timestamps and
annotations.
"""

import re
from collections.abc import Iterator
from itertools import islice

from k8s_audit_otlp.event.lenient_json import is_json

END_KEPT = 256 * 1024  # bytes of either end that are looked at: all but the bodies is in them
_EVENT = b'{"kind":"Event",'  # not a list of them: who of one would stand with when of another
_BODIES = re.compile(rb',"(?:requestObject|responseObject)":')
_TRIED = 8  # of what looks like the first body, and like the end of the last
_AFTER = re.compile(rb',"requestReceivedTimestamp":"[^"\\]{1,40}","stageTimestamp":')


def without_bodies(head: bytes, tail: bytes) -> bytes:
    """Join what stands before the first body with what stands after the last one.

    Where either end is not found, the head is returned as it is: not an event, but no silence.
    """
    afters = [found.start() for found in _AFTER.finditer(tail)][-_TRIED:]
    for before in heads(head):
        for after in reversed(afters):
            if is_json(joined := before + tail[after:]):
                return joined
    return head


def heads(event: bytes) -> Iterator[bytes]:
    """Yield what stands before the bodies of an event; more than once if others are named so.

    A client may call a part of its identity like a body.
    """
    if event.startswith(_EVENT):
        for found in islice(_BODIES.finditer(event), _TRIED):
            yield event[: found.start()]
