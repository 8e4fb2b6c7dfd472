"""One complete state survives, whatever happens while it is written."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.state.checkpoint import (
    Checkpoint,
    CheckpointFile,
    Position,
    Restored,
    StateError,
)
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.manifest import Manifest, SegmentState
from tests.kit.present import present

MAIN, PREVIOUS = "checkpoint.json", "checkpoint.prev.json"


def state(offset: int) -> Checkpoint:
    """Make the state of an exporter that has settled *offset* bytes."""
    segment = SegmentState(1, "0123456789abcdef", "head", 4, names=["audit.log"], size=offset)
    return Checkpoint(
        written=f"at {offset}",
        manifests={"audit": Manifest(2, [segment], started=True)},
        positions={"audit": {"siem": Position({1: offset}, {1: Tally(read=offset)})}},
    )


def offset_of(restored: Restored) -> int:
    return present(restored.checkpoint).positions["audit"]["siem"].settled[1]


@pytest.fixture
def file(tmp_path: Path) -> CheckpointFile:
    file = CheckpointFile(tmp_path / "state")
    file.prepare()
    return file


def test_a_first_start_finds_nothing(file: CheckpointFile) -> None:
    """No file is no damage."""
    assert file.load().checkpoint is None
    assert file.load().warning == ""


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_saved_comes_back(file: CheckpointFile, durable: bool) -> None:
    """Every value, through the file."""
    saved = state(7)
    assert file.save(saved, durable=durable)
    restored = CheckpointFile(file.directory).load()
    assert restored.checkpoint == saved
    assert restored.warning == ""


def test_only_the_owner_may_read_it(file: CheckpointFile) -> None:
    """Names in the log are nobody else's business."""
    file.save(state(7))
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.directory.stat().st_mode) == 0o700


def test_an_equal_state_is_not_written_again(file: CheckpointFile) -> None:
    """The time of writing does not make a difference."""
    assert file.save(state(7))
    again = state(7)
    again.written = "later"
    assert not file.save(again)
    assert file.save(state(8))


def test_what_was_saved_plainly_is_synced_when_that_is_asked(tmp_path: Path) -> None:
    """Equal to what is on disk is not equal to what is safe on it."""
    synced: list[int] = []
    file = CheckpointFile(tmp_path, fsync=synced.append)
    assert file.save(state(7), durable=False)
    assert not synced
    assert file.save(state(7), durable=True)
    assert len(synced) == 2  # the content, then its name
    assert not file.save(state(7), durable=True)
    assert len(synced) == 2


def test_a_deleted_file_is_written_again(file: CheckpointFile) -> None:
    """Somebody cleaned up too much."""
    file.save(state(7))
    file.path.unlink()
    assert file.save(state(7))


@pytest.mark.parametrize("step", ["half a temporary file", "a whole temporary file", "nothing"])
@pytest.mark.parametrize("durable", [True, False])
def test_a_crash_while_writing_leaves_the_state_of_before(
    file: CheckpointFile, step: str, durable: bool
) -> None:
    """What is beside the two names is not looked at, and does not disturb the next write."""
    file.save(state(1))
    file.save(state(2), durable=durable)
    new = json.dumps({"version": 1}).encode()
    for name in ("checkpoint.tmp", "checkpoint.link", "checkpoint.prev.tmp"):
        if step != "nothing":
            (file.directory / name).write_bytes(new[: 5 if "half" in step else None])
    restarted = CheckpointFile(file.directory)
    assert offset_of(restarted.load()) == 2
    assert restarted.save(state(3))
    assert offset_of(CheckpointFile(file.directory).load()) == 3


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.floats(0, 0.99))
def test_a_damaged_file_falls_back_to_the_synced_one_with_a_warning(file: Any, kept: Any) -> None:
    """A power cut leaves a part or nothing of what was not synced."""
    file.save(state(1))
    file.save(state(2), durable=False)
    data = file.path.read_bytes()
    file.path.write_bytes(data[: int(len(data) * kept)])
    restored = CheckpointFile(file.directory).load()
    assert offset_of(restored) == 1
    assert str(file.path) in restored.warning
    assert f"{PREVIOUS} is older: an agent sends some" in restored.warning, "so does no reader"


def test_a_missing_file_falls_back_with_a_warning(file: CheckpointFile) -> None:
    """So does one that somebody deleted."""
    file.save(state(1))
    file.path.unlink()
    restored = CheckpointFile(file.directory).load()
    assert offset_of(restored) == 1
    assert PREVIOUS in restored.warning


def test_a_save_after_a_fall_back_does_not_give_the_good_one_for_the_bad_one(
    file: CheckpointFile,
) -> None:
    """At no moment is a damaged file all there is."""
    file.save(state(1))
    file.path.write_bytes(b"damaged")
    again = CheckpointFile(file.directory)
    assert offset_of(again.load()) == 1
    again.save(state(2), durable=False)
    assert json.loads((file.directory / PREVIOUS).read_bytes())["version"] == 1
    file.path.write_bytes(b"damaged")
    assert offset_of(CheckpointFile(file.directory).load()) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b"{}", b'{"version":"1"}', b'{"version":1,"positions":3}', b"\xff\0"],
)
def test_a_foreign_or_damaged_state_is_refused_with_a_hint(
    file: CheckpointFile, content: bytes
) -> None:
    """Starting over would send everything again or skip it: a person decides."""
    for name in (MAIN, PREVIOUS):
        (file.directory / name).write_bytes(content)
    with pytest.raises(StateError) as refused:
        file.load()
    for part in (MAIN, PREVIOUS, "damaged", "move", "start_at"):
        assert part in str(refused.value)


def test_a_state_of_a_newer_version_is_refused(file: CheckpointFile) -> None:
    """It is whole, but this program does not know what it means."""
    file.save(state(1))
    file.path.write_text('{"version": 2, "segments": "meaning unknown"}')
    with pytest.raises(StateError, match=r"newer version.*format 2.*move the state directory"):
        file.load()


@pytest.mark.parametrize("name", [MAIN, PREVIOUS])
def test_a_directory_in_the_place_of_a_file_is_named(file: CheckpointFile, name: str) -> None:
    """The message says which path."""
    (file.directory / name).mkdir()
    with pytest.raises(StateError, match=f"{name}: cannot be read"):
        file.load()


def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """The message gives the hint."""
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match=r"cannot be used.*--state-dir"):
        CheckpointFile(tmp_path / "state").prepare()


def test_a_state_directory_deleted_while_running_is_an_error_of_the_disk(
    file: CheckpointFile,
) -> None:
    """Whoever commits goes on delivering and says that nothing is stored."""
    file.save(state(1))
    for path in file.directory.iterdir():
        path.unlink()
    file.directory.rmdir()
    with pytest.raises(FileNotFoundError):
        file.save(state(2))
    file.prepare()
    assert file.save(state(2))
    assert offset_of(CheckpointFile(file.directory).load()) == 2
