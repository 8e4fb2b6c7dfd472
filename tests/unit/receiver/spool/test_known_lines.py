"""What a spool knows of the lines that it has taken, after a crash too."""

from pathlib import Path

from k8s_audit_otlp.receiver.spool.known_lines import DIGEST_BYTES, KnownLines, line_digest


def test_a_digest_that_a_crash_cut_off_shifts_none_of_those_that_follow(tmp_path: Path) -> None:
    """Else what comes again would be new to every later process."""
    path = tmp_path / "known"
    digests = [line_digest(b"%d\n" % number) for number in range(3)]
    path.write_bytes(digests[0] + digests[1][: DIGEST_BYTES // 2])
    known = KnownLines(path)
    known.open()
    known.add(digests[1:])
    known.save(2)
    again = KnownLines(path)
    again.open()
    assert [digest in again for digest in digests] == [True] * 3


def test_what_is_made_anew_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    """A spool runs for years."""
    known = KnownLines(tmp_path / "known", lines=4)
    known.open()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(40):
        known.add([line_digest(b"%d\n" % number)])
        known.save(1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    known.close()
