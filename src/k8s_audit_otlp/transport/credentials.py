"""Makes request headers from tokens, passwords and OAuth 2 clients; never shows their text."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Protocol
from urllib.parse import quote_plus, urlencode

from k8s_audit_otlp.config.blocks import Auth
from k8s_audit_otlp.config.extensions import Extension, OAuth2Client
from k8s_audit_otlp.config.secret import Secret
from k8s_audit_otlp.model import Misconfigured, Retry
from k8s_audit_otlp.transport.connection import ConnectError, Connections
from k8s_audit_otlp.transport.http_answer import Answer, NoAnswerError
from k8s_audit_otlp.transport.proxy import proxy_for
from k8s_audit_otlp.transport.sender import NotSentError, read_setting
from k8s_audit_otlp.transport.tls import TlsError, make_context
from k8s_audit_otlp.transport.url import UnusableError, Url, basic


class Credentials(Protocol):
    """What authenticates the requests of one exporter."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers to add. Raise OSError or NoCredentialsError if there are none."""

    def refused(self) -> None:
        """Take note that the back end did not accept the last ones."""


class NoCredentialsError(NotSentError):
    """No token can be had now."""

    def __init__(self, outcome: Retry | Misconfigured) -> None:
        super().__init__(outcome.why)
        self._outcome = outcome

    @property
    def outcome(self) -> Retry | Misconfigured:
        return self._outcome


@dataclass(frozen=True, slots=True, repr=False)
class FreshCredentials:
    """What is read anew for every request, so that a token renewed on disk is used at once."""

    headers: Callable[[], Mapping[str, str]]

    def refused(self) -> None:
        """Nothing is kept."""


def credentials_of(
    auth: Auth | None, extensions: Mapping[str, Extension], env: Mapping[str, str]
) -> Credentials | None:
    """Return what authenticates requests. *env*: where the proxy variables are looked up."""
    if auth is None:
        return None
    extension = extensions[auth.authenticator]
    if isinstance(extension, OAuth2Client):
        return OAuth2Credentials(extension, env)
    return FreshCredentials(extension.headers)


def own_headers(headers: Mapping[str, Secret], credentials: Credentials | None) -> dict[str, str]:
    """Return the headers of a configuration as of now, with those of its credentials.

    Raise UnreadableSettingError where a file is missing or cannot be read; NoCredentialsError where
    no token can be had.
    """
    own = {n: read_setting(value.resolve, f"the header {n}") for n, value in headers.items()}
    if credentials:
        own.update(read_setting(credentials.headers, "the credentials"))
    return own


class OAuth2Credentials:
    """Fetches a token, keeps it, and fetches the next one before it expires: RFC 6749, 4.4.

    The client shows itself in the Authorization header, as servers must accept; to one that does
    not, in the form.
    """

    def __init__(
        self,
        client: OAuth2Client,
        env: Mapping[str, str],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """*env*: where the proxy variables are looked up."""
        self._client = client
        self._env = env
        self._monotonic = monotonic
        self._lock = Lock()  # one fetches, the others wait for it
        self._header = ""
        self._renew_at = 0.0
        self._in_form = False

    def headers(self) -> Mapping[str, str]:
        with self._lock:
            if not self._header or self._monotonic() >= self._renew_at:
                self._fetch()
            return {"Authorization": self._header}

    def refused(self) -> None:
        with self._lock:
            self._header = ""

    def _fetch(self) -> None:
        answer = self._ask(in_form=self._in_form)
        if answer.status in {400, 401} and not self._in_form:
            second = self._ask(in_form=True)
            if second.status == 200:
                self._in_form, answer = True, second
        if answer.status != 200:
            why = f"the token server answers HTTP {answer.status}{_error_code(answer.body)}"
            passing = answer.status in {408, 429} or answer.status >= 500
            raise NoCredentialsError(Retry(why, reached=False) if passing else Misconfigured(why))
        self._keep(answer.body)

    def _ask(self, *, in_form: bool) -> Answer:
        client = self._client
        name, secret = (value.resolve() for value in client.secrets())
        form = [("grant_type", "client_credentials")]
        if client.scopes:
            form.append(("scope", " ".join(client.scopes)))
        form += [(key, v.resolve()) for key, of in client.endpoint_params.items() for v in of]
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
            "Connection": "close",
        }
        if in_form:
            form += [("client_id", name), ("client_secret", secret)]
        else:
            headers["Authorization"] = basic(quote_plus(name), quote_plus(secret))
        return self._post(client.token_url.resolve(), headers, urlencode(form).encode())

    def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        proxy = proxy_for(url, self._env)
        try:
            connections = Connections(
                Url.parse(url),
                context=lambda: make_context(self._client.tls),
                server_name=self._client.tls.server_name_override or "",
                proxy=Url.parse(proxy) if proxy else None,
                most_idle=0,
            )
            return connections.post(headers, body, self._client.timeout_s)
        except (UnusableError, TlsError) as error:
            raise NoCredentialsError(Misconfigured(f"oauth2client: {error}")) from None
        except (ConnectError, NoAnswerError) as error:
            why = str(error)
        except OSError as error:
            why = error.strerror or "no answer in time"
        raise NoCredentialsError(Retry(f"no token from the token server: {why}", reached=False))

    def _keep(self, body: bytes) -> None:
        try:
            answer = json.loads(body)
            token, lifetime = answer["access_token"], answer.get("expires_in")
            kind = str(answer.get("token_type") or "Bearer")
            seconds = None if lifetime is None else float(lifetime)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            token, kind, seconds = None, "", None
        if not isinstance(token, str) or not token:
            raise NoCredentialsError(Misconfigured("the token server's answer holds no token"))
        self._header = f"{'Bearer' if kind.lower() == 'bearer' else kind} {token}"
        if seconds is None:
            self._renew_at = float("inf")
            return
        # A token that lives no longer than the buffer is used for half its life.
        life = max(seconds - self._client.expiry_buffer_s, seconds / 2, 0.0)
        self._renew_at = self._monotonic() + life


def _error_code(body: bytes) -> str:
    """Return the `error` of RFC 6749 section 5.2, a word from a closed set, never a description."""
    try:
        code = json.loads(body[:65536]).get("error")
    except (ValueError, AttributeError, RecursionError):
        return ""
    known = isinstance(code, str) and code.isascii() and code.replace("_", "").isalpha()
    return f" ({code})" if known and len(code) <= 40 else ""
