"""The address of a back end or a proxy, split into what a request needs. Never shown whole."""

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from k8s_audit_otlp.transport.sender import NotSentError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PATH_SIGNS = "/%:@!$&'()*+,;=~-._"  # RFC 3986


class UnusableError(NotSentError, ValueError):
    """A URL or a header cannot be used. The text says why and repeats neither."""


def basic(name: str, password: str) -> str:
    """Return the header that says name and password (RFC 7617)."""
    return f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"


@dataclass(frozen=True, slots=True, repr=False)
class Url:
    """The parts of an http(s) URL. Its text is never shown: paths and users can be secrets."""

    scheme: str
    host: str
    port: int
    target: str  # path and query
    authorization: str  # from user:password@, '' without

    @classmethod
    def parse(cls, text: str) -> "Url":
        """Split *text*. Raise UnusableError where it is no http(s) URL."""
        try:
            parts = urlsplit(text)
            scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
        except ValueError:
            raise UnusableError("the URL cannot be read") from None
        if scheme not in _DEFAULT_PORTS or not host:
            raise UnusableError("the URL is not http://HOST or https://HOST")
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise UnusableError("the host of the URL cannot be used") from None
        target = quote(parts.path or "/", safe=_PATH_SIGNS)
        if parts.query:
            target += "?" + quote(parts.query, safe=_PATH_SIGNS + "?")
        authorization = ""
        if parts.username is not None:
            authorization = basic(unquote(parts.username), unquote(parts.password or ""))
        port = _DEFAULT_PORTS[scheme] if port is None else port
        return cls(scheme, host, port, target, authorization)

    @property
    def host_and_port(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """Host and port, without the default port of the scheme."""
        return self.host_and_port.removesuffix(f":{_DEFAULT_PORTS[self.scheme]}")

    @property
    def address(self) -> tuple[str, int]:
        return (self.host, self.port)
