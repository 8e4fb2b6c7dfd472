"""What stands in the way is said when it comes and when it has passed, once each."""

from k8s_audit_otlp.receiver.troubles import Troubles


def test_a_trouble_is_said_once_and_its_end_once() -> None:
    """However often a scan meets it."""
    said: list[str] = []
    troubles = Troubles(said.append)
    for _ in range(3):
        troubles.replace({"a": "cannot be read"})
    troubles.replace({})
    troubles.replace({})
    assert said == ["cannot be read", ""]


def test_a_trouble_that_changes_is_said_anew() -> None:
    """Another reason is another thing to mend."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.replace({"a": "EACCES"})
    troubles.replace({"a": "EIO"})
    troubles.add("a", "EIO")
    assert said == ["EACCES", "EIO"]
    assert troubles.now == ["EIO"]


def test_what_a_reader_met_outlives_one_scan() -> None:
    """The scan did not look there; the next reader will tell again."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.add("a", "EIO")
    troubles.replace({})
    assert troubles.now == ["EIO"]
    troubles.replace({})
    assert troubles.now == []
    assert said == ["EIO", ""]


def test_all_is_well_only_when_nothing_is_left() -> None:
    """One of two that passes is no news."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.replace({"a": "one", "b": "two"})
    troubles.replace({"b": "two"})
    assert said == ["one", "two"]


def test_what_must_be_known_is_said_once_and_is_no_trouble() -> None:
    """Nobody waits for it to pass."""
    said: list[str] = []
    troubles = Troubles(said.append)
    troubles.once("a name that is not understood")
    troubles.once("a name that is not understood")
    assert said == ["a name that is not understood"]
    assert troubles.now == []
