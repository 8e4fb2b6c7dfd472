"""Links receipts and gaps of one subscription into a chain that anyone can check. Pure.

Each link carries its number, the hash of the link before it and its own: SHA-256 over a canonical
text of its attributes. The text can be made again from an export, whatever a back end does to the
names and types of attributes: names become lower-case words with dots, values become texts, and
what is empty is left out, as VictoriaLogs does.

Without a key the chain shows accident and loss. Against somebody who can rewrite everything that a
back end holds it needs seals (`evidence.seal`), and somebody who keeps the public key elsewhere.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from k8s_audit_otlp.state.outbox import Chain, Notice, Value

VERSION = 2
CHAIN = "k8s.audit.chain."
HASH = CHAIN + "hash"
TEXT = CHAIN + "text"
BEFORE = CHAIN + "before_ns"  # the newest time that the links before it speak of
_OURS = "k8s.audit."
_COVERED = frozenset({"chain", "exporter", "gap", "replayed", "segment"})  # what a link says itself
REPLAYED = "k8s.audit.replayed"  # what a replay sends: its resource says so, and its links
# Where a link says up to which time it speaks of the log
_UNTIL = ("gap.until_ns", "segment.last_event_ns", "gap.told_ns", "segment.told_ns")
_WORDS = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=4096)
def words(name: str) -> str:
    """Return a name as any back end may write it: lower case, one dot between words."""
    return _WORDS.sub(".", name.lower()).strip(".")


def text_of(value: object) -> str:
    """Return a value as text: exports make texts of numbers and truths, Python's tables `True`."""
    text = str(value)
    return text.lower() if text in {"True", "False"} else text


def told(one: Any, other: Any) -> Any:
    """Return what is said twice under one name; where that differs, neither is taken for true."""
    if str(one) == str(other) or other in (None, ""):
        return one
    return other if one in (None, "") else f"{one}\n{other}"


def hash_of(uid: str, event: str, attributes: Mapping[str, object]) -> str:
    """Return the hash of a link, from what the agent or an export says of it."""
    own, covered = words(HASH), dict[str, str]()
    for path, value in attributes.items():
        _, found, rest = f".{words(path)}".rpartition(f".{_OURS}")  # whatever stands before
        name = _OURS + rest
        if found and name != own and rest.partition(".")[0] in _COVERED:
            covered[name] = told(covered.get(name, ""), text_of(value))
    said = [[name, value] for name, value in sorted(covered.items()) if value]
    canonical = [f"k8s-audit-otlp link v{VERSION}", uid, event, *said]
    return sha256(msgspec.json.encode(canonical)).hexdigest()


def text_hash(body: str) -> str:
    """Return what a link says of its own text, which an export may leave out."""
    return sha256(body.encode("utf-8", "replace")).hexdigest()[:32]


def begin(first: str, log: str, exporter: str, now_ns: int) -> Chain:
    """Begin a chain whose id no other has: log, exporter, first segment and time go into it."""
    named = "\0".join((log, exporter, first, str(now_ns)))
    return Chain(sha256(named.encode()).hexdigest()[:16])


def link(chain: Chain, notice: Notice) -> tuple[Chain, Notice]:
    """Put *notice* at the end of *chain*; return both as they are then."""
    attributes: dict[str, Value] = {
        **notice.attributes,
        CHAIN + "version": VERSION,
        CHAIN + "id": chain.id,
        CHAIN + "number": chain.number + 1,
        CHAIN + "previous": chain.hash,
        **({BEFORE: chain.until_ns} if chain.until_ns else {}),
        TEXT: text_hash(notice.body),
    }
    own = hash_of(notice.uid, notice.event, attributes)
    linked = msgspec.structs.replace(notice, attributes={**attributes, HASH: own}, kept=True)
    times = (notice.attributes.get(_OURS + name) for name in _UNTIL)
    until_ns = max(chain.until_ns, next((ns for ns in times if ns and isinstance(ns, int)), 0))
    return Chain(chain.id, chain.number + 1, own, until_ns), linked


def without_link(notice: Notice) -> Notice:
    """Return *notice* for other exporters: without the chain that it is a link of."""
    attributes = {k: v for k, v in notice.attributes.items() if not k.startswith(CHAIN)}
    return msgspec.structs.replace(notice, attributes=attributes, kept=False)
