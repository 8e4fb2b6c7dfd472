"""Secrets of several hundred kinds leave no record, and what says none leaves as it is.

The texts, bodies and names are in the folder `kinds`. Each is put wherever it can stand.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit.strategies import blocks_of, line_of

KINDS = Path(__file__).parent / "kinds"
PASSWORD = "Hqiz7faz9Xwerbo2"  # noqa: S105 - planted; drawn, but not taken by its form alone
FILLING = {
    "%V": PASSWORD,
    "%B": base64.b64encode(PASSWORD.encode()).decode(),
    "%U": base64.b64encode(f"bob:{PASSWORD}".encode()).decode(),
    "%H": "9d2f4c7b1a8e6035",
    "%J": "eyJhbGciOiJSUzI1NiIsImtpZCI6In1.eyJpc3MiOiJrdWJlcm5ldGVzIn1.c2lnbmF0dXJlLW9mLXRva2Vu",
    "%G": "Hq7f3Kz9Lm2Xw8Rt",  # a generator's, taken wherever it stands
    "%X": "QJ3W5RTY7PLM2ZXC",
    "%P": "Kettle#6974kettle",  # as people make them up: with a sign, and of words
    "%M": "Falcon-9702copper",
    "%N": "Bakodile47#",
    "%Q": "kst-Stratus-8",  # behind a name only: letters of both cases, a sign
    "%O": "kq9z7xw3mvp2rt",  # of one case; of letters alone; as a digest is written
    "%K": "HDABTAJQUKSTNTCYWYUO",
    "%D": "4be0f2a97c1d83e65b7f90a2c4d6e818",
    "%Y": "lobster805cq",  # a word, digits and letters
    "%W": "lobster8051",  # under a name only
    "%I": "3f2909f1-46df-4afc-a9f5-e6bf46a3a036",
    "%R": "gw-Kettle-Lemon",  # whose case changes behind a sign
    "%S": "Candle.Kettle97",
    "%T": "Window8782",
    "%L": "9IDRD-3WMZU-FS6V5",  # a license
    "%C": "48#1173",  # of a keypad
    "%F": "3411429",
    "%A": "amber_28_mustard",
    "%!": "Ivory!46",
    "%Z": "382062-189770-421537-475807",
    "%E": "chestnut",  # of a dictionary: what is around it says so
    "%c": "4821-0937",  # codes, a card
    "%d": "5500 0055 7731 0925",
    "%k": "Kiwi#44lemon",
    "%a": "Y2hlc3RudXQtdHJlZQ==",
    "%q": "paddle timber ginger hazel",  # of several words; of numbers; of words with signs between
    "%n": "48-17-22",
    "%h": "hammock-velvet-cedar",
    "%m": "Rq7KxWmz4",  # of both cases and digits, shorter than what is drawn
}
SHOWN = (
    *(PASSWORD, FILLING["%B"][:16], FILLING["%U"][6:22], FILLING["%J"][-20:]),
    *(
        FILLING[mark]
        for mark in (
            "%G",
            "%X",
            "%P",
            "%M",
            "%N",
            "%O",
            "%K",
            "%D",
            "%Y",
            "%W",
            "%I",
            "%Q",
            *[
                "%R",
                "%S",
                "%T",
                "%L",
                "%C",
                "%F",
                "%Z",
                "%A",
                "%!",
                "%E",
                "%c",
                "%d",
                "%k",
                "%a",
                "%m",
                "%q",
                "%n",
                "%h",
            ],
        )
    ),
)
ABOUT = {
    "requestURI": "/apis/example.com/v1/namespaces/a/widgets/b",
    "objectRef": {"resource": "widgets", "namespace": "a", "name": "b", "apiGroup": "example.com"},
}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
Event = dict[str, Any]
PLACES: dict[str, Callable[[str], Event]] = {
    "body": lambda text: {"requestObject": {"kind": "Widget", "spec": {"values": text}}},
    "among lines": lambda text: {"requestObject": {"spec": {"values": f"x: 1\n{text}\nz: 2\n"}}},
    "message": lambda text: {
        "responseStatus": {"code": 422, "message": text},
        "responseObject": {"kind": "Status", "status": "Failure", "message": text},
    },
    "annotation": lambda text: {"annotations": {"example.com/note": text}},
    "annotation of an object": lambda text: {
        "requestObject": {"metadata": {"annotations": {"example.com/note": text}}}
    },
    "JSON in a text": lambda text: {"requestObject": {"spec": {"v": json.dumps({"a": [text]})}}},
    "copy": lambda text: {
        "requestObject": {
            "metadata": {"annotations": {LAST_APPLIED: json.dumps({"spec": {"v": text}}) + "\n"}}
        }
    },
    "agent": lambda text: {"userAgent": text},
}


def texts(kind: str) -> list[str]:
    """Read the texts of a kind: each begins with a mark, its further lines with two blanks."""
    content = "\n".join(path.read_text() for path in sorted(KINDS.glob(f"{kind}*.txt")))
    return [
        text.replace("\n  ", "\n").rstrip("\n")
        for text in re.split(r"^> ", content, flags=re.MULTILINE)[1:]
    ]


def objects(name: str) -> list[Event]:
    return [json.loads(line) for line in (KINDS / name).read_text().splitlines()]


def filled(text: str) -> str:
    for mark, filling in FILLING.items():
        text = text.replace(mark, filling)
    return text


def records_of(events: list[Event]) -> list[str]:
    processor = EventProcessor(None, Redactor())
    encoder = Encoder(transform=processor, clean=processor.clean_parts())
    lines = [line_of(**{**ABOUT, **event}) for event in events]
    records = encoder.encode_block(blocks_of(lines)).records
    assert len(records) == len(lines)
    return [record.decode("utf-8", "replace") for record in records]


def shown(record: str, template: str) -> bool:
    """Tell whether a record shows the secrets of a template; digits only where it has no other."""
    secrets = SHOWN if any(mark in template for mark in FILLING if mark != "%H") else ()
    return any(secret in record for secret in secrets or (FILLING["%H"],))


@pytest.mark.parametrize("place", PLACES)
def test_no_text_shows_its_secret(place: str) -> None:
    templates = texts("caught")
    assert len(templates) > 400
    records = records_of([PLACES[place](filled(each)) for each in templates])
    assert [t for t, r in zip(templates, records, strict=True) if shown(r, t)] == []


@pytest.mark.parametrize("place", PLACES)
def test_texts_without_a_secret_stay(place: str) -> None:
    kept = texts("kept")
    records = records_of([PLACES[place](each) for each in kept])
    assert [t for t, r in zip(kept, records, strict=True) if "REDACTED" in r] == []


OBJECTS = (
    [{"op": "add", "path": "/spec/containers/0/env/-", "value": {"name": "A", "value": PASSWORD}}],
    [{"op": "replace", "path": "/stringData/a", "value": PASSWORD}],
    {"kind": "Secret", "data": {"a": FILLING["%B"]}},
    {"spec": {"env": [{"name": "A", "value": PASSWORD}]}},
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("indent", [None, 2])
def test_an_object_in_base64_is_judged_as_an_object(place: str, indent: int | None) -> None:
    """As a webhook's patch is in its answer: no word of it stands in the text."""
    words = [base64.b64encode(json.dumps(each, indent=indent).encode()) for each in OBJECTS]
    records = records_of([PLACES[place](f"x {word.decode()} y") for word in words])
    shown = [word for word, record in zip(words, records, strict=True) if word.decode() in record]
    assert shown == []


