"""What any text must hold for a credential to be in it: the tables that the prefilter is made from.

Each needle belongs to names of the grammar or to forms of the cleaner, which look for nothing in a
text that does not hold theirs.
"""

import re
from base64 import b64encode
from json import dumps
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import CODES, DRAWN_WORDS, MISSPELT
from k8s_audit_otlp.event.secrets.matcher import Pattern, Shape, Sought
from k8s_audit_otlp.event.secrets.token_formats import (
    GENERATED,
    LICENSES,
    MADE_UP_WORDS,
    TOKEN_FORMATS,
)

# Needles that are patterns: names of `DRAWN_WORDS` before a sign; signs and letters of a name that
# are written as %3D or \\u0070.
_SOME: Final = 12  # names in a pattern; with some 30 Hyperscan takes three times as long for a body
_DRAWN: Final = {
    f"drawn {n}": sorted(DRAWN_WORDS - {"key"})[n : n + _SOME]
    for n in range(0, len(DRAWN_WORDS) - 1, _SOME)
}
CODE: Final = "code"
_MISSPELT: Final = "misspelt"
LOGIN_AT: Final = ":X@"
AT_PORT: Final = "@X:1"
ENCODED: Final = "%3"
SHORT_FLAG: Final = "-p"
ENVIRONMENT: Final = "env:"  # at the end of a line
ESCAPED: Final = "\\u00"
HERE_DOCUMENT: Final = "<<EOF"
MAILBOX: Final = "1 => 1,"
SPELT_PW: Final = "p/w"
CODE_ABROAD: Final = ("código", "codigo", "codice", "code est", "kod dost")


