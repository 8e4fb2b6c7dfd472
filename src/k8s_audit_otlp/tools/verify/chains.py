"""Judges the chains of receipts and gaps that an export holds, and the seals on them.

Integrity beside completeness: a link that was changed, taken out, doubled with another content or
put in by somebody else is found and named. What lies after the newest seal could be rewritten by
whoever holds the node; without a key all of it could be, by whoever holds the back end.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k8s_audit_otlp.evidence.chain import (
    BEFORE,
    CHAIN,
    HASH,
    REPLAYED,
    TEXT,
    hash_of,
    text_hash,
)
from k8s_audit_otlp.evidence.seal import AGENT, OPEN, SEAL, STOPPED, is_signed, signed_text
from k8s_audit_otlp.state.outbox import EXPORTER
from k8s_audit_otlp.tools.verify.exports.record import (
    SEGMENT,
    ExportRecord,
    Receipt,
    body_of,
    field_of,
    number_of,
    source_of,
    sums_in,
    text_of,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_NAMES = tuple(CHAIN + name for name in ("id", "number", "previous", "hash"))
_FIRST = SEGMENT + "first_event_ns"
_LAST = SEGMENT + "last_event_ns"
_TOLD = SEGMENT + "told_ns"
_SOURCE = "source"
_SEAL_NAMES = (
    EXPORTER,
    AGENT,
    OPEN,
    *(SEAL + name for name in ("log", "key", "time_ns", "signature")),
)


@dataclass(frozen=True, slots=True)
class _Link:
    uid: str
    previous: str
    hash: str
    sound: bool  # its hash is that of what it says
    since_ns: int  # the first event of a receipt, else 0
    until_ns: int  # and the last
    told_ns: int  # when a receipt was made, else 0
    before_ns: int  # the newest time that links before it speak of, 0 unknown


@dataclass(slots=True)
class ChainReport:
    """One chain: from which number to which, how far it is sealed, what is wrong with it."""

    id: str
    exporter: str = ""
    first: int = 0
    last: int = 0  # 0: none yet, or of another exporter, whose back end has its links
    since_ns: int = 0  # the first event that its receipts speak of
    before_ns: int = 0  # the newest time that the links before its first one speak of
    replay: bool = False  # its links speak of what was sent again
    sealed: int = 0  # newest number that a trusted seal names
    sealed_ns: int = 0  # and the time that it gives
    sealed_by: str = ""  # and the key that made it; "" where there is none
    seen: int = 0  # the number of the newest receipt, or trusted seal of the range
    seen_ns: int = 0  # and its time
    stopped: bool = False  # that seal says that the agent ended then
    unsealed_ns: list[int] = field(default_factory=list)  # last events of receipts after it
    waits: bool = False  # those links are so new that the next seal may be still to come
    ends_early: bool = False  # later ones were due, while the agent ran
    twice: list[int] = field(default_factory=list)  # numbers with two links, both sealed
    # Number, whether it is a seal, and when it was made: sorted, as the agent made them.
    times: list[tuple[int, bool, int]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.exporter} ({self.id})"


@dataclass(slots=True)
class IntegrityReport:
    chains: list[ChainReport] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # of what belongs to no chain
    absent: list[str] = field(default_factory=list)  # sealed chains of which no link is there
    # What trusted seals say of segments that had no receipt yet, by chain, identity and bytes.
    open: dict[tuple[str, str, int], Receipt] = field(default_factory=dict)
    seals: int = 0
    checked: bool = False  # there was a key to check seals with

    @property
    def sound(self) -> bool:
        return not self.faults and not any(chain.faults for chain in self.chains)


class Links:
    """Takes in the agent's own records of an export; memory is a few hundred bytes for each."""

    def __init__(
        self, keys: "Mapping[str, Ed25519PublicKey] | None" = None, until_ns: int = 0
    ) -> None:
        """*keys*: the public keys that are trusted, by their ids; None checks no seal.

        *until_ns*: where links may end and seals go on, 0 where they end together.
        """
        self._keys, self._until_ns = keys, until_ns
        self._links: dict[str, dict[int, dict[str, _Link]]] = {}
        self._exporters: dict[str, str] = {}
        self._replays: set[str] = set()
        # Each is judged: who gives another the uid of a true one does not take that away.
        self._seals: dict[tuple[str, ...], dict[str, str]] = {}
        self._first_ns = 0  # of the events that receipts speak of
        self._faults: list[str] = []

    def take(self, item: ExportRecord) -> None:
        if item.own is None:
            return
        uid, fields = item.uid, item.own
        said = {name: text_of(fields, name) for name in (*_NAMES, *_SEAL_NAMES)}
        if not said[CHAIN + "id"]:
            return
        number = number_of(said[CHAIN + "number"], -1)
        if said[SEAL + "signature"]:
            said[_SOURCE] = source_of(fields)
            self._seals[uid, *said.values()] = said
        elif number < 0:
            self._faults.append(f"{uid}: a link without a number")
        else:
            event = text_of(fields, "event.name") or text_of(fields, "eventname")
            sound = said[HASH] == hash_of(uid, event, fields)
            times = [number_of(field_of(fields, name)) for name in (_FIRST, _LAST, _TOLD, BEFORE)]
            text, body = text_of(fields, TEXT), body_of(fields)
            if text and body:  # which names the file
                name = text_of(fields, "log.file.name")
                sound &= text == text_hash(body) and name in body
            link = _Link(uid, said[CHAIN + "previous"], said[HASH], sound, *times)
            chain = self._links.setdefault(said[CHAIN + "id"], {})
            chain.setdefault(number, {})[f"{link.hash} {sound} {uid}"] = link
            self._exporters.setdefault(said[CHAIN + "id"], said[EXPORTER])
            if text_of(fields, REPLAYED):
                self._replays.add(said[CHAIN + "id"])
            self._first_ns = min(filter(None, (self._first_ns, link.since_ns)), default=0)

    def report(self) -> IntegrityReport:
        report = IntegrityReport(faults=list(self._faults), seals=len(self._seals))
        report.checked = self._keys is not None
        every = sorted(self._seals.items(), key=lambda each: each[0])
        seals = [(said, self._doubt(uid, said)) for (uid, *_), said in every]
        sealed: dict[str, set[str]] = {}
        for said in (said for said, doubt in seals if report.checked and not doubt):
            sealed.setdefault(said[CHAIN + "id"], set()).add(said[HASH])
        chains = {n: self._chain(n, of, sealed.get(n, set())) for n, of in self._links.items()}
        for said, doubt in seals:
            chain = chains.get(said[CHAIN + "id"])
            if chain is None:
                chain = chains[said[CHAIN + "id"]] = ChainReport(said[CHAIN + "id"], said[EXPORTER])
            if doubt:
                chain.faults.append(doubt)
            else:
                self._hold_against_seal(chain, said)
                report.open |= {(x.chain, x.identity, x.bytes): x for x in _open_segments(said)}
        report.chains = list(chains.values())
        for chain in filter(lambda each: each.sealed_by, report.chains):
            later = (of for n, of in self._links.get(chain.id, {}).items() if n > chain.sealed)
            chain.unsealed_ns = [link.until_ns for of in later for link in of.values()]
        here = set(self._exporters.values())
        report.absent = [
            f"{chain.name}: sealed up to number {chain.sealed}, and nothing of it "
            "is there: another cluster's or back end's, or it was taken out"
            for chain in report.chains
            if chain.sealed
            and not chain.last
            and chain.exporter in here
            and chain.sealed_ns >= self._first_ns
        ]
        return report

    def _chain(
        self, name: str, of: dict[int, dict[str, _Link]], sealed: Collection[str]
    ) -> ChainReport:
        numbers = sorted(of)
        proven = _proven(of, sealed)
        report = ChainReport(name, self._exporters[name], numbers[0], numbers[-1])
        links = [link for number in numbers for link in of[number].values()]
        report.since_ns = min(filter(None, (link.since_ns for link in links)), default=0)
        report.before_ns = links[0].before_ns
        told = ((n, x.told_ns) for n in numbers for x in of[n].values() if x.sound and x.told_ns)
        report.times = [(number, False, ns) for number, ns in told]
        report.seen, _, report.seen_ns = max(report.times, default=(0, False, 0))
        report.replay = name in self._replays
        before: set[str] = set()  # hashes
        for at, number in enumerate(numbers):
            if at and number != numbers[at - 1] + 1:
                report.faults.append(f"missing: {_span(numbers[at - 1] + 1, number - 1)}")
                before = set()
            found = list(of[number].values())
            report.faults += [f"changed: number {number}, {x.uid}" for x in found if not x.sound]
            sound = [x for x in found if x.sound]
            hashes = {x.hash for x in sound}
            if len(hashes) > 1 and hashes <= proven:
                report.twice.append(number)
            elif len(hashes) > 1:
                uids = ", ".join(x.uid for x in sound)
                report.faults.append(f"forked: number {number} is there twice: {uids}")
            if before and any(x.previous not in before for x in sound):
                report.faults.append(f"broken: number {number} does not follow number {number - 1}")
            if number == 1 and any(x.previous for x in sound):
                report.faults.append("broken: number 1 follows something")
            before = hashes
        return report

    def _doubt(self, uid: str, said: Mapping[str, str]) -> str:
        """Say why a seal is not to be trusted; "" where it is."""
        if self._keys is None:
            return ""
        key = self._keys.get(said[SEAL + "key"])
        if key is None:
            given = ", ".join(self._keys)
            return f"seal by a key that was not given: {said[SEAL + 'key']}; given: {given}"
        is_true = is_signed(key, signed_text(said), said[SEAL + "signature"])
        return "" if is_true else f"seal that its key did not sign: {uid}"

    def _hold_against_seal(self, chain: ChainReport, said: Mapping[str, str]) -> None:
        number = number_of(said[CHAIN + "number"], -1)
        links = self._links.get(chain.id, {}).get(number)
        time_ns = number_of(said[SEAL + "time_ns"])
        if links is None:
            # What a later seal names may have come after the range, where all seals are in a file.
            is_later = self._until_ns and time_ns >= self._until_ns and number > chain.last
            if chain.first and number >= chain.first and not is_later:
                chain.faults.append(f"sealed and not there: number {number}")
        elif said[HASH] not in {link.hash for link in links.values() if link.sound}:
            chain.faults.append(f"not what was sealed: number {number}")
        if self._keys is None:
            chain.sealed_ns = max(chain.sealed_ns, time_ns)
            return
        if (number, time_ns) >= (chain.sealed, chain.sealed_ns):
            chain.sealed, chain.sealed_ns, chain.sealed_by = number, time_ns, said[SEAL + "key"]
        chain.times.append((number, True, time_ns))
        is_later = self._until_ns and time_ns >= self._until_ns
        if (number, time_ns) >= (chain.seen, chain.seen_ns) and not is_later:
            chain.seen, chain.seen_ns, chain.stopped = number, time_ns, said[AGENT] == STOPPED


def _proven(of: Mapping[int, Mapping[str, _Link]], sealed: Collection[str]) -> set[str]:
    """Return the hashes of links that a seal is on, or on one that follows them."""
    proven = set(sealed)
    for number in sorted(of, reverse=True):
        proven |= {x.previous for x in of[number].values() if x.sound and x.hash in proven}
    return proven


def _open_segments(said: Mapping[str, str]) -> Iterator[Receipt]:
    """Read what a seal says of segments that have no receipt yet; `none` where it has no hash."""
    for each in said[OPEN].split():
        identity, *counts, hashed, sums = (
            each.split("/") if each.count("/") == 8 else (each, "", "")
        )
        size, delivered, given_up, gaps, first, last = map(number_of, counts or ["0"] * 6)
        yield Receipt(
            identity,
            said[EXPORTER],
            said[_SOURCE],
            chain=said[CHAIN + "id"],
            bytes=size,
            delivered=delivered,
            refused=given_up,
            gaps=gaps,
            first_event_ns=first,
            last_event_ns=last,
            name="open segment",
            hash=hashed,
            sums=sums_in(sums),
            none="" if hashed else "not_hashed",
        )


def _span(first: int, last: int) -> str:
    return f"number {first}" if first == last else f"numbers {first} to {last}"
