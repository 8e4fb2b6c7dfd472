"""What the delivered records of a segment said, as hashes that anyone can make again. Pure.

A record's digest is made of its uid and its body, which every back end gives back as they were
sent. Version 1, with `|` for putting bytes one behind the other:

    digest   the first 20 bytes of SHA-256(uid | newline | body in UTF-8)
    hash     SHA-256 over the digests in the order of the places that the uids name, in a chain:
             h = 32 zero bytes; for each 8 digests in turn h = SHA-256(h | the digests); what is
             left at the end, less than 8 or none, goes in the same way
    sums     for k = 0 .. 3 the sum of value * offset**k modulo 2**61 - 1; the value is the first
             four bytes of a digest, the offset that of the record's line in the segment

The hash shows whether anything was changed. The sums tell what: two records that were changed,
taken out or put in leave four equations that name the offsets of both.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from operator import mul
from struct import Struct

import msgspec

from k8s_audit_otlp.otlp import IS_COMPILED

VERSION = 1
DIGEST_BYTES = 20
PRIME = (1 << 61) - 1
_TOGETHER = 8  # so that the digests of an open group fit into what is stored with a position
_POWERS = 4
_NOTHING = bytes(32)
_begun = sha256()
_value = Struct(f">I{DIGEST_BYTES - 4}x").iter_unpack
# What is known of a record: the offset of its line, and its digest. Of several it is one text.
_entry = Struct(f">Q{DIGEST_BYTES}s")
ENTRY_BYTES = _entry.size

Sums = tuple[int, int, int, int]


def digest_of(uid: bytes, body: bytes) -> bytes:
    """Return the SHA-256 of which a record's digest is the beginning."""
    hashed = _begun.copy()  # cheaper than a new one
    hashed.update(b"%b\n" % uid)
    hashed.update(body)  # not joined: a long body would be there once more
    return hashed.digest()


def entry_of(offset: int, uid: bytes, body: bytes) -> bytes:
    return _entry.pack(offset, digest_of(uid, body))


def entries(digests: bytes) -> list[bytes]:
    """Take apart what is known of several records."""
    return [digests[at : at + ENTRY_BYTES] for at in range(0, len(digests), ENTRY_BYTES)]


class Content(msgspec.Struct, array_like=True, omit_defaults=True):
    """The hashes up to some place of a segment; grows in the order of the log.

    `open` are digests that the next group begins with. `disordered`: records came in another order
    than that of their places, so there is no hash. `unknown`: a back end refused some records and
    did not say which, so nothing can be made again.
    """

    records: int = 0
    hash: bytes = _NOTHING
    open: bytes = b""
    sums: Sums = (0, 0, 0, 0)
    last: int = -1  # the offset of the newest record
    disordered: bool = False
    unknown: bool = False

    def copy(self) -> "Content":
        return msgspec.structs.replace(self)

    def add(self, digests: bytes | None) -> None:
        """Take in the next records that were delivered; None where nobody knows which were."""
        self.unknown |= digests is None
        if not digests:
            return
        joined, self.sums, self.last, in_order = split(digests, self.sums, self.last)
        self.disordered |= not in_order
        self.records += len(digests) // ENTRY_BYTES
        self.hash, self.open = chained(self.hash, self.open + joined)

    def finished(self) -> bytes:
        """Return the hash of everything, as if nothing followed."""
        return sha256(self.hash + self.open).digest()


def split_in_python(digests: bytes, sums: Sums, last: int) -> tuple[bytes, Sums, int, bool]:
    """Take in the entries of some records.

    Return their digests, the sums and the last offset, and whether none came before another.
    """
    offsets, each = zip(*_entry.iter_unpack(digests), strict=True)
    joined = b"".join(each)
    in_order = [last, *offsets] == sorted([last, *offsets])
    return joined, added(sums, offsets, joined), offsets[-1], in_order


Split = Callable[[bytes, Sums, int], tuple[bytes, Sums, int, bool]]
split: Split = split_in_python
if IS_COMPILED:
    from k8s_audit_otlp.otlp import _quick_line

    split = _quick_line.split


def chained(before: bytes, digests: bytes | bytearray) -> tuple[bytes, bytes]:
    """Put whole groups into the chain; return where it is then, and what is left."""
    size = _TOGETHER * DIGEST_BYTES
    whole = len(digests) - len(digests) % size
    for start in range(0, whole, size):
        before = sha256(before + digests[start : start + size]).digest()
    return before, bytes(digests[whole:])


def added(sums: Sequence[int], offsets: Iterable[int], digests: bytes) -> Sums:
    """Return *sums* with some more records in them."""
    offsets = list(offsets)
    terms = [value for (value,) in _value(digests)]
    new = [(sums[0] + sum(terms)) % PRIME]
    for power in range(1, _POWERS):
        terms = list(map(mul, terms, offsets))
        new.append((sums[power] + sum(terms)) % PRIME)
    return new[0], new[1], new[2], new[3]


def whole_hash(digests: bytes | bytearray) -> bytes:
    """Return the hash of a segment from the digests of all its records, in order."""
    before, rest = chained(_NOTHING, digests)
    return sha256(before + rest).digest()


def located(difference: Sequence[int]) -> list[tuple[int, int]] | None:
    """Name what differs between two contents, from the difference of their sums.

    Returns (offset, difference of the values) for one or two records, none where nothing differs;
    where more does, None or offsets at which there is no record.
    """
    d0, d1, d2, d3 = (each % PRIME for each in difference)
    if not (d0 or d1 or d2 or d3):
        return []
    if d0:
        at = d1 * pow(d0, -1, PRIME) % PRIME
        if d2 == d1 * at % PRIME and d3 == d2 * at % PRIME:
            return [(at, d0)]
    determinant = (d1 * d1 - d0 * d2) % PRIME
    if not determinant:
        return None
    # The offsets are the roots of x*x + a*x + b.
    inverse = pow(determinant, -1, PRIME)
    a, b = (d0 * d3 - d1 * d2) * inverse, (d2 * d2 - d1 * d3) * inverse
    square = (a * a - 4 * b) % PRIME
    root = pow(square, (PRIME + 1) // 4, PRIME)
    if root * root % PRIME != square or not root:
        return None
    half = pow(2, -1, PRIME)
    one, two = (root - a) * half % PRIME, (-root - a) * half % PRIME
    value = (d1 - d0 * two) * pow(one - two, -1, PRIME) % PRIME
    return [(one, value), (two, (d0 - value) % PRIME)]
