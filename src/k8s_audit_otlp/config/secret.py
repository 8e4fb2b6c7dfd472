"""Values that must never be printed, and what may be printed of a URL. Reads files on demand.

A `Secret` keeps the template that the file wrote (`Bearer ${file:/run/token}`) and resolves it
when it is used, so a token that was renewed on disk is picked up without a restart.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from k8s_audit_otlp.config.template import Template

HIDDEN = "***"
_LONGEST_SHOWN_SEGMENT = 24  # real path segments are words; Sumo Logic's secret has 80+ letters


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Secret:
    """A template whose value is read on use. Its repr and str hide the value."""

    template: Template = field(repr=False)
    is_url: bool = False

    @classmethod
    def of(cls, value: str) -> "Secret":
        """Wrap a value that is already known."""
        return cls(Template((value,)))

    def resolve(self) -> str:
        """Return the value as of now. Raise OSError when one of its files cannot be read."""
        return self.template.resolve()

    @property
    def files(self) -> tuple[str, ...]:
        return self.template.files

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.template == other.template

    def __hash__(self) -> int:
        return hash(self.template)

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
