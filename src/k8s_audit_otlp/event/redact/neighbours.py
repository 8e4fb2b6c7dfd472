"""What is around a member of a body: its siblings, its parent's name, a reference that it is in."""

import re
from collections.abc import Iterator

from k8s_audit_otlp.event.secrets.grammar import KeyVerdict, judge, words_of
from k8s_audit_otlp.event.secrets.grammar import is_reference as only_refers
from k8s_audit_otlp.event.secrets.randomness import PUBLIC_KEYS, looks_drawn, looks_random
from k8s_audit_otlp.event.secrets.values import (
    NOTHING,
    names_an_object,
    says_which,
)
from k8s_audit_otlp.event.secrets.written.references import names_secrets
from k8s_audit_otlp.event.splice.tokens import (
    balance,
    end_of,
    is_key,
    is_member_value,
    members,
    text_of,
)

# Members of a reference to a Secret or of a volume made of one.
_REFERENCE = frozenset(
    (
        *(b"name", b"namespace", b"key", b"optional", b"items", b"defaultMode", b"apiGroup"),
        *(b"kind", b"apiVersion", b"readOnly", b"version", b"property", b"secretName", b"group"),
    )
)
_LEADING = (b"valueFrom", b"secretKeyRef", b"secretRef", b"from")  # to a reference
_NAMES_OF_SECRETS = (b"name", b"secretName")
_OF_SECRETS = frozenset(  # beside the name of a key in it
    (b"secretName", b"objectName", b"existingSecret", b"secretRef", b"secretKeyRef", b"remoteRef")
)
_NAMING = frozenset(("name", "namespace", "ref", "kind", "existing", "version"))
_KEY_WORDS = frozenset(("key", "keys", "property", "field"))
_WITH_SECRETS = ("basicAuth", "digestAuth")  # below these `secret` is the name of one
_USUAL_KEYS = frozenset(  # of a Secret
    "username user password token ca.crt tls.crt tls.key client-id client-secret api-key".split()  # noqa: SIM905
)
_CERTIFICATES = frozenset(("ca", "cert", "certificate", "spki", "public", "pub", "tls", "host"))
_DIGESTS = frozenset("hash hashes pin pins digest digests sha1 sha256".split())  # noqa: SIM905
_THUMBPRINTS = [(f"{x}print{s}",) for x in ("thumb", "finger") for s in ("", "s")]
_DIGEST = re.compile(
    r"(?:(?i:sha-?\d{1,3}|md5)[:/-]{1,2})?(?:[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){15,31}"
    r"|[0-9A-Fa-f]{32,128}|[\w+/-]{27,88}={0,2})"
)
_MOST_SIBLINGS = 64
_NUMBER = re.compile(rb":(\d{1,12})(?=[,}\]])")
_LABELS = ("labels", "matchLabels")
_SOURCES = (b"source", b"kind", b"provider", b"type", b"issuer", b"ttl", b"audience", b"algorithm")
_SCHEMES = frozenset(  # under a name such as `auth`
    "password token basic bearer jwt oidc oauth oauth2 ldap saml iam mtls kubernetes".split()  # noqa: SIM905
)


def is_reference(pieces: list[bytes], key: int, end: int) -> bool:
    """Tell a reference to a Secret ({name, key}) from a credential made of parts."""
    if pieces[key + 1][:2] != b":{":
        return False
    found = {pieces[place]: place for place in members(pieces, key, end)}
    if len(found) == 1 and (inner := next(iter(found.items())))[0] in _LEADING:
        return is_reference(pieces, inner[1], end_of(pieces, inner[1]))
    names = [found[name] for name in _NAMES_OF_SECRETS if name in found]
    if not names or not _REFERENCE.issuperset(found):
        return False
    return all(
        pieces[name + 1] == b":" and names_an_object(text_of(pieces[name + 2])) for name in names
    )


def tells_where(pieces: list[bytes], key: int) -> bool:
    """Tell what says where a credential is, in a map of several: `source: Secret`."""
    if pieces[key + 1] != b":":
        return is_reference(pieces, key, end_of(pieces, key)) or _names_a_key(pieces, key)
    name, value = text_of(pieces[key]), text_of(pieces[key + 2])
    if _is_public_digest(name, value) or says_which_one(pieces, key):
        return True
    parent = parent_name(pieces, key)
    if words_of(parent)[-1:] == ("keys",) and says_which(parent, value):
        return True
    return names_it(name, value) or (pieces[key] in _SOURCES and not looks_drawn(value))


