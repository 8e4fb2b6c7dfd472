"""Whatever is done to the agent's own records in an export is found; an untouched one is sound."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.evidence.chain import HASH, begin, link, words
from k8s_audit_otlp.evidence.seal import (
    SEAL,
    KeyFileError,
    SealKey,
    make_key,
    read_public_keys,
)
from k8s_audit_otlp.state.outbox import EXPORTER, Chain, Notice
from k8s_audit_otlp.tools.verify.chains import IntegrityReport, Links
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord

COUNT = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder / "key")
    make_key(folder / "other")
    return folder


def item(notice: Notice) -> ExportRecord:
    return ExportRecord(notice.uid, None, {"event.name": notice.event, **notice.attributes})


def told(count: int, key: SealKey, exporter: str = "siem") -> list[ExportRecord]:
    """Make a chain of receipts and gaps with a seal on its end."""
    chain, items = Chain(), []
    for n in range(count):
        gap = n % 3 == 2
        attributes: dict[str, Any] = {
            EXPORTER: exporter,
            "k8s.audit.segment.delivered": n,
            "log.file.name": "x",
        }
        if gap:
            attributes["k8s.audit.gap.open_end"] = True
        event = "k8s.audit.gap" if gap else "k8s.audit.segment"
        notice = Notice(f"{'gap' if gap else 'receipt'}-{n}", event, n, 9, "", attributes)
        chain = chain if chain.id else begin(notice.uid, "log", exporter, 7)
        chain, linked = link(chain, notice)
        items.append(item(linked))
    return [*items, item(key.seal(chain, "log", exporter, 1_767_323_045_000_000_000))]


def judge(items: list[ExportRecord], *keys: Path) -> IntegrityReport:
    links = Links(read_public_keys(list(keys)) if keys else None)
    for item in items:
        links.take(item._replace(own={words(name): v for name, v in (item.own or {}).items()}))
    return links.report()


def faults(report: IntegrityReport) -> str:
    return "; ".join([*report.faults, *(f for chain in report.chains for f in chain.faults)])


def altered(one: ExportRecord, **changes: object) -> ExportRecord:
    names = {k.replace("__", "."): v for k, v in changes.items()}
    return one._replace(own={**(one.own or {}), **names})


@given(seed=st.integers(), count=st.integers(1, 20), repeats=st.integers(0, 10))
def test_an_untouched_export_is_sound_in_any_order_and_with_repeats(
    folder: Path, seed: int, count: int, repeats: int
) -> None:
    """Two exporters, kills that made a back end store things twice, an export sorted by chance."""
    key, rng = SealKey.read(folder / "key"), random.Random(seed)  # noqa: S311 - not for secrets
    items = [*told(count, key), *told(count, key, "lake")]
    items += rng.choices(items, k=repeats)
    rng.shuffle(items)
    report = judge(items, folder / "key.pub")
    assert report.sound, faults(report)
    assert {(c.exporter, c.first, c.last, c.sealed) for c in report.chains} == {
        ("siem", 1, count, count),
        ("lake", 1, count, count),
    }


@given(at=st.integers(0, COUNT - 1))
def test_any_link_that_is_taken_out_is_missed(folder: Path, at: int) -> None:
    """The first by the seal on nothing before it; the last by the seal on it."""
    items = told(COUNT, SealKey.read(folder / "key"))
    del items[at]
    report = judge(items, folder / "key.pub")
    if at == 0:  # an export may begin later: then the chain says from which number on it speaks
        assert report.chains[0].first == 2
    else:
        assert not report.sound
        assert f"number {at + 1}" in faults(report)


@given(
    at=st.integers(0, COUNT - 1),
    change=st.sampled_from([
        {"k8s__audit__segment__delivered": 999},
        {"k8s__audit__exporter": "another"},
        {"k8s__audit__chain__number": 3_000},
        {"k8s__audit__chain__previous": "0" * 64},
        {"k8s__audit__chain__hash": "0" * 64},
        {"k8s__audit__segment__more": "1"},
        {"event__name": "k8s.audit.other"},
    ]),
)  # fmt: skip
def test_any_change_of_a_link_is_found(folder: Path, at: int, change: dict[str, Any]) -> None:
    items = told(COUNT, SealKey.read(folder / "key"))
    items[at] = altered(items[at], **change)
    report = judge(items, folder / "key.pub")
    assert not report.sound
    assert "changed: number" in faults(report)


@given(at=st.integers(0, COUNT - 1))
def test_a_chain_that_was_made_anew_from_some_place_on_is_not_what_was_sealed(
    folder: Path, at: int
) -> None:
    """Whoever holds the back end can link again what was changed, but cannot seal it."""
    items = told(COUNT, SealKey.read(folder / "key"))
    chain, forged = Chain(), []
    for n, one in enumerate(items[:-1]):
        own = dict(one.own or {})
        event = str(own.pop("event.name"))
        kept = {k: v for k, v in own.items() if not k.startswith("k8s.audit.chain.")}
        if n == at:
            kept["k8s.audit.segment.delivered"] = 999
        chain = Chain(str(own["k8s.audit.chain.id"])) if not chain.id else chain
        chain, linked = link(chain, Notice(one.uid, event, 0, 9, "", kept))
        forged.append(item(linked))
    assert judge(forged).sound  # without seals nobody can tell
    report = judge([*forged, items[-1]], folder / "key.pub")
    assert "not what was sealed" in faults(report)
    both = judge([*items, *forged], folder / "key.pub")
    assert "forked" in faults(both)


def test_a_link_that_somebody_put_in_is_a_fork(folder: Path) -> None:
    items = told(COUNT, SealKey.read(folder / "key"))
    own = items[2].own or {}
    unknown = Notice("receipt-x", "k8s.audit.segment", 0, 9, "", {EXPORTER: "siem"})
    _, linked = link(Chain(str(own["k8s.audit.chain.id"]), 2, "beef"), unknown)
    assert "forked: number 3" in faults(judge([*items, item(linked)], folder / "key.pub"))


@pytest.mark.parametrize(
    "change",
    [
        {SEAL + "signature": "AAAA"},
        {SEAL + "time_ns": 1},
        {"k8s.audit.chain.number": 5},
        {"k8s.audit.chain.hash": "0" * 64},
        {EXPORTER: "another"},
    ],
)
def test_an_altered_seal_is_not_signed(folder: Path, change: dict[str, Any]) -> None:
    items = told(COUNT, SealKey.read(folder / "key"))
    items[-1] = items[-1]._replace(own={**(items[-1].own or {}), **change})
    assert "did not sign" in faults(judge(items, folder / "key.pub"))


@pytest.mark.parametrize("is_first", [True, False])
def test_a_seal_under_the_uid_of_another_does_not_take_it_away(
    folder: Path, *, is_first: bool
) -> None:
    """Who takes out the newest links sends an old seal as the one that speaks of them."""
    items = told(COUNT, key := SealKey.read(folder / "key"))
    shorter = told(COUNT - 1, key)
    forged = [*shorter[:-1], shorter[-1]._replace(uid=items[-1].uid)]
    report = judge([items[-1], *forged] if is_first else [*forged, items[-1]], folder / "key.pub")
    assert f"sealed and not there: number {COUNT}" in faults(report)


def test_seals_of_another_exporter_are_kept_here_and_raise_no_alarm(folder: Path) -> None:
    """Its links are in its own back end."""
    key = SealKey.read(folder / "key")
    report = judge([*told(COUNT, key), told(COUNT, key, "lake")[-1]], folder / "key.pub")
    assert report.sound, faults(report)
    assert [(c.last, c.sealed) for c in report.chains] == [(COUNT, COUNT), (0, COUNT)]


def test_a_seal_of_another_key_is_named(folder: Path) -> None:
    items = told(COUNT, SealKey.read(folder / "other"))
    keys = [next(iter(read_public_keys([folder / f"{name}.pub"]))) for name in ("other", "key")]
    said = "seal by a key that was not given: {}; given: {}".format(*keys)
    assert said in faults(judge(items, folder / "key.pub"))
    assert judge(items, folder / "key.pub", folder / "other.pub").sound


def test_without_a_seal_the_tail_is_said_to_be_open(folder: Path) -> None:
    items = told(COUNT, SealKey.read(folder / "key"))[:-1]
    report = judge(items, folder / "key.pub")
    assert report.sound
    assert report.chains[0].sealed == 0


def test_names_and_types_may_be_what_a_back_end_makes_of_them(folder: Path) -> None:
    """Underscores for dots, texts for numbers and truths, everything under a path."""
    items = [
        one._replace(
            own={
                f"_source.attributes.{k.replace('.', '_')}": msgspec.json.encode(v)
                .decode()
                .strip('"')
                for k, v in (one.own or {}).items()
            }
        )
        for one in told(COUNT, SealKey.read(folder / "key"))
    ]
    report = judge(items, folder / "key.pub")
    assert report.sound, faults(report)
    assert report.chains[0].last == COUNT


def test_a_back_end_may_keep_no_empty_attributes(folder: Path) -> None:
    items = [
        one._replace(own={k: v for k, v in (one.own or {}).items() if v != ""})
        for one in told(COUNT, SealKey.read(folder / "key"))
    ]
    assert any("k8s.audit.chain.previous" not in (one.own or {}) for one in items)
    report = judge(items, folder / "key.pub")
    assert report.sound, faults(report)


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_is_private_and_is_never_written_over(tmp_path: Path) -> None:
    name = make_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert SealKey.read(tmp_path / "key").id == name
    assert (tmp_path / "key.pub").stat().st_mode & 0o777 == 0o644
    assert list(read_public_keys([tmp_path / "key.pub"])) == [name]
    with pytest.raises(KeyFileError, match=r"is there already; .* as --previous"):
        make_key(tmp_path / "key")


def test_a_new_key_is_vouched_for_by_the_old_one(tmp_path: Path) -> None:
    make_key(tmp_path / "old")
    make_key(tmp_path / "new", tmp_path / "old")
    public = [tmp_path / "old.pub", tmp_path / "new.pub"]
    assert len(read_public_keys(public)) == 2
    text = (tmp_path / "new.pub").read_text()
    (tmp_path / "new.pub").write_text(
        text.replace("signed-by: ", "signed-by: ")[:-12] + "AAAAAAAAAA==\n"
    )
    with pytest.raises(KeyFileError, match="not so"):
        read_public_keys(public)


@pytest.mark.parametrize("content", [None, "", "rubbish"])
def test_what_is_no_key_is_said_with_a_hint(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "key").write_text(content)
    with pytest.raises(KeyFileError, match="evidence keygen"):
        SealKey.read(tmp_path / "key")
    with pytest.raises(KeyFileError, match=str(tmp_path / "key")):
        read_public_keys([tmp_path / "key"])


def test_several_keys_in_one_file_are_refused(folder: Path, tmp_path: Path) -> None:
    """The second was left out in silence, and its seals were taken for a forger's."""
    file = tmp_path / "keys.pub"
    file.write_text((folder / "key.pub").read_text() + (folder / "other.pub").read_text())
    with pytest.raises(KeyFileError, match="several keys"):
        read_public_keys([file])


def test_a_hash_covers_what_the_link_says(folder: Path) -> None:
    """The hash itself is the only attribute of the agent's that it does not cover."""
    one = told(1, SealKey.read(folder / "key"))[0]
    assert len(str((one.own or {})[HASH])) == 64
