"""Flags are found in every spelling and set once."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.apiserver import flags

words = st.text("abz-=/1", max_size=8).map(lambda text: "x" + text)
items = st.lists(
    st.one_of(
        words,
        st.builds("--{}".format, words),
        st.builds("--{}={}".format, words, words),
        st.just("--audit-log-maxage"),
        st.builds("--audit-log-maxage={}".format, st.integers(0, 99)),
    ),
    max_size=8,
)


def test_the_last_of_several_equal_flags_counts() -> None:
    """As pflag reads them."""
    found = flags.value_of(["--a=1", "--b", "2", "--a", "3", "--b=4"], "a")
    assert found == "3"
    assert flags.value_of(["--audit-log-path=a", "--audit_log_path=b"], "audit-log-path") == "b"


def test_a_flag_without_a_value_has_none() -> None:
    """The next flag is no value."""
    assert flags.value_of(["--a", "--b=1"], "a") is None
    assert flags.find(["--a", "--b=1"], "a") == [flags.Flag("a", None, 0, 1)]


def test_a_value_in_its_own_item_goes_with_its_flag() -> None:
    """Both items become one, where they stood."""
    command: list[object] = ["kube-apiserver", "--maxage", "30", "--z=1"]
    flags.put(command, "maxage", "7")
    assert command == ["kube-apiserver", "--maxage=7", "--z=1"]


def test_repeated_flags_are_made_one() -> None:
    """The one that counted stays, the others go."""
    command: list[object] = ["--maxage=1", "--z", "--maxage", "7"]
    flags.put(command, "maxage", "7")
    assert command == ["--z", "--maxage", "7"]


def test_a_flag_that_is_right_is_left_alone() -> None:
    """Whatever its spelling."""
    command: list[object] = ["--maxage", "7"]
    flags.put(command, "maxage", "7")
    assert command == ["--maxage", "7"]


def test_a_stray_word_does_not_become_the_value_of_a_flag_without_one() -> None:
    """It stood behind an occurrence that is taken away."""
    command: list[object] = ["--x", "--maxage", "x", "x", "--maxage"]
    flags.put(command, "maxage", "7")
    assert command == ["x", "--x", "--maxage=7"]
    command = ["--maxage", "--maxage", "v", "w", "--z"]
    flags.drop(command, "maxage")
    assert command == ["w", "--z"]


def _others(command: list[object]) -> tuple[list[tuple[str, str | None]], list[object]]:
    """Return the other flags with their values, and what belongs to no flag, both in order."""
    taken = {at for f in flags._flags(command) for at in range(f.start, f.start + f.width)}
    named = [(f.name, f.value) for f in flags._flags(command) if f.name != "audit-log-maxage"]
    return named, [item for at, item in enumerate(command) if at not in taken]


@given(items, st.integers(0, 99).map(str))
def test_after_put_the_flag_has_the_value_and_all_others_theirs(before: Any, value: Any) -> None:
    """And putting it again changes nothing."""
    after = list(before)
    flags.put(after, "audit-log-maxage", value)
    assert flags.value_of(after, "audit-log-maxage") == value
    assert len(flags.find(after, "audit-log-maxage")) == 1
    assert _others(after) == _others(before)
    again = list(after)
    flags.put(again, "audit-log-maxage", value)
    assert again == after


@given(items)
def test_after_drop_the_flag_is_gone_and_all_others_have_theirs(before: Any) -> None:
    """Also what stood between its occurrences."""
    after = list(before)
    flags.drop(after, "audit-log-maxage")
    assert not flags.find(after, "audit-log-maxage")
    assert _others(after) == _others(before)
