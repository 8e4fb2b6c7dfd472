"""The dead letter on disk: who may read it, what a crash leaves, its bound, taking letters out."""

import errno
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never, cast

import pytest

from k8s_audit_otlp.exporter.dead_letter import (
    DeadLetterFile,
    digest,
    exporter_of,
    file_name,
    read_entries,
    read_lines,
    remove_lines,
)
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.otlp.record import uid_of
from tests.kit.present import present

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def in_flight(harness: Callable[..., Any]) -> InFlight:
    made: InFlight = harness(lambda _: None).in_flight([b"x"])
    return made


@pytest.fixture
def dead_letters(tmp_path: Path) -> Callable[..., Any]:
    def make(name: str = "otlp_http/siem", **options: Any) -> Any:
        return DeadLetterFile(
            tmp_path / "dead-letter", name, uid_of=uid_of, now=lambda: NOW, **options
        )

    return make


@pytest.mark.parametrize("name", ["otlp_http", "otlp_http/siem", "otlp_http/../../x", "a b%ü/.."])
def test_an_exporters_id_makes_one_file_in_the_directory(
    dead_letters: Callable[..., Any],
    in_flight: InFlight,
    record: Callable[..., Any],
    tmp_path: Path,
    name: str,
) -> None:
    """Ids are escaped, and can be read back."""
    file = dead_letters(name)
    assert file.dead_letter(in_flight, [record("a")], "no")
    assert file.path.parent == tmp_path / "dead-letter"
    assert exporter_of(file.path) == name


