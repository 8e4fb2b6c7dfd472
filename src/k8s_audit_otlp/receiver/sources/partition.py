"""Reassembles the events of one Kafka partition; says which offset may be committed. Pure.

A text that came in pieces may go on in a later message. Until it has ended nothing from its
beginning on is committed, so that who reads on after a kill puts it together again; a text whose
end does not come is given up after a while and told as torn.
"""

from collections.abc import Iterable, Iterator

from k8s_audit_otlp.event.formats import detect, is_audit, is_part_of_event, unwrap
from k8s_audit_otlp.event.frames import Framed, inflated
from k8s_audit_otlp.event.lenient_json import is_object, list_of
from k8s_audit_otlp.event.partial_lines import Piece, Pieces, joined
from k8s_audit_otlp.receiver.sources.otlp_request import read_request
from k8s_audit_otlp.receiver.spool.event_list import LINE_BREAKS, NoEventsError, lines_of

# How long an end is waited for, in whatever comes first. The window of a spool, which knows again
# what a killed agent had taken since, holds more lines than so many messages as a rule.
MOST_S = 30.0
MOST_MESSAGES = 10_000
MOST_BYTES = 64 << 20


class Partition:
    """Takes messages in the order of their offsets."""

    def __init__(self, begin: int = 0) -> None:
        """*begin*: the offset of the first message that comes."""
        self.committed = -1  # the position that is, as far as this reader knows
        self.left_out = 0  # texts that held no audit event
        self.gaps: list[str] = []  # that requests tell of
        self.clusters: set[str] = set()  # that requests name
        self._pieces = Pieces()
        self._end = begin  # the offset behind what was taken
        self._waits_for = (-1, 0.0)  # the first piece that goes on, and since when

    def take(self, offset: int, key: bytes, value: bytes) -> list[bytes]:
        """Return the lines of the events that end in a message.

        Raise UnreadableRequestError where it is a request of OTLP that nobody can read.
        """
        message = inflated(value).removeprefix(b"\xef\xbb\xbf")
        request = read_request(message)
        texts = map(Framed, request.bodies) if request else _texts_in(message.strip())
        found: list[list[Piece]] = []
        for one in texts:
            found += self._pieces.add(offset, one._replace(stream=one.stream + b"|" + key))
        if request:
            self.gaps += request.gaps
            self.clusters |= request.clusters
        self._end = offset + 1
        return self._lines(found)

    def pass_to(self, end: int) -> None:
        """Go on to an offset before which no message is left: markers of transactions are none."""
        self._end = max(self._end, end)

    def overdue(self, now: float) -> list[bytes]:
        """Return what is left of texts whose end does not come any more, at *now* (seconds)."""
        first = self._pieces.first
        if first is None:
            return []
        if first != self._waits_for[0]:
            self._waits_for = first, now
        late = now - self._waits_for[1] >= MOST_S or self._end - first > MOST_MESSAGES
        return self.torn() if late or self._pieces.size > MOST_BYTES else []

    def torn(self) -> list[bytes]:
        """Return what is left of all texts that go on: their ends are gone."""
        return self._lines(self._pieces.end_all())

    def _lines(self, texts: Iterable[list[Piece]]) -> list[bytes]:
        found = [_lines_from(joined(text)) for text in texts]
        self.left_out += sum(not lines for lines in found)
        return [line for lines in found for line in lines]

    @property
    def position(self) -> int:
        """The offset to go on from, when all that was returned is on disk."""
        first = self._pieces.first
        return self._end if first is None else first


def lines_in(message: bytes) -> tuple[list[bytes], int]:
    """Return the events of a message that stands alone, and how many texts in it are none."""
    alone = Partition()
    return [*alone.take(0, b"", message), *alone.torn()], alone.left_out


def _texts_in(message: bytes) -> Iterator[Framed]:
    """Take the texts out of a message: JSON over any lines, an array of it, or lines.

    Of what nothing can be taken out is given as it stands.
    """
    for text in _members(message) if message.startswith(b"[") else _lines_of(message):
        yield from unwrap(text, detect(text)) or [Framed(text)]


def _lines_of(message: bytes) -> list[bytes]:
    first, more, _ = message.partition(b"\n")
    if more and message.startswith(b"{") and not is_object(first):
        return [message]  # over many lines, or torn
    return [line for line in message.split(b"\n") if line.strip()]


def _members(array: bytes) -> list[bytes]:
    try:
        return [bytes(member) for member in list_of(array)]
    except ValueError:
        return _lines_of(array)


def _lines_from(text: bytes) -> list[bytes]:
    """Return the events of a text, a line each; none where it is another one.

    A torn event is a line as well: its record says that it could not be read.
    """
    if not (is_audit(text) or is_part_of_event(text)):
        return []
    try:
        return list(lines_of(text))
    except NoEventsError:
        return [text.translate(None, LINE_BREAKS) + b"\n"]
