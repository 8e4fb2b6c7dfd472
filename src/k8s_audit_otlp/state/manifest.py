"""Which segments a log has, and their order. No I/O.

A sequence number is given once, at discovery, and is the order from then on: names only order
segments that are found in the same listing. So renames and clock steps can neither reorder nor
hide anything.
"""

from collections.abc import Collection

import msgspec

from k8s_audit_otlp.state.ledger import Place

MAX_NAMES = 4  # names kept per segment: the newest are what an operator looks for


class SegmentState(msgspec.Struct, omit_defaults=True):
    """One generation of the log. Sizes and offsets are decompressed bytes."""

    seq: int  # 0 until it has its place
    identity: str  # with `.N` where another segment had the same first event
    head: str  # fingerprint of the first line's first bytes
    head_length: int
    head_start: int = 0
    names: list[str] = []  # newest first
    device: int = 0
    inode: int = 0
    modified_ns: int = 0  # when its file was written to last, as of the last look
    size: int = 0  # as far as it is known
    promised: int = 0  # what the end of its .gz says of the size, until somebody has unpacked it
    complete: bool = False  # closed, and `size` is its end
    gone: bool = False  # no file holds it any more
    let_go: bool = False  # and that was our own choice: the bound for deleted files was reached
    truncated: bool = False  # its file was cut: what no copy of it holds is lost
    open_end: bool = False  # it is complete as far as it is known, but more may have been written
    torn: int = 0  # where a gap ends in the middle of a line, because a .gz did
    lost: str = ""  # no segment, but a stretch that nobody could read: why. Its one byte is a gap
    detail: str = ""  # and what is known of that
    begin: int = 0  # where it begins in a file that holds another segment before it
    after: int = 0  # and that segment's number
    cut: int = 0  # where the next one begins in the file of this one: what was there is lost
    marks: list[tuple[int, str]] = []  # places and what the bytes before them are, farthest first
    lines: bytes = b""  # length and checksum of each of the last lines before the farthest
    first_ns: int = 0  # time of its first event
    last_ns: int = 0  # and of the last one that was read; of a stretch: those around it
    seen_ns: int = 0  # when it was discovered
    closed_ns: int = 0  # when it stopped being the live file

    @property
    def name(self) -> str:
        return self.names[0] if self.names else "?"

    @property
    def farthest(self) -> int:
        """The end of what was read of it by anyone, as far as its bytes are known."""
        return self.marks[0][0] if self.marks else 0

    @property
    def likely_size(self) -> int:
        """Its size, or what its .gz promises as long as that is an estimate."""
        return max(self.size, self.promised) if self.is_estimated else self.size

    @property
    def is_estimated(self) -> bool:
        """Say whether nobody has unpacked it to its end yet."""
        return not self.complete and self.promised > self.size

    @property
    def since_ns(self) -> int:
        """Time of an event that lies before whatever follows the segment, 0 where none is known."""
        return self.last_ns or self.first_ns

    def begins_at(self, offset: int) -> bool:
        """Say whether nothing of it stands before *offset*, not a line."""
        return offset <= max(self.begin, self.head_start)

    def read(self, place: Place) -> None:
        """Note that it was read up to *place* at least, whether or not it still holds that."""
        own = [(place.offset, place.mark)] if place.mark else []
        farthest = self.marks[:1]
        self.size = max([self.size, place.offset, *(offset for offset, _ in place.near)])
        self.marks = sorted({*self.marks, *place.near, *own}, reverse=True)
        if self.marks[:1] != farthest:
            self.lines = place.lines

    def seen_as(self, name: str) -> None:
        if not self.names or self.names[0] != name:
            self.names = [name, *(n for n in self.names if n != name)][:MAX_NAMES]


class UnnamedFile(msgspec.Struct, array_like=True, frozen=True):
    """A live file without a whole line: nothing names it but where it lies on the disk."""

    device: int
    inode: int
    generation: int = 0  # tells it from a later file with its inode number; 0 where not known
    follows: bool = False  # what was known before was there when it was first seen


class UnreadableFile(msgspec.Struct, array_like=True):
    """A file that could not be read yet."""

    name: str
    device: int
    inode: int
    candidates: list[int] = []  # segments that had no other file when it was first seen
    after: int = 0  # the newest known segment, if its file was listed before it at first sight
    written_ns: int = 0  # when it was seen first and held something
    size: int = 0  # of it at the last look


class Manifest(msgspec.Struct, omit_defaults=True):
    """All known segments of one log in their order. That of an AuditLog is guarded by its lock."""

    next_seq: int = 1
    segments: list[SegmentState] = []
    started: bool = False  # the log was listed at least once
    newest: int = 0  # the segment that was found or live last: what is new must follow it
    unnamed: list[UnnamedFile] = []
    unread: list[UnreadableFile] = []
    doubts: list[tuple[int, int]] = []  # segments between which something may be missing or not
    # By kind of names: a segment before this number would prove that nothing is gone since when
    unproven: dict[int, tuple[int, int]] = {}
    kinds: dict[int, int] = {}  # in use; a live segment that none of it was beside, 0 while listed
    empty_ns: int = 0  # when the log was listed last and held no event yet
    up_since_ns: int = 0  # when the machine came up again, if nobody had stopped the agent before
    following: dict[int, str] = {}  # identities of what may come next by the positions of before

    def with_identity(self, identity: str) -> list[SegmentState]:
        """Known segments whose first event is the same, newest first."""
        return [s for s in reversed(self.segments) if s.identity.startswith(identity)]

    def add(self, segment: SegmentState) -> None:
        """Give a new segment its place at the end and, if its identity is taken, a number.

        One that a killed process had numbered keeps its place: positions name it by that.
        """
        identity, n = segment.identity, 2
        segment.seq = self.in_positions(identity) or self.next_seq
        taken = {s.identity for s in self.with_identity(identity)}
        while segment.identity in taken:
            segment.identity, n = f"{identity}.{n}", n + 1
        self.segments.append(segment)
        self.next_seq = segment.seq + 1
        self.following = {}

    def leave_place(self, before: int) -> None:
        """Leave a number between segment *before* and the next for what may be missing there.

        Else a position in that one would prove, after a kill, that it follows.
        """
        self.next_seq += 1
        self.doubts.append((before, self.next_seq))

    def in_positions(self, identity: str) -> int:
        """Return the number of a segment that may come next, by the positions of before, or 0."""
        of = {name.partition(".")[0]: seq for seq, name in self.following.items()}
        return of.get(identity, 0)

    def forget(self, seqs: Collection[int]) -> None:
        self.segments = [s for s in self.segments if s.seq not in seqs]

    def copy(self) -> "Manifest":
        """Return what stays as it is while the log goes on."""
        return msgspec.structs.replace(
            self,
            segments=[msgspec.structs.replace(s, names=list(s.names)) for s in self.segments],
            unnamed=list(self.unnamed),
            unread=list(self.unread),
            doubts=list(self.doubts),
            unproven=dict(self.unproven),
            kinds=dict(self.kinds),
            following=dict(self.following),
        )
