"""Holds the files of a log, where they are still there, against the SHA-256 in their receipts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.names import GZIP, LogName
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
        self._said: dict[str, dict[str, int]] = {}  # identity: SHA-256 and the size it is over

    def take(self, item: ExportRecord) -> None:
        """Take in what a receipt says of raw bytes."""
        receipt = item.receipt
        if receipt is not None and receipt.chain and not receipt.replayed:
            of = self._said.setdefault(receipt.identity, {})
            if receipt.sha256:
                of[receipt.sha256] = receipt.bytes

    def report(self, directory: Path) -> RawReport:
        """Read every file of *directory* whose first line names a segment with a receipt.

        It may be one file, too.

        Raise OSError where it is missing or may not be read.
        """
        report, damage = RawReport(str(directory)), dict[str, str]()
        for found in segments(list(_entries(directory)), damage):
            if isinstance(found, OfflineSegment):
                self._judge(found, report)
        report.unproven += [f"{name}: {why}" for name, why in damage.items()]
        report.not_judged += report.unproven
        return report

    def _judge(self, segment: OfflineSegment, report: RawReport) -> None:
        name, said = segment.entry.name.name, self._said.get(segment.identity)
        if not said:
            why = "no receipt in the export" if said is None else "its receipt has no hash"
            report.not_judged.append(f"{name} ({segment.identity}): {why}")
            report.unproven += report.not_judged[-1:] if said is not None else []
            return
        if any(other.startswith(segment.identity + ".") for other in self._said):
            report.not_judged.append(f"{name} ({segment.identity}): the log was cut in it")
            report.unproven += report.not_judged[-1:]
            return
        size = max(said.values())
        found, read, more = _hash(segment, size)
        if read < size:
            report.changed.append(f"{name} ({segment.identity}): {size - read} bytes are gone")
        elif found not in said:
            report.changed.append(f"{name} ({segment.identity}): is not what the agent read")
        elif more:
            report.changed.append(f"{name} ({segment.identity}): was written to after its receipt")
        else:
            report.same += 1


def _entries(directory: Path) -> Iterator[Entry]:
    for path in [directory] if directory.is_file() else sorted(directory.iterdir()):
        if path.is_file():
            info = path.stat()
            packed = path.name.endswith(GZIP)
            name = LogName(path.name, path.name, compressed=packed, live=False, age=(0, ""))
            yield Entry(path, name, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)


def _hash(segment: OfflineSegment, size: int) -> tuple[str, int, bool]:
    """Return the hash of the first *size* bytes, how many there were, and whether more follow."""
    done, at = sha256(), 0
    try:
        while at < size and (data := segment.source.read_at(at, min(_STEP, size - at))):
            done.update(data)
            at += len(data)
        more = at == size and bool(segment.source.read_at(at, 1))
    except (OSError, CorruptGzipError):
        more = False
    return done.hexdigest(), at, more
