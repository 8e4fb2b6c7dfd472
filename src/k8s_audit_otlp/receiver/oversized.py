"""The two ends of a line over the limit in, an event without bodies out. Pure.

The apiserver writes an event's fields in the order of its struct: who, what and the objects come
first, then the bodies, then the timestamps and annotations. So both ends together are the event.
"""

import re

_BODIES = re.compile(rb',"(?:requestObject|responseObject)":')
_AFTER = re.compile(rb',"requestReceivedTimestamp":"[^"\\]{1,40}","stageTimestamp":')


def envelope_of(head: bytes, tail: bytes) -> bytes:
    """Join what stands before the first body with what stands after the last one.

    Where either end is not found, the head is returned as it is: not an event, but no silence.
    """
    before = _BODIES.search(head)
    after = None
    for found in _AFTER.finditer(tail):
        after = found
    if before is None or after is None:
        return head
    return head[: before.start()] + tail[after.start() :]
