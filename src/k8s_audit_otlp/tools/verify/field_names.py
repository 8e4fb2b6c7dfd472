"""What was found of each field of an export: where it agrees with the bodies, and what is a fault.

A back end may have fields of its own under the same name, and bounds that cut what is long: of both
an export shows that by itself. Memory is bounded.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from k8s_audit_otlp.evidence.chain import words
from k8s_audit_otlp.otlp.attributes_sum import CHOSEN
from k8s_audit_otlp.tools.verify.exports.uids import UidPlace, read_uid
from k8s_audit_otlp.tools.verify.rebuilt_fields import Derived, as_list

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


class Found(NamedTuple):
    uid: str
    said: Any
    wanted: Any
    form: str = ""
    among: int = 0  # of the record's attributes

    @property
    def identity(self) -> str:
        return self.uid.rpartition("-")[0]


@dataclass(slots=True)
class _FieldTally:
    """What was found of one field."""

    agreed: int = 0
    differed: int = 0
    different: list[Found] = field(default_factory=list)
    shorter: list[Found] = field(default_factory=list)
    absent: list[Found] = field(default_factory=list)
    # The first and the last place where it agreed, by segment.
    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    forms: set[str] = field(default_factory=set)  # in which it agreed


class FieldsByName:
    """Takes in what agrees and what does not; `report` judges it."""

    def __init__(self) -> None:
        self._names: dict[str, _FieldTally] = {}
        self._report = FieldReport()
        self._longest_text = self._longest_list = 0
        self.most = 0  # attributes that a record has: a bound on their number may cut some
        # By form, segment and names of what agreed in a record: how many, the first and last place.
        self._agreed: dict[tuple[str, str, tuple[str, ...]], tuple[int, int, int]] = {}

    def agree(self, names: tuple[str, ...], place: UidPlace, form: str) -> None:
        """Note which fields of a record say what its body does."""
        self._report.records += 1
        self._report.values += len(names)
        key, at = (form, place.identity, names), place.place
        count, first, last = self._agreed.get(key, (0, at, at))
        self._agreed[key] = count + 1, min(first, at), max(last, at)
        if len(self._agreed) > _MOST:
            self._settle()

    def measure(self, value: Any, longest: int) -> None:
        """Note how long a value is that agrees; *longest*: bytes of a text, where it is one."""
        self._longest_text = max(self._longest_text, longest)
        if isinstance(value, tuple) or (isinstance(value, str) and value.startswith("[")):
            self._longest_list = max(self._longest_list, len(as_list(value)))

    def differ(self, name: str, found: Found) -> None:
        """Note a value that is not what the body says."""
        of = self._of(name)
        of.differed += 1
        _keep(of.different, found)

    def differ_or_cut(self, name: str, found: Found, derived: Derived) -> None:
        """Note a value that is not what the body says, or the beginning of that."""
        if not any(_is_beginning(found.said, wanted) for wanted in found.wanted):
            self.differ(name, found)
        elif _is_cut_first(name) and _is_large(derived):
            self._report.shortened += 1
        else:
            _keep(self._of(name).shorter, found)

    def lack(self, name: str, found: Found, derived: Derived) -> None:
        """Note what the body says and the record does not."""
        if not (_is_cut_first(name) and _is_large(derived)):
            _keep(self._of(name).absent, found)

    def _of(self, name: str) -> _FieldTally:
        return self._names.setdefault(name, _FieldTally())

    def _settle(self) -> None:
        """Note by name what agreed."""
        for (form, identity, names), (count, begin, end) in self._agreed.items():
            for name in names:
                of = self._of(name)
                of.agreed += count
                if form:
                    of.forms.add(form)
                else:
                    first, last = of.places.get(identity, (begin, end))
                    of.places[identity] = min(first, begin), max(last, end)
        self._agreed.clear()

    def report(self, left_out: Container[str]) -> FieldReport:
        """Judge all but some segments."""
        report = self._report
        self._settle()

        def judged(found: list[Found]) -> Iterator[Found]:
            return (each for each in found if each.identity not in left_out)

        for name, of in sorted(self._names.items()):
            if not of.agreed and of.differed > 1 and _may_be_the_stores(name):
                report.not_compared.append(
                    f"field {name}: it never says what the body does; the store's own, it seems"
                )
            else:
                report.changed += [_worded(name, x) for x in judged(of.different)]
                report.more += of.differed - len(of.different)
            for found in judged(of.shorter):
                if self._is_bound(found):
                    report.shortened += 1
                else:
                    report.changed.append(_worded(name, found))
            gone = (x for x in judged(of.absent) if x.among < self.most and _is_within(x, of))
            report.changed += [_worded(name, found) for found in gone]
        return report

    def _is_bound(self, found: Found) -> bool:
        """Tell whether no value of the export is longer: then a back end's bound has cut it."""
        if isinstance(found.said, str) and not found.said.startswith("["):
            return len(found.said.encode()) + 3 >= self._longest_text  # a character has 4 at most
        there = as_list(found.said)
        rest = next(w for w in found.wanted if isinstance(w, list) and len(w) > len(there))
        size = len(str(found.said)) + len(rest[len(there)]) + 3
        return len(there) >= self._longest_list or size > max(self._longest_text, _LEAST_BOUND)


def _keep(kept: list[Found], found: Found) -> None:
    if len(kept) < _MOST:
        kept.append(found)


def _is_within(found: Found, of: _FieldTally) -> bool:
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


def _worded(name: str, found: Found) -> str:
    wanted = " or ".join(_short(each) for each in found.wanted) or "nothing of that"
    said = "is not there" if found.said is None else f"says {_short(found.said)}"
    return f"{found.uid}: field {name} {said}; its body says {wanted}"


def _short(value: Any) -> str:
    text = str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
