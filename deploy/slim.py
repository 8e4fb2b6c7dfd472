"""Take from the image's environment what nothing in it ever loads: `slim.py SITE_PACKAGES`."""

import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

# Of AWS's hundreds of services the CloudWatch receiver needs one, and those that give credentials.
_SERVICES = {"logs", "sts", "sso", "sso-oidc", "signin"}
# rich colours source code with these; no command shows any.
_LEXERS = {"__init__.py", "_mapping.py"}
# What tools read that compile, check or generate; nothing that runs.
_SOURCES = ("*.c", "*.h", "*.proto", "*.pxd", "*.pyi", "*.pyx")
_LOAD = 1  # the type of a segment that is mapped into memory


def unused(packages: Path) -> Iterator[Path]:
    """Yield the files and folders to remove."""
    yield from (p for p in (packages / "botocore/data").iterdir() if _is_service(p))
    yield from (p for p in (packages / "pygments/lexers").glob("*.py") if p.name not in _LEXERS)
    yield packages / "pygments/lexers/__pycache__"
    yield packages / "confluent_kafka/schema_registry"  # audit events are JSON, without a schema
    yield packages / "boto3/data"  # of its resources; clients have theirs in botocore
    yield from packages.glob("zstandard/_cffi.*.so")  # PyPy's; CPython loads backend_c
    yield from packages.glob("*/tests")
    for pattern in _SOURCES:
        yield from packages.rglob(pattern)


def _is_service(path: Path) -> bool:
    return path.is_dir() and path.name not in _SERVICES


def strip(library: Path) -> None:
    """Cut what lies behind the mapped segments of a 64-bit ELF file: symbols and debugging."""
    data = bytearray(library.read_bytes())
    if data[:6] != b"\x7fELF\x02\x01":
        return
    (at,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    end = at + size * count
    for header in range(at, end, size):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, header)
        end = max(end, offset + length) if kind == _LOAD else end
    struct.pack_into("<Q", data, 40, 0)  # no table of sections any more
    struct.pack_into("<HH", data, 60, 0, 0)
    library.write_bytes(data[:end])


def main(packages: Path) -> None:
    for path in list(unused(packages)):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for library in packages.rglob("*.so*"):
        strip(library)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
