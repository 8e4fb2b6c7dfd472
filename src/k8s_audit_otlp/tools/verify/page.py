"""Writes a verdict as one page of HTML that an auditor can read and keep: nothing is loaded."""

from collections.abc import Iterable
from html import escape

from k8s_audit_otlp import __version__
from k8s_audit_otlp.tools.page import document, pairs
from k8s_audit_otlp.tools.text import printable
from k8s_audit_otlp.tools.verify.verdict import CANNOT_KNOW, Verdict, extent, time_of

_MOST = 200  # lines of a list
_LONGEST = 400  # characters of one
_TITLE = "Is the Kubernetes audit log complete and untouched?"
_FOOTER = (
    f"Written by k8s-audit-otlp {__version__} evidence verify. Anyone with the same export and "
    "public keys gets the same answer."
)
_PROVES = (
    (
        "Every segment (file) of the audit log has a receipt: how many of its records were "
        "delivered, the SHA-256 of its bytes, and a hash over the uid and body of every "
        "delivered record."
    ),
    (
        "Each receipt holds the hash of the receipt before it. One that is taken out or "
        "altered breaks this chain."
    ),
    (
        "A seal signs how far the chain had come at a time. Up to there nobody who lacks the "
        "private key can have rewritten it; who held the node could rewrite what came after "
        "the newest seal."
    ),
    (
        "Without a trusted public key the chain shows accident and loss. It does not show an "
        "adversary who rewrites all of the export."
    ),
)


def html_of(verdict: Verdict) -> str:
    """Write the page."""
    sections = [
        _answer(verdict),
        _section("What was checked, and with what", _checked(verdict)),
        _section("Counted", _pairs((k, f"{v:,}") for k, v in verdict.counts().items())),
        _section("Changed, put in, taken out or forged", _list(verdict.faults)),
        _section("Missing, and remarks", _list(verdict.lacks)),
        _section("Chains of receipts", _chains(verdict)),
        _section("Could not be judged", _list(verdict.not_judged)),
        _section("What this proves", _list(_PROVES)),
        _section("What nobody can know from an export", _list(CANNOT_KNOW)),
    ]
    return document(_TITLE, sections, _FOOTER, style="li{overflow-wrap:anywhere}")


def _answer(verdict: Verdict) -> str:
    complete = "yes" if verdict.is_complete else "NO, see what is missing"
    sound = "yes, as far as it was judged" if verdict.is_sound else "NO, see what was changed"
    return _pairs([("Complete", complete), ("Untouched", sound)])


def _checked(verdict: Verdict) -> str:
    scope, contents, raw = verdict.scope, verdict.contents, verdict.raw
    rows = [
        ("Export", ", ".join(verdict.exports)),
        ("Public keys", ", ".join(verdict.keys) or "none was given: seals were not checked"),
        ("Seals", f"{verdict.sound.seals:,}"),
        ("Cluster", scope.cluster or "all in the export"),
        ("From", time_of(scope.since_ns) if scope.since_ns else "the beginning"),
        ("To", time_of(scope.until_ns) if scope.until_ns else "the end"),
        ("Bodies", f"{contents.records:,} records of {contents.judged:,} segments"),
    ]
    if raw is not None:
        rows.append(("Files", f"{raw.same:,} in {raw.directory} are byte for byte what was read"))
    return _pairs(rows)


def _chains(verdict: Verdict) -> str:
    checked = verdict.sound.checked
    return _pairs(
        (f"{c.exporter} {c.id}", extent(c, checked=checked)) for c in verdict.sound.chains
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}"


def _pairs(rows: Iterable[tuple[str, str]]) -> str:
    return pairs((_short(name), _short(said)) for name, said in rows)


def _list(lines: Iterable[str]) -> str:
    """Write a list; the page stays one that can be read, however much there is."""
    every = list(lines)
    if not every:
        return '<p class="note">nothing</p>'
    shown = "".join(f"<li>{escape(_short(line))}</li>" for line in every[:_MOST])
    more = len(every) - _MOST
    left = f'<p class="note">and {more:,} more: see the JSON report</p>' if more > 0 else ""
    return f"<ul>{shown}</ul>{left}"


def _short(text: str) -> str:
    return printable(text, _LONGEST)
