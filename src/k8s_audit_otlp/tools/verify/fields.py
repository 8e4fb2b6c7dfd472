"""Holds attributes, time and severity of every record against its body, which receipts prove.

The body says them all: the agent made them of it. A field that says something else was changed, or
is the store's own under the same name: of names that stores use themselves that is told apart by
whether they ever agree. Fields that a store does not keep are not asked for. Memory is bounded.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from k8s_audit_otlp.otlp.mapping import EVENT_NAME
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord
from k8s_audit_otlp.tools.verify.exports.uids import UidPlace, read_uid
from k8s_audit_otlp.tools.verify.field_names import FieldReport, FieldsByName, Found
from k8s_audit_otlp.tools.verify.rebuilt_fields import (
    NOT_OF_THE_BODY,
    Beside,
    Derived,
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

_TOGETHER: Final = 64  # records that are judged at once
_MOST_TOGETHER: Final = 1024 * 1024  # characters of their bodies


class _Waiting(NamedTuple):
    """A record whose body is not read yet."""

    uid: str
    place: UidPlace
    body: str
    form: str
    beside: Beside


class Fields:
    """Takes in the records of an export; `report` judges them."""

    def __init__(self, uid_field: str) -> None:
        self._uid_field = uid_field
        self._found = FieldsByName()
        self._left_out: set[str] = set()
        self._forms = FormReader()
        self._waiting: list[_Waiting] = []
        self._size = 0  # characters of their bodies

    def take(self, item: ExportRecord) -> None:
        place = read_uid(item.uid)
        if place is None or not item.beside or not item.body:
            return
        form = self._forms.form_of(item.beside)
        beside = beside_of(item.beside, self._uid_field)
        if says_something(beside):
            if self._waiting and self._waiting[0].beside.prefix != beside.prefix:
                self._settle()
            self._waiting.append(_Waiting(item.uid, place, item.body, form, beside))
            self._size += len(item.body)
            if len(self._waiting) >= _TOGETHER or self._size >= _MOST_TOGETHER:
                self._settle()

    def _settle(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        if waiting:
            bodies = [(each.place, each.body) for each in waiting]
            for each, derived in zip(
                waiting, derive(bodies, waiting[0].beside.prefix), strict=True
            ):
                if derived is not None:
                    self._judge(each, derived)

    def leave_out(self, identities: Iterable[str]) -> None:
        self._left_out.update(identities)

    def _judge(self, record: _Waiting, derived: Derived) -> None:
        agreed = [*self._agreeing_times(record, derived), *self._agreeing(record, derived)]
        if agreed:
            self._found.agree(tuple(agreed), record.place, record.form)
            self._note_absent(record, derived)

    def _agreeing_times(self, record: _Waiting, derived: Derived) -> Iterator[str]:
        """Name what says so of time, severity and event name; note what says something else."""
        for name, value in record.beside.record.items():
            same = record_says(name, value, derived)
            if same:
                yield name
            elif same is not None:
                self._found.differ(name, Found(record.uid, value, _said_by(name, derived)))

    def _agreeing(self, record: _Waiting, derived: Derived) -> list[str]:
        """Name the attributes that say what the body does; note what says something else."""
        agreed, known, longest = list[str](), derived.attributes, 0
        for name, value in record.beside.attributes.items():
            if name in known and value == known[name][0] and value.__class__ is str:
                if name not in NOT_OF_THE_BODY:  # which say what somebody else wrote
                    agreed.append(name)
                    longest = max(longest, _size(value))
            elif value not in (None, ""):
                wanted = expected(name, derived, record.beside.prefix)
                if wanted is None or not (wanted or not is_nothing(value)):
                    continue
                if any(says(value, each) for each in wanted):
                    agreed.append(name)
                    self._found.measure(value, _size(value) if isinstance(value, str) else 0)
                else:
                    found = Found(record.uid, value, wanted)
                    self._found.differ_or_cut(name, found, derived)
        self._found.measure(None, longest)
        return agreed

    def _note_absent(self, record: _Waiting, derived: Derived) -> None:
        """Note what the body says and the export does not."""
        there = record.beside.attributes
        count = sum(value not in (None, "") for value in there.values())
        self._found.most = max(self._found.most, count)
        for name, values in derived.attributes.items():
            if there.get(name) in (None, "") and is_sent(name, record.beside):
                found = Found(record.uid, None, values, record.form, count)
                self._found.lack(name, found, derived)

    def report(self) -> FieldReport:
        self._settle()
        return self._found.report(self._left_out)


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _said_by(name: str, derived: Derived) -> tuple[Any, ...]:
    if "time" in name:
        return (f"{derived.time_ns} ns since 1970",)
    return (derived.severity_text if "severity" in name else EVENT_NAME,)
