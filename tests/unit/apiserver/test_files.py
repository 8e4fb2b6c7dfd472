"""A manifest is replaced whole, and its backup lies where kubelet does not look."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from k8s_audit_otlp.apiserver import files
from k8s_audit_otlp.apiserver.settings import RefusalError

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifests" / "kube-apiserver.yaml"
    path.parent.mkdir()
    path.write_text("old\n")
    path.chmod(0o640)
    return path


def test_a_replaced_file_keeps_its_mode_and_leaves_nothing_beside_it(manifest: Path) -> None:
    """A leftover would run as a second apiserver."""
    files.replace(manifest, "new\n")
    assert manifest.read_text() == "new\n"
    assert manifest.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in manifest.parent.iterdir()] == [manifest.name]


def test_a_link_stays_a_link(manifest: Path, tmp_path: Path) -> None:
    """The file behind it is replaced."""
    link = tmp_path / "link.yaml"
    link.symlink_to(manifest)
    files.replace(link, "new\n")
    assert link.is_symlink()
    assert manifest.read_text() == "new\n"


def test_a_backup_holds_the_old_text_for_its_owner_alone(manifest: Path, tmp_path: Path) -> None:
    """Its name carries the time."""
    backup = files.back_up(manifest, tmp_path / "backups", NOW)
    assert backup.name == "kube-apiserver.yaml.2026-01-02T03-04-05.678000"
    assert backup.read_text() == "old\n"
    assert backup.stat().st_mode & 0o777 == 0o600


def test_a_backup_never_overwrites_another(manifest: Path, tmp_path: Path) -> None:
    """The first one may be the only good one."""
    files.back_up(manifest, tmp_path / "backups", NOW)
    with pytest.raises(RefusalError, match="nothing was changed"):
        files.back_up(manifest, tmp_path / "backups", NOW)


@pytest.mark.parametrize("inside", [".", "backup", "../manifests/a/b"])
def test_a_backup_inside_the_manifests_directory_is_refused(manifest: Path, inside: str) -> None:
    """However it is spelled."""
    with pytest.raises(RefusalError, match="second apiserver"):
        files.check_backup_dir(manifest.parent / inside, manifest)


def test_a_link_into_the_manifests_directory_is_seen_through(
    manifest: Path, tmp_path: Path
) -> None:
    """Through a link neither."""
    link = tmp_path / "elsewhere"
    link.symlink_to(manifest.parent)
    with pytest.raises(RefusalError, match="second apiserver"):
        files.check_backup_dir(link, manifest)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    """Missing, or not text."""
    with pytest.raises(RefusalError, match="No such file"):
        files.read(tmp_path / "none")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RefusalError, match="UTF-8"):
        files.read(tmp_path / "binary")
