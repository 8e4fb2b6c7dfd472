"""Holds the files of a log, where they are still there, against the SHA-256 in their receipts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.names import GZIP, LogName, live_name
from k8s_audit_otlp.tools.offline import OfflineSegment, segments
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord

_STEP = 1024 * 1024


@dataclass(slots=True)
class RawReport:
    """Which files are what was read, which are not, and of which nothing can be said."""

    directory: str = ""
    same: int = 0
    changed: list[str] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)  # of these, what has a receipt or is damaged


class RawFiles:
    """Takes in receipts; `report` reads the files."""

    def __init__(self) -> None:
        # By identity and chain: SHA-256 and the size that it is over.
        self._said: dict[str, dict[str, dict[str, int]]] = {}

    def take(self, item: ExportRecord) -> None:
        receipt = item.receipt
        if receipt is not None and receipt.chain and not receipt.replayed:
            of = self._said.setdefault(receipt.identity, {})
            if receipt.sha256:
                of.setdefault(receipt.chain, {})[receipt.sha256] = receipt.bytes

    def report(self, directory: Path | None) -> RawReport:
        """Read every file of *directory* whose first line names a segment with a receipt.

        It may be one file, too. Raise OSError where it is missing or may not be read.
        """
        if directory is None:
            return RawReport()
        report, damage = RawReport(str(directory)), dict[str, str]()
        entries = list(_entries(directory))
        names = {entry.name.name for entry in entries}
        live = {live_name(name) for name in names if live_name(name) != name}  # of the backups
        for found in segments(entries, damage):
            if isinstance(found, OfflineSegment):
                self._judge(found, report, live=found.entry.name.name in live)
        report.unproven += [f"{name}: {why}" for name, why in damage.items()]
        report.not_judged += report.unproven
        return report

    def _judge(self, segment: OfflineSegment, report: RawReport, *, live: bool) -> None:
        name, of = segment.entry.name.name, self._said.get(segment.identity)
        said = {
            found: size
            for chain in (of or {}).values()
            for found, size in chain.items()
            if size == max(chain.values())
        }
        if not said:
            none = "no receipt yet: it is still written" if live else "no receipt in the export"
            why = none if of is None else "its receipt has no hash"
            report.not_judged.append(f"{name} ({segment.identity}): {why}")
            report.unproven += report.not_judged[-1:] if of is not None else []
            return
        if any(other.startswith(segment.identity + ".") for other in self._said):
            report.not_judged.append(f"{name} ({segment.identity}): the log was cut in it")
            report.unproven += report.not_judged[-1:]
            return
        read, known, more = _hashed(segment, said)
        if known == read and known and not more:
            report.same += 1
        elif known:
            report.changed.append(f"{name} ({segment.identity}): was written to after its receipt")
        elif (gone := max(said.values()) - read) > 0:
            report.changed.append(f"{name} ({segment.identity}): {gone} bytes are gone")
        else:
            report.changed.append(f"{name} ({segment.identity}): is not what the agent read")


def _entries(directory: Path) -> Iterator[Entry]:
    for path in [directory] if directory.is_file() else sorted(directory.iterdir()):
        if path.is_file():
            info = path.stat()
            packed = path.name.endswith(GZIP)
            name = LogName(path.name, path.name, compressed=packed, live=False, age=(0, ""))
            yield Entry(path, name, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


def _hashed(segment: OfflineSegment, said: Mapping[str, int]) -> tuple[int, int, bool]:
    """Return how many bytes were read, how many of them a receipt is over, and if more follow.

    *said*: hashes and the sizes that they are over; logs of two nodes may begin alike.
    """
    done, at, known, more = sha256(), 0, 0, False
    try:
        for found, size in sorted(said.items(), key=lambda each: each[1]):
            while at < size and (data := segment.source.read_at(at, min(_STEP, size - at))):
                done.update(data)
                at += len(data)
            known = at if at == size and done.hexdigest() == found else known
        more = bool(segment.source.read_at(at, 1))
    except (OSError, CorruptGzipError):
        pass
    return at, known, more
