"""What the sources that fetch have in common."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k8s_audit_otlp.receiver.sources.fetching import FetchingSource
from k8s_audit_otlp.receiver.spool.segment_files import SpoolLimits
from k8s_audit_otlp.receiver.spool.spool import Spool

EVENT = b'{"kind":"Event","auditID":"a"}\n'


class Fetches(FetchingSource[None]):
    """Is handed something else, and events once they are there."""

    lines: tuple[bytes, ...] = ()

    def where(self) -> str:
        return "here"

    @contextmanager
    def connect(self) -> Iterator[None]:
        yield

    def take(self, connection: None) -> str:
        del connection
        self.left_out += 60
        self.put(self.lines)
        time.sleep(0.01)
        return ""


def until_said(source: Fetches, *, anything: bool) -> None:
    end = time.monotonic() + 60
    while bool(source.trouble) is not anything:
        assert time.monotonic() < end, source.trouble
        time.sleep(0.01)


def test_a_place_of_something_else_is_no_silence(tmp_path: Path) -> None:
    """Whoever reads another topic or group than meant must see that nothing will come of it."""
    spool = Spool(tmp_path, SpoolLimits(1 << 30, 1 << 20, 0))
    spool.open()
    source = Fetches("fetches", spool)
    source.start()
    until_said(source, anything=True)
    assert "holds an audit event" in source.trouble
    source.lines = (EVENT,)
    until_said(source, anything=False)
    source.stop(15.0)
    spool.close()
