"""Values that must never be printed, and what may be printed of a URL. Reads files on demand.

A `Secret` keeps what the configuration wrote (`Bearer ${file:/run/token}`) and reads it when it is
used, so a token that was renewed on disk is picked up without a restart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from k8s_audit_otlp.state.files import WrongFileError, read_regular

MAX_FILE_BYTES = 1 << 20  # a token, a certificate, a password; never a log given by mistake
HIDDEN = "***"
_LONGEST_SHOWN_SEGMENT = 24  # real path segments are words; Sumo Logic's secret has 80+ letters


@dataclass(frozen=True, slots=True)
class FileText:
    """The content of a file without its last line ends."""

    path: str

    def read(self) -> str:
        try:
            return read_regular(self.path, MAX_FILE_BYTES).decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise WrongFileError(84, "not UTF-8 text", self.path) from error


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Text with files in it; variables are in place already. Its repr and str hide the value."""

    parts: tuple[str | FileText, ...]
    is_url: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, value: str) -> "Secret":
        return cls((value,))

    def resolve(self) -> str:
        """Return the value as of now. Raise OSError when one of its files cannot be read."""
        return "".join(self.resolved())

    def resolved(self) -> Iterator[str]:
        """Yield each part as it reads now."""
        for part in self.parts:
            yield part if isinstance(part, str) else part.read()

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(part.path for part in self.parts if isinstance(part, FileText))

    def __str__(self) -> str:
        if not self.is_url:
            return HIDDEN
        try:
            return safe_url(self.resolve())
        except OSError:
            return HIDDEN

    def __repr__(self) -> str:
        return f"<{'Url' if self.is_url else 'Secret'} {self}>"


def safe_url(url: str) -> str:
    """Return *url* without user, query, fragment and path segments that look like a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return HIDDEN
    if not parts.scheme or not parts.netloc:
        # host:port, as gRPC takes it; what follows an @ or the path could be anything
        head = url.rpartition("@")[2].partition("/")[0].partition("?")[0]
        return head if len(head) <= 255 else HIDDEN
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    user = f"{HIDDEN}@" if "@" in parts.netloc else ""
    path = "/".join(
        HIDDEN if len(segment) > _LONGEST_SHOWN_SEGMENT else segment
        for segment in parts.path.split("/")
    )
    query = f"?{HIDDEN}" if parts.query else ""
    return f"{parts.scheme}://{user}{host}{f':{port}' if port is not None else ''}{path}{query}"