def _in_base64(word: str, shift: int) -> str:
    """Write those letters of a word's base64 that do not depend on what is around it."""
    encoded = b64encode(b"\0" * shift + word.encode()).decode()
    return encoded[-(-shift * 8 // 6) : (shift + len(word)) * 8 // 6].lower()


# Of names with letters beside those of ASCII, in either case: all of it, or what no other word has.
_OTHER_SCRIPTS: Final = tuple(
    dict.fromkeys(
        each
        for word in (
            *"clé hasło jelszó şifre šifra parolă código ароль арола лозинка токен секрет".split(),  # noqa: SIM905
            *"κωδικ συνθημ пассворд код 密码 密碼 密钥 口令 令牌 暗号 暗証 合言葉 合い言葉".split(),  # noqa: SIM905
            *"パスワード 비밀 비번 암호 المرور السر رمز ذرواژه عبور סיסמה סיסמא".split(),  # noqa: SIM905
            *"khẩu รหัส पासवर्ड পাসওয় கடவுச்".split(),  # noqa: SIM905
        )
        for each in (word, word.upper())
    )
)
# Words of texts with a credential in base64, whichever of its bits the first letter begins at.
IN_BASE64: Final = tuple(
    dict.fromkeys(
        _in_base64(word, shift)
        for name in ("password", "passwd", "secret", "token", "credential", "apikey", "api_key")
        for word in (name, name.capitalize(), name.upper())
        for shift in range(3)
    )
)
# How base64 of an object or a list begins, beside `eyJ`, which much else does.
IN_JSON: Final = "W3s[iK]|Wwog|WyJ|ewo[giJ]|eyAi"
# A bootstrap token of kubeadm; not an Event, whose name ends in the time, in hexadecimal digits.
_BEHIND_DOT: Final = "[.](?:1[0-69a-z]|[02-9a-z][a-z0-9])[a-z0-9]{14}"
BOOTSTRAP: Final = "[a-z0-9]{6}" + _BEHIND_DOT
# What a text must hold, in any case of letters, for a name of a credential to be in it.
NAME_NEEDLES: Final = (
    *"""
    pass secret token cred key pwd pw psw pin puk otp auth cookie bearer jwt dsn kubeconfig docker
    connection sharedaccess webhook master htpasswd accountsas psk mnemonic cvv hmac jaas
    userdata user-data user_data user.data artapi art-api art_api slack seed salt pepper connstr
    sessid sessionid community login logon unseal session_id session-id encrypt decrypt exponent
    securest secure-st secure_st securejson sudo pswd otlp_h otlp-h otlph kennwort zugangsda
    geheimni wachtwoord senord adgangskode contrase senha parola haslo heslo jelszo lozinka salasana
    sifre codeword geslo zaporka sandi mdp unlock samlre sqlplus obscure signature
    authorization assword clave contrasenya slapta lykilor pasahitz parool wagwoord
    geheimwort losungswort palavra gangscode kodeord tunnussana parole kalim cyfrinair pasvorto
    laluan nywila nenosiri asswort assord watchword securitya
    """.split(),  # noqa: SIM905 - a table of words reads better as words
    *("de passe", "magic w", "safe word", "wallet", "phrase", "bip39", "ry_words", "ry words"),
    *_OTHER_SCRIPTS,
    *CODE_ABROAD,
    CODE,
    SPELT_PW,
    _MISSPELT,
    *_DRAWN,
)


def _not_before(*endings: str) -> bytes:
    """Write the pattern of what follows a word, whatever it is except these endings."""
    firsts = sorted({ending[0] for ending in endings})
    longer = [
        re.escape(first).encode() + _not_before(*(e[1:] for e in endings if e[0] == first))
        for first in firsts
        if first not in endings
    ]
    other = "[^" + "".join(firsts) + "]"
    return b"(?:%b)" % b"|".join((b"$", other.encode(), *longer))


def _alone(word: str) -> bytes:
    """Write the pattern of a word that tells nothing inside another: `pin`, not `mapping`.

    What is before it may be an escape of JSON, whose last character is no letter of the text.
    """
    before = rb"(?:^|[^a-zA-Z]|\\[bfnrt]|\\u[0-9a-fA-F]{4})"
    lower, title, upper = (x.encode() for x in (word, word.capitalize(), word.upper()))
    return b"(?-i:(?:%b%b|%b|%b)(?:[^a-z]|$))" % (before, lower, title, upper)


def _before_a_sign(names: list[str]) -> bytes:
    """Write the pattern of words that tell something as a name only, with a sign behind it."""
    cased = "|".join((*(x.capitalize() for x in names), *map(str.upper, names)))
    pattern = (  # not `system:serviceaccounts:shop`, which is in most lines
        rf"(?:(?-i:(?:^|[^a-zA-Z]|\\[bfnrt]|\\u[0-9a-fA-F]{{4}})(?:{'|'.join(names)})|{cased})"
        r")(?:\]|[\"'\\\x00\x01]*[ \t]*[:=])"  # or a section of an INI file
    )
    return pattern.encode()


# Needles that are looked for as patterns, because most of what holds the word is harmless: groups
# of users and of the API (`authorization.k8s.io`), and words that happen to end or begin so.
_NEEDLE_PATTERNS: Final = {
    "auth": b"auth" + _not_before("enti", "oriz"),
    "authorization": b"authorization" + _not_before(".k8s.io", ".kubernetes.io"),
    "authenticate": b"authenticate" + _not_before("d"),
    **{word: _alone(word) for word in ("psw", "pin", "puk", "otp", "dsn", "psk", "cvv")},
    **{needle: _before_a_sign(names) for needle, names in _DRAWN.items()},
    CODE: f"(?:{'|'.join(sorted(CODES))})[ _.-]?codes?(?:[^a-z]|$)".encode(),
    _MISSPELT: "|".join(sorted(MISSPELT | {"api[_.-]kye", "a[pi][_.-]?key"})).encode(),
    SPELT_PW: rb"(?:^|[^a-z0-9+/]|\\[bfnrt])p/w(?:[^a-z0-9]|$)",
    SHORT_FLAG: rb"(?:^|[\s\"'])(?:-[akpstuw][ =:\"'a-z0-9]|--cert |/r?p[: ])",
    LOGIN_AT: rb"[a-z0-9!#$^*~_-]{8}[\"']?@[a-z0-9]",
    AT_PORT: rb":[^ :@/\"]{4,64}@(?:/[a-z]|[a-z0-9.-]{1,64}:[0-9]{2})",
    ENCODED: rb"%(?:25)*(?:3[ad]|[4-7])",
    ESCAPED: rb"\\(?:u00|x)[4-7]",
    **{word: f"{word}|{re.escape(dumps(word)[1:-1])}".encode() for word in _OTHER_SCRIPTS},
    ENVIRONMENT: rb"env[a-z_-]*:[ \t]*(?:\n|\r|\\n|\\r)",
    HERE_DOCUMENT: rb"(?:<<|(?:\\u003c){2})-?[ ]?[\"'\\]{0,2}[a-z_]",
    "<<<": rb"<<<|(?:\\u003c){3}",  # as Go's JSON has them
    IN_JSON: b"(?-i:%b)" % IN_JSON.encode(),
    MAILBOX: rb"[0-9] ?=(?:>|\\u003e) ?[0-9]{4,12},",
    "on >": rb"on (?:>|\\u003e)",
    BOOTSTRAP: b"(?-i:%b(?:[^a-zA-Z0-9_.-]|$))" % _BEHIND_DOT.encode(),
    "</": rb"(?:<|\\u003c)/",
    **{
        row.needles[0]: b"(?-i:%b)" % row.needles[0].encode()
        for row in TOKEN_FORMATS
        if row.is_whole
    },
}

_SHAPES: Final = (GENERATED, MADE_UP_WORDS, LICENSES)
_LONG: Final = re.compile(r"\{(?:16|32)\}")  # what repeats so often takes a third of a scan
_LESS_LONG: Final = "{13}"  # more than a uid has between two of its signs


def _shape(words: str) -> Shape:
    source, loosely = (f"(?-i:{x})".encode() for x in (words, _LONG.sub(_LESS_LONG, words)))
    return Shape(source, loosely)


def sought_for(needle: str) -> Sought:
    """Return what a matcher looks for to find a needle."""
    if needle in _SHAPES:
        return _shape(needle)
    pattern = _NEEDLE_PATTERNS.get(needle)
    return needle.encode() if pattern is None else Pattern(pattern)
