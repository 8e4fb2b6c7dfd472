"""A secret is never printed; a URL is printed without what may be secret in it."""

import pytest

from k8s_audit_otlp.config.addresses import with_path
from k8s_audit_otlp.config.references import parse_template
from k8s_audit_otlp.config.secret import Secret, safe_url

KEY = "ZaVnC4dhaV1mB8eKQj0xW4vX2r7tYpLs9uGf3hNkM5oD6iRbEc"
URLS = [
    ("http://siem:4318/v1/logs", "http://siem:4318/v1/logs"),
    ("https://user:sesame@host/otlp?key=sesame#sesame", "https://***@host/otlp?***"),
    (
        f"https://sumo.example.com/receiver/v1/otlp/{KEY}",
        "https://sumo.example.com/receiver/v1/otlp/***",
    ),
    ("http://[::1]:4318", "http://[::1]:4318"),
    ("siem:4317", "siem:4317"),
    (f"siem:4317/{KEY}", "siem:4317"),
    ("user:sesame@siem:4317", "siem:4317"),
    ("http://host:port", "***"),
    ("http://[::1", "***"),
]


@pytest.mark.parametrize(("url", "shown"), URLS)
def test_a_url_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    """User, query, fragment and long path segments are hidden."""
    assert safe_url(url) == shown
    assert str(Secret((url,), is_url=True)) == shown


def test_no_way_of_printing_a_secret_shows_it() -> None:
    """Neither str, repr, format nor the repr of what holds it."""
    secret = parse_template("Bearer ${env:T}", {"T": "sesame"})
    for text in (str(secret), repr(secret), f"{secret}", repr([secret])):
        assert "sesame" not in text
    assert secret.resolve() == "Bearer sesame"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://h:1", "http://h:1/v1/logs"),
        ("http://h:1/", "http://h:1/v1/logs"),
        ("http://h/otel", "http://h/otel/v1/logs"),
    ],
)
def test_the_path_is_appended_with_exactly_one_slash(base: str, url: str) -> None:
    """As otlphttpexporter composes a signal's URL."""
    assert with_path(Secret.of(base), "v1/logs").resolve() == url


def test_secrets_with_the_same_template_are_equal() -> None:
    """So configurations can be compared without reading a value."""
    assert Secret.of("a") == Secret.of("a")
    assert Secret.of("a") != Secret.of("b")
    assert len({Secret.of("a"), Secret.of("a")}) == 1
