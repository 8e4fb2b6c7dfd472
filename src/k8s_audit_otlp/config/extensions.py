"""The extensions that authenticate requests, in the Collector's words. Values only."""

from collections.abc import Mapping
from typing import ClassVar, Self, TypeAlias

from pydantic import Field, model_validator

from k8s_audit_otlp.config.addresses import HttpUrl
from k8s_audit_otlp.config.blocks import ConfigBlock, Tls, key
from k8s_audit_otlp.config.secret import FileText, Secret
from k8s_audit_otlp.config.types import (
    HeaderName,
    HeaderValue,
    PositiveSeconds,
    Seconds,
    SecretText,
    SecretTexts,
    mistake,
)
from k8s_audit_otlp.transport.url import basic


def _file_or_value(path: str | None, value: Secret | None) -> Secret:
    """Return what a client shows; the file wins, as in the Collector."""
    if path is not None:
        return Secret((FileText(path),))
    assert value is not None  # noqa: S101 - the block's own check has seen to it
    return value


class BearerToken(ConfigBlock):
    """A token in the Authorization header (bearertokenauth)."""

    type: ClassVar[str] = "bearertokenauth"

    header: HeaderName = key("Authorization", "Header to put the token in.")
    scheme: str = key("Bearer", "Word before the token; empty for none.")
    token: HeaderValue | None = key(None, "The token.")
    filename: str | None = key(None, "File with the token; re-read when it changes.")

    @model_validator(mode="after")
    def _has_a_token(self) -> "BearerToken":
        if self.token is None and self.filename is None:
            raise mistake("no token is given", "write token: ${env:TOKEN} or filename: /path")
        return self

    @property
    def secret(self) -> Secret:
        return _file_or_value(self.filename, self.token)

    def headers(self) -> Mapping[str, str]:
        """Return what shows the token. Raise OSError where its file cannot be read."""
        return {self.header: f"{self.scheme} {self.secret.resolve()}".strip()}


class _SecretPair(ConfigBlock):
    """Two secrets, each written out or in a file."""

    pair: ClassVar[tuple[str, str]]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in self.pair:
            if getattr(self, name) is None and getattr(self, f"{name}_file") is None:
                raise mistake(f"{name} is missing", f"write {name}: or {name}_file:")
        return self

    def secrets(self) -> tuple[Secret, Secret]:
        """Return both, in the order of `pair`."""
        first, second = (
            _file_or_value(getattr(self, f"{name}_file"), getattr(self, name)) for name in self.pair
        )
        return first, second


class ClientAuth(_SecretPair):
    """Name and password that a client shows."""

    pair = "username", "password"

    username: SecretText | None = key(None, "The name.")
    username_file: str | None = key(None, "File with the name; re-read when it changes.")
    password: SecretText | None = key(None, "The password.")
    password_file: str | None = key(None, "File with the password; re-read when it changes.")


class BasicAuth(ConfigBlock):
    """Name and password in the Authorization header (basicauth)."""

    type: ClassVar[str] = "basicauth"

    client_auth: ClientAuth = Field(description="Name and password to show.")

    def headers(self) -> Mapping[str, str]:
        """Return what shows them. Raise OSError where the file of one cannot be read."""
        name, password = self.client_auth.secrets()
        return {"Authorization": basic(name.resolve(), password.resolve())}


class OAuth2Client(_SecretPair):
    """OAuth 2 client credentials (oauth2client)."""

    type: ClassVar[str] = "oauth2client"
    pair = "client_id", "client_secret"

    client_id: SecretText | None = key(None, "Id of the client.")
    client_id_file: str | None = key(None, "File with the id; re-read when it changes.")
    client_secret: SecretText | None = key(None, "Secret of the client.")
    client_secret_file: str | None = key(None, "File with the secret; re-read when it changes.")
    token_url: HttpUrl = Field(description="Where tokens are fetched.")
    scopes: tuple[str, ...] = key((), "Scopes to ask for.")
    endpoint_params: dict[str, SecretTexts] = key(
        {}, "Further parameters, one value or a list each."
    )
    timeout_s: PositiveSeconds = key("10s", "Longest time for fetching a token.")
    expiry_buffer_s: Seconds = key("5m", "Renew a token so long before it expires.")
    tls: Tls = key({}, "How the connection to token_url is secured.")


Extension: TypeAlias = BearerToken | BasicAuth | OAuth2Client