@pytest.mark.parametrize("wrapped", [str, lambda text: base64.b64encode(text.encode()).decode()])
def test_a_patch_that_an_annotation_has_as_text_goes(wrapped: Callable[[str], str]) -> None:
    patch = wrapped(json.dumps(OBJECTS[0]))
    said = json.dumps({"webhook": "w", "patch": patch, "patchType": "JSONPatch"})
    name = "patch.webhook.admission.k8s.io/round_0_index_1"
    (record,) = records_of([{"annotations": {name: said}}])
    assert PASSWORD not in record
    assert patch not in record


def test_a_bootstrap_token_goes_and_the_name_of_an_event_stays() -> None:
    token, name = "abcdef.0123456789abcdef", "nginx1.17a2b3c4d5e6f708"
    (record,) = records_of([{"userAgent": f"a {token} {name}"}])
    assert token not in record
    assert name in record


def event_of(row: Event, member: str, body: Any) -> Event:
    resource, _, group = row["resource"].partition(".")
    reference = {"resource": resource, "namespace": "a", "name": "b", "apiGroup": group}
    return {"verb": row.get("verb", "create"), "objectRef": reference, member: body}


@pytest.mark.parametrize("member", ["requestObject", "responseObject"])
def test_no_body_shows_its_secret(member: str) -> None:
    """Of upstream kinds, of custom resources, patches of every type."""
    rows = objects("bodies.jsonl")
    templates = [json.dumps(row["body"]) for row in rows]
    events = [
        event_of(row, member, json.loads(filled(template)))
        for row, template in zip(rows, templates, strict=True)
    ]
    records = records_of(events)
    assert [t for t, r in zip(templates, records, strict=True) if shown(r, t)] == []


