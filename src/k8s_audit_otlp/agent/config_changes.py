"""What is different between two configurations, in the words of who operates the agent.

Values of secrets, headers and addresses are never shown: a changed key is named, and its values
only where they are numbers, switches or words from a closed set.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from pydantic import BaseModel

from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.config.blocks import values_in
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.reading.document import where
from k8s_audit_otlp.event.decode import ReadEvent, read_line
from k8s_audit_otlp.event.redact.rules import BODIES
from k8s_audit_otlp.event.stages import Dropped

_SHOWN = frozenset(
    {"profile", "bodies", "args", "notices", "compression", "until", "level", "encoding", "enabled"}
)
_LISTS = frozenset({"include", "receivers", "exporters"})  # of paths and ids
_SECTIONS = ("receivers", "exporters", "extensions", "sources")

Mappings = Mapping[str, ExporterMapping]


def changes(old: Config, new: Config) -> list[str]:
    """Say what *new* does otherwise than *old*."""
    found: list[str] = []
    for section in _SECTIONS:
        before, after = getattr(old, section), getattr(new, section)
        found += _members(section, before, after)
        for name in before.keys() & after.keys():
            found += _keys(f"{section}::{name}", before[name], after[name])
    return found + list(_keys("service", old.service, new.service))


def _members(
    section: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[str]:
    """Tell components that came or went, and those that only seem to have another name."""
    new = [name for name in after if name not in before]
    for name in before:
        if name in after:
            continue
        renamed = next((other for other in new if after[other] == before[name]), None)
        if renamed is None:
            yield f"{section}::{name} is removed{_KEPT.get(section, '')}"
            continue
        new.remove(renamed)
        yield f"{section}::{name} is called {renamed} now" + _RENAMED.get(section, "").format(
            name, renamed
        )
    for name in new:
        yield f"{section}::{name} is added" + _ADDED.get(section, "")


_KEPT = {
    "exporters": "; its position is kept",
    "sources": "; what its spool holds and nobody has got is kept, and not sent",
}
_MOVED = "; positions stay, so what another back end acknowledged is not sent again"
_BEGINS = "begins where its start_at says, or where one of this name was"
_ADDED = {"exporters": f"; it {_BEGINS}"}
_RENAMED = {
    "exporters": f", and {_BEGINS}; to let it go on, stop the agent and run "
    "`state rename {} {}` before the next start"
}


def _keys(path: str, old: object, new: object) -> Iterator[str]:
    before, after = _flat(path, old), _flat(path, new)
    for key in dict.fromkeys((*before, *after)):
        was, now = before.get(key), after.get(key)
        if was == now:
            continue
        name, shown = key.rpartition("::")[2], (_shown(key, was), _shown(key, now))
        if name in _LISTS and was and now:
            yield from (f"{key}: {one} is added" for one in now if one not in was)
            yield from (f"{key}: {one} is removed" for one in was if one not in now)
        elif all(shown):
            yield f"{key}: {shown[0]} -> {shown[1]}"
        else:
            moved = key.startswith("exporters::") and name == "endpoint"
            yield f"{key} is changed{_MOVED if moved else ''}"


def _flat(path: str, value: object) -> dict[str, Any]:
    found = values_in(value, (path,))
    return {where(at): one for at, one in found if not isinstance(one, BaseModel)}


def _shown(key: str, value: object) -> str:
    open_word = isinstance(value, str) and key.rpartition("::")[2] in _SHOWN
    if open_word or isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return ""


def effects(old: Mappings, new: Mappings, lines: Iterable[bytes]) -> list[str]:
    """Say what the changed policies and redactions would have done with *lines* of the log."""
    events = [read for line in lines for read in read_line(line)]
    found = []
    for name in old.keys() & new.keys():
        if old[name] == new[name]:
            continue
        was, now = _outcome(old[name], events), _outcome(new[name], events)
        dropped, sent = len(now.dropped - was.dropped), len(was.dropped - now.dropped)
        readable = _newly_readable(old[name], new[name], now)
        warning = f"; secrets can leave in {readable:,} of these events" if readable else ""
        keys = {_key_of_pseudonyms(of[name]) for of in (old, new)}
        if len(keys) > 1 and b"" not in keys:
            warning += "; with another key equal values get other pseudonyms than before"
        found.append(
            f"exporters::{name}: of the last {len(events):,} events {dropped:,} would newly be "
            f"dropped and {sent:,} newly sent; redactions {was.redactions:,} -> "
            f"{now.redactions:,}{warning}"
        )
    return found


def _key_of_pseudonyms(mapping: ExporterMapping) -> bytes:
    """Return it, b"" where it makes none."""
    rules = mapping.rules
    return rules.key if rules.replace_with == "hmac" or rules.pseudonymise else b""


class _Outcome(NamedTuple):
    """Which events are dropped, by place; what is sent, and for each the rules that fired."""

    dropped: set[int]
    sent: list[ReadEvent]
    fired: list[tuple[str, ...]]

    @property
    def redactions(self) -> int:
        return sum(map(len, self.fired))


def _outcome(mapping: ExporterMapping, events: Iterable[ReadEvent]) -> _Outcome:
    outcome, process = _Outcome(set(), [], []), mapping.event_processor()
    for place, read in enumerate(events):
        result = process(read.event, read.body) if process else None
        if isinstance(result, Dropped):
            outcome.dropped.add(place)
            continue
        outcome.sent.append(ReadEvent(result.event, result.body) if result else read)
        outcome.fired.append(result.redacted if result else ())
    return outcome


def _newly_readable(old: ExporterMapping, new: ExporterMapping, now: _Outcome) -> int:
    """Count events that are sent with what a rule of *old* replaces and none of *new* has."""
    harmless = set() if new.bodies == "raw" else {BODIES}  # of a body that is kept, and redacted
    without_policy = replace(old, policy="")  # which drops nothing: one answer for each event
    pairs = zip(_outcome(without_policy, now.sent).fired, now.fired, strict=True)
    return sum(bool({*before} - {*after} - harmless) for before, after in pairs)
