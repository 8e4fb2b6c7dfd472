"""A log whose name is a symbolic link: what the link led to in between is read, or a gap tells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.log.log_files import append

NAMES = [
    ["a.log", "b.log", "c.log", "d.log"],
    ["audit-1", "audit-2", "audit-3", "audit-4"],
    [
        "kube.INFO.20260102-9",
        "kube.INFO.20260103-10",
        "kube.INFO.20260104-1",
        "kube.INFO.20260104-2",
    ],
    ["1/audit.log", "2/audit.log", "3/audit.log", "4/audit.log"],
]


def lead(live: Path, target: Path) -> Path:
    """Let the link lead to *target*, a file that is made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch()
    new = live.with_name("new")
    new.symlink_to(target)
    return new.replace(live)


@pytest.mark.parametrize(
    ("names", "restart"),
    # In which folders to look only a running agent knows.
    [
        (names, again)
        for names in NAMES
        for again in (True, False)
        if "/" not in names[0] or not again
    ],
)
def test_every_file_that_the_link_led_to_is_read(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    tmp_path: Path,
    names: list[str],
    *,
    restart: bool,
) -> None:
    """Swapped three times between two looks, with the end of the first one still to be read."""
    files = [tmp_path / "target" / name for name in names]
    lead(live, files[0])
    append(files[0], event(0))
    (files[0].parent / "other.log").write_bytes(event(100))
    (files[0].parent / "older.log").write_bytes(event(-1))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    append(files[0], event(1))
    for number, file in enumerate(files[1:], 2):
        lead(live, file)
        append(file, event(number))
    assert receiver.log.poll()
    second = receive(receiver) if restart else receiver
    assert second.drain() == [event(n) for n in range(1, 5)]
    append(files[3], event(5))
    assert second.drain() == [event(5)]
    assert second.gaps == []
    third = receive(second)
    assert (third.drain(), third.gaps) == ([], [])


def test_what_is_read_late_is_found_again_after_a_restart(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], tmp_path: Path
) -> None:
    """The link leads elsewhere since, and the directory of the log does not show the file."""
    lead(live, tmp_path / "a.log")
    append(tmp_path / "a.log", event(0))
    receiver = receive()
    receiver.log.scan()
    lead(live, tmp_path / "b.log")
    append(tmp_path / "b.log", event(1))
    receiver.log.scan()
    second = receive(receiver)
    assert (second.drain(), second.gaps) == ([event(0), event(1)], [])


def test_a_file_that_is_gone_when_the_link_leads_elsewhere_is_a_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], tmp_path: Path
) -> None:
    """The oldest goes first: where the last known one is gone, others may be."""
    lead(live, tmp_path / "a.log")
    append(tmp_path / "a.log", event(0))
    receiver = receive()
    receiver.drain()
    (tmp_path / "a.log").unlink()
    lead(live, tmp_path / "c.log")
    append(tmp_path / "c.log", event(2))
    assert (receiver.drain(), receiver.gaps) == ([event(2)], [("unseen", 0, 1)])
