"""A member's name in; out whether its value is a credential, a reference to one, or neither.

Names are read as words (`dbPassword`, `db-password`, `DB_PASSWORD` are the same two), because a
substring alone takes `bypass` for a password and `secretName` for a secret.
"""

import re
from enum import IntEnum

MAX_KEY_CHARS = 512  # nobody names a credential in a longer word; bounds the work per name


class KeyVerdict(IntEnum):
    HARMLESS = 0
    CREDENTIAL = 1  # its strings and numbers are credentials, however deep
    CREDENTIAL_TEXT = 2  # a credential if it is a string; an object of this name is configuration


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")

# Names of credentials written as one word or as several.
CREDENTIAL_STEMS = (
    *("password", "passwd", "passphrase", "passcode", "secret", "token", "credential"),
    *("apikey", "privatekey", "accesskey", "authkey", "signingkey", "encryptionkey", "masterkey"),
    *("sharedkey", "sessionkey", "accountkey", "clientkey", "sshkey", "tlskey", "storagekey"),
    *("kubeconfig", "dockerconfig", "dockercfg", "connectionstring", "htpasswd", "jwt"),
)
CREDENTIAL_WORDS = frozenset({"pass", "pwd", "pw", "psw", "pin", "otp", "passwords"})
TEXT_WORDS = frozenset({"auth", "authorization", "cookie", "cookies", "bearer"})

# The last word says that the value names, places or describes a credential instead of being one.
REFERENCE_WORDS = frozenset(
    """
    name names namespace namespaces ref refs reference references selector selectors path paths
    file files dir directory type types kind kinds group groups version class provider providers
    url uri endpoint host server issuer audience audiences seconds expiration expires expiry ttl
    duration time timestamp date policy mode enabled disabled optional required count size length
    status state reason description title id uid label labels annotation annotations format
    algorithm algorithms encoding method operator role image renewal rotation requests reviews
    """.split()  # noqa: SIM905 - a table of words reads better as words
)

# Query parameters that carry a credential beside those whose name says so.
# opentelemetry.io/docs/specs/semconv/registry/attributes/url (url.query), RFC 6749, RFC 7519
CREDENTIAL_PARAMETERS = frozenset(
    """
    code sig signature key assertion samlresponse ticket authkey awsaccesskeyid x-amz-credential
    x-amz-signature x-amz-security-token x-goog-signature x-goog-credential state nonce
    """.split()  # noqa: SIM905
)


def words_of(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name[-MAX_KEY_CHARS:])]


def is_reference(name: str) -> bool:
    """Tell `secretName` and `tokenUrl` from `secret` and `token`."""
    words = words_of(name)
    if not words or words[-1] not in REFERENCE_WORDS:
        return False
    return words[-2:] != ["secret", "id"]  # Vault's AppRole: the id is the secret


def judge(name: str) -> KeyVerdict:
    """Judge a member of any object. The part before a slash is a domain, not a name."""
    managed_field = name.startswith(("f:", "k:", "v:"))
    tail = name.rpartition("/")[2]
    words = words_of(tail)
    if not words or is_reference(tail):
        return KeyVerdict.HARMLESS
    joined = "".join(words)
    if not CREDENTIAL_WORDS.isdisjoint(words) or any(stem in joined for stem in CREDENTIAL_STEMS):
        return KeyVerdict.CREDENTIAL_TEXT if managed_field else KeyVerdict.CREDENTIAL
    if words[-1] in TEXT_WORDS:
        return KeyVerdict.CREDENTIAL_TEXT
    return KeyVerdict.HARMLESS


def is_credential_parameter(name: str) -> bool:
    """Judge a query parameter. `key`, `code` and `sig` mean more there than in an object."""
    return name.lower() in CREDENTIAL_PARAMETERS or judge(name) is not KeyVerdict.HARMLESS
