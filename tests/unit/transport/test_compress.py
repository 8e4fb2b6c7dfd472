"""What is packed unpacks to what it was."""

import gzip
from typing import Any

import pytest
import zstandard

from k8s_audit_otlp.transport.compress import compressor


@pytest.mark.parametrize("level", [None, -2, -1, 0, 1, 2, 3, 4, 6, 9])
def test_gzip_unpacks_to_what_it_was_at_every_level(level: Any) -> None:
    """The fast library and the small one."""
    data = b"audit " * 1000
    packed = compressor("gzip", level)(data)
    assert gzip.decompress(packed) == data
    assert len(packed) < len(data)


@pytest.mark.parametrize("level", [None, 1, 22])
def test_zstd_unpacks_to_what_it_was(level: Any) -> None:
    """With the size in its head, which some receivers want."""
    data = b"audit " * 1000
    packed = compressor("zstd", level)(data)
    assert zstandard.ZstdDecompressor().decompress(packed) == data


def test_none_leaves_the_bytes_alone() -> None:
    """Not even copied."""
    data = b"audit"
    assert compressor("none")(data) is data
