r"""Values in the names of members: what a manager of fields owns in a list is written so.

"f:finalizers": {".": {}, "v:\"example.com/cleanup\"": {}}, "k:{\"name\":\"web\"}": {}
"""

from k8s_audit_otlp.event.redact.names import clean_name
from k8s_audit_otlp.event.redact.scan import Scan
from k8s_audit_otlp.event.secrets.grammar import KeyVerdict, judge
from k8s_audit_otlp.event.secrets.values import looks_random
from k8s_audit_otlp.event.splice.tokens import end_of, members, piece_of, text_of


def rename(scan: Scan, key: int) -> int | None:
    """Replace what the name of a member holds, and its value where the name says credential."""
    name = text_of(scan.pieces[key])
    scan.set(key, piece_of(clean_name(name, scan.replacement)), "text")
    return scan.whole(key, "key") if judge(name) is KeyVerdict.CREDENTIAL else None


def owned(scan: Scan, key: int) -> None:
    """Replace the values below a managed field whose name says credential, environment, command."""
    pieces = scan.pieces
    if pieces[key + 1] == b":":
        scan.mask(key + 2, "key")
    elif pieces[key + 1][:2] == b":{":
        for member in members(pieces, key, end_of(pieces, key)):
            if pieces[member].startswith(b"v:"):
                value = text_of(pieces[member])[2:].strip('"')
                scan.set(member, piece_of(f'v:"{scan.replacement(value)}"'), "key")


def mask_drawn_names(scan: Scan, key: int, end: int) -> None:
    """Replace names that somebody drew, in a map of tokens: `{"tokens": {"Xy7...": "bob"}}`."""
    for member in members(scan.pieces, key, end):
        name = text_of(scan.pieces[member])
        if looks_random(name):
            scan.set(member, piece_of(scan.replacement(name)), "key")