def test_bodies_without_a_secret_stay() -> None:
    """References, selectors, tolerations, schemas, rules of RBAC: detections need them."""
    rows = objects("kept.jsonl")
    records = records_of([event_of(row, "requestObject", row["body"]) for row in rows])
    kept = zip(rows, records, strict=True)
    assert [row["body"] for row, record in kept if "REDACTED" in record] == []


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("name", ["password", "API_KEY", "Token", "kind: Secret\nstringData:\n  x"])
def test_base64_of_a_text_with_a_secret_goes(name: str, shift: int) -> None:
    """Whichever of its bits the name begins at; also in an address, and cut."""
    plain = f"{'#' * shift}\n{name}: {PASSWORD}\n".encode()
    encoded = base64.b64encode(plain).decode()
    texts = [encoded, f"data:;base64,{encoded}", f"x: {encoded[:-3]}", encoded.replace("/", "_")]
    records = records_of([{"requestObject": {"spec": {"v": text}}} for text in texts])
    assert [record for record in records if encoded[12:24] in record] == []


def bodies_by_name() -> Iterator[Event]:
    """Members whose name says credential; pairs of a name and a value; environments."""
    for name in (KINDS / "names.txt").read_text().split():
        yield {"spec": {name: PASSWORD}}
    for name in ("password", "tokens", "apiKeys", "clientSecrets"):
        for inner in ({"value": PASSWORD}, [PASSWORD], {"a": {"b": PASSWORD}}, {"dev": PASSWORD}):
            yield {"spec": {name: inner}}
    pairs = "name/value key/value Name/Value header/value headerName/headerValue k/v name/content"
    for pair in pairs.split():
        said, held = pair.split("/")
        for name in ("DB_PASSWORD", "auth.password", "X-Api-Key", "Authorization"):
            yield {"p": [{said: name, "required": True, held: PASSWORD}]}
            yield {"p": [{held: PASSWORD, "x": {"a": [1, {"b": 2}]}, said: name}]}
    for name in ("env", "extraEnv", "extraEnvs", "environment", "envVars", "containerEnv"):
        yield {"spec": {name: [{"name": "ANY", "value": PASSWORD}]}}
        yield {"spec": {name: {"ANY": PASSWORD}}}
        yield {"spec": {name: [f"ANY={PASSWORD}"]}}
        yield {"spec": {name: {"open": {"ANY": PASSWORD}}}}


def test_no_member_that_says_credential_shows_one() -> None:
    bodies = [*bodies_by_name()]
    records = records_of([{"requestObject": body} for body in bodies])
    shown_by = [b for b, r in zip(bodies, records, strict=True) if PASSWORD in r]
    assert shown_by == []
