"""What a file name means to a log."""

import pytest

from k8s_audit_otlp.receiver.names import (
    AGAIN,
    BY_DATE,
    BY_LUMBERJACK,
    BY_NUMBER,
    fold,
    live_name,
    looks_like_backup,
    may_become,
    parse,
)
from tests.kit.present import present

BACKUP = "audit-2026-01-02T03-04-05.678.log"


@pytest.mark.parametrize(
    ("live", "name"),
    [
        ("audit.log", BACKUP),
        ("audit.log", "audit.log.12"),
        ("audit.log", "audit.log-20260102"),
        ("audit.log", "audit.log-20260102-0304"),
        ("audit.log", "audit.log-20190304-1551700801"),
        ("audit.log", "audit.log-1551700801"),
        ("0.log", "0.log.20260102-030405"),
        ("audit.log", "audit.log.20260102"),
        ("audit.log", "audit.log.20260102T030405"),
        ("audit.log", "audit.log-2026-01-02"),
        ("audit.log", "audit.log-2026-01-02_030405"),
        ("audit.log", BACKUP + ".1"),
        ("audit.log", BACKUP + "-20260103"),
        ("audit.log", "audit-20260102.log"),
        ("audit.log", "audit-20260102-030405.log"),
        ("audit", "audit-2026-01-02T03-04-05.678"),
        ("a.b.json", "a.b-2026-01-02T03-04-05.678.json"),
        ("kube-apiserver.log", "kube-apiserver-2026-01-02T03-04-05.678.log"),
    ],
)
def test_a_backup_is_known_plain_and_packed(live: str, name: str) -> None:
    """Both twins have the same base and age, and fold into the same live file."""
    plain, packed = present(parse(live, name)), present(parse(live, f"{name}.gz"))
    assert (plain.base, plain.compressed, plain.live) == (name, False, False)
    assert plain.age == packed.age
    assert (packed.base, packed.compressed, packed.live) == (name, True, False)
    assert live_name(name) == live_name(f"{name}.gz") == live


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["audit.log", "audit.log.gz"], None),
        ([BACKUP, BACKUP + ".gz"], BY_LUMBERJACK),
        (["audit.log.1", "audit.log.12.gz"], BY_NUMBER),
        (["audit.log-20260102", "audit-20260102-030405.log", "audit.log.20260102.gz"], BY_DATE),
        ([BACKUP + ".1", BACKUP + ".2.gz", BACKUP + "-20260103"], AGAIN),
    ],
)
def test_a_name_tells_who_deletes_it(names: list[str], kind: int | None) -> None:
    assert {present(parse("audit.log", name)).kind for name in names} == {kind}


@pytest.mark.parametrize(
    "name",
    [
        "audit.log.gz.tmp",
        "audit.log.bak",
        "audit.log~",
        "audit-2026-01-02.log",
        "other-2026-01-02T03-04-05.678.log",
        "audit.logs",
        "audit.log.1234567",
        "audit.log-12345678",
        "audit.log-20261301",
        "audit.log-2026010299",
        "audit.log.202601",
        "audit-20260199.log",
        ".audit.log.swp",
    ],
)
def test_other_files_are_no_part_of_the_log(name: str) -> None:
    """What merely looks alike is left alone."""
    assert parse("audit.log", name) is None


def test_ages_order_a_listing() -> None:
    """Dated backups by date, numbered ones by falling number, the live file last."""
    names = [
        "audit.log-1551700801",
        "audit.log-20260101-1767270000.gz",
        "audit-2026-01-02T03-04-05.678.log.2.gz",
        "audit-2026-01-02T03-04-05.678.log.1",
        "audit-2026-01-02T03-04-05.678.log",
        "audit-2026-01-02T03-04-05.679.log.gz",
        "audit.log.10",
        "audit.log.9.gz",
        "audit.log.1",
        "audit.log.gz",
        "audit.log",
    ]
    ages = [present(parse("audit.log", name)).age for name in names]
    assert ages == sorted(set(ages))


def test_a_glob_folds_into_distinct_logs() -> None:
    """Backups do not become logs of their own."""
    found = [f"/var/log/{BACKUP}.gz", "/var/log/audit.log", "/var/log/b.log.3", "/x/audit.log"]
    assert fold(found) == ["/var/log/audit.log", "/var/log/b.log", "/x/audit.log"]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("audit-webhook-2026-01-02T03-04-05.678.log", False),
        ("audit-webhook.log-20260102.gz", False),
        ("audit-webhook.log.1", False),
        ("audit.log-12345678", True),
        ("audit.log.-20260102", True),
        ("audit.log.1.zst", True),
        ("audit.log.GZ", True),
        ("audit.log.BAK", True),
        (BACKUP + ".gz.1", True),
        *((f"audit.log{end}", True) for end in (".backup", "-rotated", ".prev", ".Z", " 2")),
        *((f"audit.log{end}", True) for end in (".Mon", "-tuesday", ".aa", ".tgz", "@20260102")),
        *((f"audit{sign}{word}.log", True) for sign in "-_" for word in ("old", "copy", "1")),
        *((f"audit_webhook{end}", False) for end in (".log", ".log.1", BACKUP[5:])),
        *((f"audit.log.{end}", False) for end in ("swp", "lock", "pos", "lastname", "tmp")),
    ],
)
def test_a_backup_of_another_log_looks_like_none_of_ours(name: str, ours: bool) -> None:
    """What no name of a backup fits is told of, the backups of a log beside this one are not."""
    assert looks_like_backup("audit.log", name) is ours


@pytest.mark.parametrize(
    ("live", "name", "named"),
    [
        ("audit.log", "2026-01-02-audit.log", True),
        ("audit.log", "20260102_audit.log.gz", True),
        ("audit.log", "old.audit.log", True),
        ("audit.log", "kube-audit.log", False),
        ("audit.log", "node1-audit.log", False),
        ("current", "@400000006a1b2c3d12345678.s", True),
        ("audit.log", "@400000006a1b2c3d12345678.s", False),
        ("0.log", "0.log.20260102-030405.gz.tmp", False),  # kubelet packs into it
    ],
)
def test_a_backup_with_its_time_in_front_is_named(live: str, name: str, named: bool) -> None:
    """As scripts, multilog and svlogd call them: nobody may take them for read."""
    assert looks_like_backup(live, name) is named


@pytest.mark.parametrize(
    ("before", "now", "possible"),
    [
        ("audit.log", "audit.log.1", True),
        ("audit.log.1", "audit.log.2.gz", True),
        ("audit.log.2", "audit.log.1", False),
        ("audit.log.1", "audit.log", False),
        ("audit-2026-01-02T03-04-05.678.log", "audit-2026-01-02T03-04-05.678.log.gz", True),
        ("audit-2026-01-02T03-04-05.678.log", "audit-2026-01-02T03-04-05.678.log.1", True),
        ("audit-2026-01-02T03-04-05.678.log", "audit-2026-01-02T03-04-05.679.log", False),
        ("other.log", "audit.log.1", False),
    ],
)
def test_a_file_only_gets_names_of_older_ones(before: str, now: str, possible: bool) -> None:
    found = parse("audit.log", now)
    assert found is not None
    assert may_become(before, found) is possible