def test_a_record_is_kept_whole_with_its_place_and_reason(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """It can be sent again later."""
    file = dead_letters()
    assert file.dead_letter(in_flight, [record("seg-1f")], "HTTP 400: bad")
    letter = next(read_entries(file.path))
    assert letter.record_bytes == record("seg-1f")
    assert (letter.uid, letter.why, letter.kind) == ("seg-1f", "HTTP 400: bad", "record")
    assert (letter.exporter, letter.receiver) == ("otlp_http/siem", "k8s_audit")
    assert letter.time == "2026-01-02T03:04:05.000+00:00"


def test_only_the_owner_may_read_it(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """0600 in a directory of 0700, whatever the umask."""
    old = os.umask(0)
    try:
        file = dead_letters()
        file.dead_letter(in_flight, [record("a")], "no")
    finally:
        os.umask(old)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_partial_refusal_holds_the_places_and_no_records(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """Nobody said which of them it was."""
    file = dead_letters()
    assert file.note_refused(in_flight, [record("a"), record("b"), record("c")], 2, "too old")
    letter = next(read_entries(file.path))
    assert (letter.kind, letter.refused, letter.uids, letter.record) == (
        "refused",
        2,
        ["a", "b", "c"],
        "",
    )


def test_when_all_were_refused_the_records_are_kept(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """Then it is known which."""
    file = dead_letters()
    assert file.note_refused(in_flight, [record("a"), record("b")], 2, "too old")
    found = list(read_entries(file.path))
    assert [(one.kind, one.refused, one.uid) for one in found] == [
        ("refused", 1, "a"),
        ("refused", 1, "b"),
    ]
    assert found[1].record_bytes == record("b")


def test_a_line_cut_by_a_crash_swallows_neither_itself_nor_the_next(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """What was written after it is read, and the cut one is passed over."""
    file = dead_letters()
    file.dead_letter(in_flight, [record("a")], "no")
    with file.path.open("ab") as raw:
        raw.write(b'{"time":"2026","ki')
    file.dead_letter(in_flight, [record("b")], "no")
    assert [one.uid for one in read_entries(file.path)] == ["a", "b"]


def test_a_full_file_takes_nothing_more(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """The exporter stalls on it; the error says what is full."""
    file = dead_letters(max_bytes=1500)
    count = 0
    while file.dead_letter(in_flight, [record(f"u{count}")], "no"):
        count += 1
    assert count >= 2
    assert file.path.stat().st_size <= 1500
    assert file.error == f"{file.path}: full at 1500 bytes"
    assert len(list(read_entries(file.path))) == count


def test_on_full_evict_lets_the_oldest_go_and_counts_them(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """A choice: newer letters are worth more."""
    gone: list[int] = []
    file = dead_letters(max_bytes=3000, on_full="evict", on_evicted=gone.append)
    for i in range(50):
        assert file.dead_letter(in_flight, [record(f"u{i}")], "no")
    kept = [one.uid for one in read_entries(file.path)]
    assert kept == [f"u{i}" for i in range(50)][-len(kept) :]
    assert sum(gone) + len(kept) == 50
    assert file.path.stat().st_size <= 3000
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_nothing_is_evicted_for_what_does_not_fit_at_all(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """It stalls as it would otherwise: no letter goes, and the bound holds."""
    gone: list[int] = []
    file = dead_letters(max_bytes=3000, on_full="evict", on_evicted=gone.append)
    assert file.dead_letter(in_flight, [record("a")], "no")
    assert not file.dead_letter(in_flight, [record("b", size=3000)], "no")
    assert file.error == f"{file.path}: full at 3000 bytes"
    assert ([one.uid for one in read_entries(file.path)], gone) == (["a"], [])


def test_a_disk_that_refuses_is_said_and_nothing_half_is_left(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """False keeps the record unsettled."""

    def full(_fd: Any) -> Never:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = dead_letters(fsync=full)
    assert not file.dead_letter(in_flight, [record("a")], "no")
    assert file.error == f"{file.path}: No space left on device"
    assert file.path.read_bytes() == b""


def test_a_letter_and_the_name_of_a_new_file_are_synced_before_it_counts(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """A power cut right after the answer must not lose it."""
    synced = []
    file = dead_letters(fsync=lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink()))
    assert file.dead_letter(in_flight, [record("a")], "no")
    assert synced == [file.path, file.path.parent]
    assert file.dead_letter(in_flight, [record("b")], "no")
    assert synced[2:] == [file.path]


def test_a_letter_is_never_written_through_a_link(
    dead_letters: Callable[..., Any],
    in_flight: InFlight,
    record: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """Somebody may have laid one where the file will be."""
    file = dead_letters()
    file.path.parent.mkdir(mode=0o700)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("")
    file.path.symlink_to(elsewhere)
    assert not file.dead_letter(in_flight, [record("a")], "no")
    assert elsewhere.read_text() == ""


def test_letters_are_taken_out_by_their_content_as_often_as_asked(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """Two equal lines are two letters."""
    file = dead_letters()
    for uid in ("a", "b", "b", "c"):
        file.dead_letter(in_flight, [record(uid)], "no")
    lines = {present(one).uid: line for line, one in read_lines(file.path)}
    assert remove_lines(file.path, Counter({digest(lines["b"]): 1, digest(lines["c"]): 1})) == 2
    assert [one.uid for one in read_entries(file.path)] == ["a", "b"]


def _append(path: Path, start: bytes) -> None:
    file = DeadLetterFile(path.parent, exporter_of(path), uid_of=lambda r: r.decode())

    class Batch:
        receiver = "k8s_audit"

    class InFlight:
        batch = Batch()

    for i in range(60):
        assert file.dead_letter(cast("Any", InFlight()), [b"%s-%d" % (start, i)], "no")


def test_letters_taken_out_beside_a_writing_agent_lose_none_of_its_letters(
    tmp_path: Path,
) -> None:
    """Another process appends all the time: what is not taken out is there afterwards."""
    path = tmp_path / file_name("otlp_http")
    _append(path, b"old")
    old = Counter(digest(line) for line, _ in read_lines(path))
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append, args=(path, b"new%d" % n)) for n in range(2)]
    for writer in writers:
        writer.start()
    taken = 0
    for mark in list(old):
        taken += remove_lines(path, Counter({mark: 1}))
    for writer in writers:
        writer.join()
    assert taken == 60
    uids = Counter(one.uid for one in read_entries(path))
    assert uids == Counter(f"new{n}-{i}" for n in range(2) for i in range(60))


def test_every_line_is_json_that_other_tools_read(
    dead_letters: Callable[..., Any], in_flight: InFlight, record: Callable[..., Any]
) -> None:
    """Jq works on it."""
    file = dead_letters()
    file.dead_letter(in_flight, [record("a"), record("b")], 'quote " and \n newline')
    lines = Path(file.path).read_text().splitlines()
    assert [json.loads(line)["uid"] for line in lines] == ["a", "b"]