def names_it(name: str, value: str) -> bool:
    """Tell the name of an object that has a credential, by the names of members and the value."""
    naming = only_refers(name) and not _NAMING.isdisjoint(words_of(name))
    return naming and not looks_drawn(value)


def says_which_one(pieces: list[bytes], key: int) -> bool:
    """Tell a text that says nothing, or which credential it is, instead of being one."""
    name = text_of(pieces[key])
    if number := _NUMBER.match(pieces[key + 1]):
        return says_which(name, number[1].decode())
    if pieces[key + 1] != b":" or not pieces[key + 2]:
        return False
    value = text_of(pieces[key + 2])
    is_public = value.startswith(PUBLIC_KEYS) and "PRIVATE" not in value
    if is_public or says_which(name, value) or value.lower() in NOTHING:
        return True
    if value in _SCHEMES and judge(name) is KeyVerdict.CREDENTIAL_TEXT:
        return True
    of_secret = pieces[key] == b"secret" and parent_name(pieces, key) in _WITH_SECRETS
    return of_secret and names_an_object(value) and not looks_drawn(value)


def _names_a_key(pieces: list[bytes], key: int) -> bool:
    """Tell which key of a Secret it is, whose name stands beside."""
    names_keys = not _KEY_WORDS.isdisjoint(words_of(text_of(pieces[key]))[-1:])
    names_keys |= pieces[key + 1] == b":" and pieces[key] == pieces[key + 2]
    return names_keys and any(pieces[place] in _OF_SECRETS for place in siblings(pieces, key))


def _is_public_digest(name: str, value: str) -> bool:
    """Say whether a value is the digest of a certificate or a public key, which a name tells."""
    words = words_of(name)
    of_public = not _CERTIFICATES.isdisjoint(words) and not _DIGESTS.isdisjoint(words[-1:])
    return (of_public or words[-1:] in _THUMBPRINTS) and _DIGEST.fullmatch(value) is not None


def refers(pieces: list[bytes], place: int, name: str) -> bool:
    """Tell a string that names or places the credential: `path`, `kind`, `issuer`, `audiences`."""
    value = text_of(pieces[place])
    if value.startswith(PUBLIC_KEYS) and "PRIVATE" not in value:
        return True
    if _is_public_digest(name, value):
        return True
    if looks_random(value):
        return False
    if only_refers(name) or says_which(name, value):
        return True
    if not is_member_value(pieces, place):
        return value in _USUAL_KEYS or names_secrets(name, value)
    parent = parent_name(pieces, place - 2)
    if parent in _LABELS:
        return not looks_drawn(value)
    in_reference = parent.encode() in _LEADING
    is_key_of_it = in_reference or _names_a_key(pieces, place - 2)
    return says_which_one(pieces, place - 2) or (is_key_of_it and names_an_object(value))


def siblings(pieces: list[bytes], key: int) -> Iterator[int]:
    """Yield the keys of the object that the member at *key* is in, those that are near first."""
    for step in (-2, 2):
        place, depth = key, 0
        for _ in range(_MOST_SIBLINGS):
            place += step
            if not 0 < place < len(pieces) - 1:
                break
            between = pieces[place + 1] if step < 0 else pieces[place - 1]
            lowest, change = balance[between]
            if step < 0:
                if depth < change - lowest:
                    break
                depth -= change
            else:
                if depth + lowest < 0:
                    break
                depth += change
            if depth == 0 and is_key(pieces, place):
                yield place


def parent_name(pieces: list[bytes], key: int) -> str:
    """Return the name of the member whose value is the object that the member at *key* is in."""
    depth = 0
    for place in range(key - 2, max(0, key - 2 * _MOST_SIBLINGS), -2):
        depth -= balance[pieces[place + 1]][1]
        if depth < 0:
            return text_of(pieces[place]) if pieces[place + 1] in (b":{", b":[{") else ""
    return ""
