"""Holds attributes, time and severity of every record against its body, which receipts prove.

The body says them all: the agent made them of it. A field that says something else was changed, or
is the store's own under the same name: of names that stores use themselves that is told apart by
whether they ever agree. Fields that a store does not keep are not asked for. Memory is bounded.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from k8s_audit_otlp.evidence.chain import words
from k8s_audit_otlp.otlp.attributes_sum import CHOSEN
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord
from k8s_audit_otlp.tools.verify.exports.uids import UidPlace, read_uid
from k8s_audit_otlp.tools.verify.rebuilt_fields import (
    NOT_OF_THE_BODY,
    Beside,
    Derived,
    as_list,
    beside_of,
    derive,
    expected,
    is_nothing,
    is_sent,
    record_says,
    says,
    says_something,
)
from k8s_audit_otlp.tools.verify.receipt_records import FormReader

_MOST: Final = 1000  # of one field that are kept to be named
_SHOWN: Final = 80  # characters of a value
_LEAST_BOUND: Final = 64  # bytes of a value, as an exporter may be told
_LARGE: Final = 4096  # characters of attributes, from which a bound on their sum may cut some
_CUT_FIRST: Final = tuple(words(k.replace("{p}", "").removesuffix("<key>")) for k in CHOSEN)
# Names that back ends use themselves; what has no dot is taken for one of them, too.
_STORES_OWN: Final = frozenset({"user.name", "user.id", "error.type", "url.path", "url.query"})
_OTLPS_OWN: Final = frozenset({"timeunixnano", "severitynumber", "severitytext", "eventname"})


@dataclass(slots=True)
class FieldReport:
    """`changed` are faults."""

    records: int = 0  # that had a body and fields beside it
    values: int = 0  # that said the same
    shortened: int = 0  # that are a beginning of what was sent, as a back end's bounds make them
    changed: list[str] = field(default_factory=list)
    more: int = 0  # changed ones that are not named
    not_compared: list[str] = field(default_factory=list)


class _Found(NamedTuple):
    uid: str
    said: Any
    wanted: Any
    form: str = ""
    among: int = 0  # of the record's attributes

    @property
    def identity(self) -> str:
        return self.uid.rpartition("-")[0]


@dataclass(slots=True)
class _OfName:
    """What was found of one field."""

    agreed: int = 0
    differed: int = 0
    different: list[_Found] = field(default_factory=list)
    shorter: list[_Found] = field(default_factory=list)
    absent: list[_Found] = field(default_factory=list)
    # The first and the last place where it agreed, by segment.
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    forms: set[str] = field(default_factory=set)  # in which it agreed


class Fields:
    """Takes in the records of an export; `report` judges them."""

    def __init__(self, uid_field: str) -> None:
        self._uid_field = uid_field
        self._names: dict[str, _OfName] = {}
        self._left_out: set[str] = set()
        self._report = FieldReport()
        self._longest_text = self._longest_list = 0
        self._most = 0  # attributes that a record has: a bound on their number may cut some
        self._forms = FormReader()
        # By form, segment and names of what agreed in a record: how many, the first and last place.
        self._agreed: dict[tuple[str, str, tuple[str, ...]], tuple[int, int, int]] = {}
        self._form = ""  # of the newest record
        self._place = UidPlace("", 0)  # and its place

    def take(self, item: ExportRecord) -> None:
        """Take in what has a body."""
        if item.beside and item.body:
            self._form = self._forms.form_of(item.beside)
            beside = beside_of(item.beside, self._uid_field)
            if says_something(beside):
                self._take(item.uid, item.body, beside)

    def leave_out(self, identities: Iterable[str]) -> None:
        """Say nothing of some segments."""
        self._left_out.update(identities)

    def _take(self, uid: str, body: str, beside: Beside) -> None:
        place = read_uid(uid)
        derived = derive(place, body, beside.prefix) if place is not None else None
        if place is None or derived is None:
            return
        self._place = place
        agreed = list[str]()
        for name, value in beside.record.items():
            same = record_says(name, value, derived)
            if same is not None:
                if same:
                    agreed.append(name)
                else:
                    self._differs(name, _Found(uid, value, _said_by(name, derived)))
        known, longest = derived.attributes, self._longest_text
        for name, value in beside.attributes.items():
            if name in known and value == known[name][0] and value.__class__ is str:
                if name not in NOT_OF_THE_BODY:
                    agreed.append(name)
                    size = _size(value)
                    if size > longest:
                        longest = size
                continue
            if value in (None, ""):
                continue
            wanted = expected(name, derived, beside.prefix)
            if wanted is None or not (wanted or not is_nothing(value)):
                continue
            if any(says(value, each) for each in wanted):
                agreed.append(name)
                self._measure(value)
            else:
                self._hold(name, _Found(uid, value, wanted), derived)
        self._longest_text = max(longest, self._longest_text)
        if agreed:
            self._report.records += 1
            self._report.values += len(agreed)
            self._note_agreed(tuple(agreed))
            self._note_absent(uid, beside, derived)

    def _hold(self, name: str, found: _Found, derived: Derived) -> None:
        if any(_is_beginning(found.said, wanted) for wanted in found.wanted):
            if _is_cut_first(name) and _is_large(derived):
                self._report.shortened += 1
            else:
                self._keep(self._names.setdefault(name, _OfName()).shorter, found)
        else:
            self._differs(name, found)

    def _differs(self, name: str, found: _Found) -> None:
        of = self._names.setdefault(name, _OfName())
        of.differed += 1
        self._keep(of.different, found)

    def _note_agreed(self, names: tuple[str, ...]) -> None:
        identity, place = self._place
        count, first, last = self._agreed.get((self._form, identity, names), (0, place, place))
        here = count + 1, min(first, place), max(last, place)
        self._agreed[self._form, identity, names] = here
        if len(self._agreed) > _MOST:
            self._settle_agreed()

    def _settle_agreed(self) -> None:
        """Note by name what agreed."""
        for (form, identity, names), (count, begin, end) in self._agreed.items():
            for name in names:
                of = self._names.setdefault(name, _OfName())
                of.agreed += count
                if form:
                    of.forms.add(form)
                else:
                    first, last = of.places.get(identity, (begin, end))
                    of.places[identity] = min(first, begin), max(last, end)
        self._agreed.clear()

    def _note_absent(self, uid: str, beside: Beside, derived: Derived) -> None:
        """Note what the body says and the export does not, of names that it has elsewhere."""
        count = len(beside.attributes)
        self._most = max(self._most, count)
        for name, values in derived.attributes.items():
            if beside.attributes.get(name) not in (None, "") or not is_sent(name, beside):
                continue
            of = self._names.setdefault(name, _OfName())
            if len(of.absent) < _MOST and not (_is_cut_first(name) and _is_large(derived)):
                of.absent.append(_Found(uid, None, values, self._form, count))

    def _measure(self, value: Any) -> None:
        if isinstance(value, str):
            self._longest_text = max(self._longest_text, _size(value))
        if isinstance(value, tuple) or (isinstance(value, str) and value.startswith("[")):
            self._longest_list = max(self._longest_list, len(as_list(value)))

    def _keep(self, kept: list[_Found], found: _Found) -> None:
        if len(kept) < _MOST:
            kept.append(found)
        else:
            self._report.more += 1

    def report(self) -> FieldReport:
        report = self._report
        self._settle_agreed()
        for name, of in sorted(self._names.items()):
            if not of.agreed and of.differed > 1 and _may_be_the_stores(name):
                report.not_compared.append(
                    f"field {name}: it never says what the body does; the store's own, it seems"
                )
            else:
                report.changed += [_worded(name, x) for x in self._judged(of.different)]
            for found in self._judged(of.shorter):
                if self._is_bound(found):
                    report.shortened += 1
                else:
                    report.changed.append(_worded(name, found))
            gone = [
                found
                for found in self._judged(of.absent)
                if found.among < self._most and _is_within(found, of)
            ]
            report.changed += [_worded(name, found) for found in gone]
        return report

    def _judged(self, found: list[_Found]) -> Iterator[_Found]:
        return (each for each in found if each.identity not in self._left_out)

    def _is_bound(self, found: _Found) -> bool:
        """Tell whether no value of the export is longer: then a back end's bound has cut it."""
        if isinstance(found.said, str) and not found.said.startswith("["):
            return len(found.said.encode()) + 3 >= self._longest_text  # a character has 4 at most
        there = as_list(found.said)
        rest = next(w for w in found.wanted if isinstance(w, list) and len(w) > len(there))
        size = len(str(found.said)) + len(rest[len(there)]) + 3
        return len(there) >= self._longest_list or size > max(self._longest_text, _LEAST_BOUND)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _is_within(found: _Found, of: _OfName) -> bool:
    """Tell whether its mapping sends the field: where it has no name, records around it have it."""
    if found.form:
        return found.form in of.forms
    place = read_uid(found.uid)
    if place is None or place.identity not in of.places:
        return False
    first, last = of.places[place.identity]
    return first < place.place < last


def _is_beginning(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        there = as_list(value)
        return len(there) < len(wanted) and there == wanted[: len(there)]
    return isinstance(wanted, str) and isinstance(value, str) and wanted.startswith(value)


def _is_large(derived: Derived) -> bool:
    values = (value for of in derived.attributes.values() for value in of)
    return sum(len(str(value)) for value in values) > _LARGE


def _is_cut_first(name: str) -> bool:
    return any(each in name for each in _CUT_FIRST)


def _may_be_the_stores(name: str) -> bool:
    known = "time", "severity", "event"
    if name.rpartition(".")[2] in _OTLPS_OWN:
        return False
    return "." not in name or name in _STORES_OWN or any(each in name for each in known)


def _said_by(name: str, derived: Derived) -> list[Any]:
    if "time" in name:
        return [f"{derived.time_ns} ns since 1970"]
    return [derived.severity_text if "severity" in name else "k8s.audit.event"]


def _worded(name: str, found: _Found) -> str:
    wanted = " or ".join(_short(each) for each in found.wanted) or "nothing of that"
    said = "is not there" if found.said is None else f"says {_short(found.said)}"
    return f"{found.uid}: field {name} {said}; its body says {wanted}"


def _short(value: Any) -> str:
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
