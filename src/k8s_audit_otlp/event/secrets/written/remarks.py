"""What is said about a credential, instead of being one: `the password is expired`.

A word of a dictionary is a credential only where what stands around it leaves nothing else that it
could be, and where it is no word of these.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import KeyVerdict, is_reference, judge
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.values import NOTHING, PLACEHOLDER
from k8s_audit_otlp.event.secrets.written.phrases import PHRASE, is_phrase, names_phrase

_ENDINGS: Final = re.compile(
    r"[\w'-]*(?:ed|ing|able|ible|ly|ent|ant|ory|ary|ive|al|ous|ful|less|ic|own|tion|ment|ance|ence"
    r"|ity|ness)s?"
)
_ABOUT_ONE: Final = frozenset(
    """
    above across again against age anew another anything anyway apikey attack attempt attempts auth
    bad bar base64 based basic bearer below best better blank box breach broken cache callback
    challenge change changes check checker checks chosen clear combo complex complexity config
    conflict context cookie cookies correct count credential credentials criteria daily data db
    default dialog does dump else email enough entries entry eof error errors exit expire expires
    fail failed fails failure failures field file files fine flag flow forbidden forever forgotten
    form format forms frozen generator given good grant gssapi guess hash hashes helper here hidden
    hint hints history hook hostbased implicit in incorrect input insecure instead internal issue
    issues it jwt keeper kerberos key keyboard keys later ldap leak leaks length level lifetime
    limit line link list lists logic login logins logon logout long longer lookup lost malformed
    manager mask match mechanism method mine mismatch missing mode module monthly must name needs
    never new next none nothing now null oauth oauth2 of often oidc okay old only open option or otp
    out override overrides page panic part pass passcode passphrase passwd password passwords phrase
    pin plain plaintext please plugin policies policy pool private prompt prompts property proxy
    publickey pwd rate ready realm record recover recovery refresh refused reset resets retry review
    right rotate rule rules safe same saml scheme screen script secret secrets secure sent server
    service session setting settings setup short shorter simple site someone something soon spec
    spent spray stale state status stdin step steps still stolen store stores strength string strong
    success summary sync table taken team test tests text that them there these this through timeout
    today together token tokens tomorrow too true twice type unclear undefined unexpected unique
    unknown unset until usage use used user username users utf8 valid value values vault version
    warning weak weekly what window with word words worse written wrong yesterday your yours
    falsch leer inválido inválida invalido invalida invalide incorrecto incorrecta incorreto
    incorreta erroné erronée errata errato expiré expirée caducada vencida requise requis requerida
    obligatorio obligatoire ungültig abgelaufen fehlt nötig nieprawidłowe błędne wymagane verkeerd
    onjuist verplicht ongeldig felaktigt forkert väärin неверный неправильный истёк обязателен
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
_LONGEST_PHRASE, _MANY_WORDS = 256, 4  # characters; words of what is no clause under any name
SHORTEST_WORD: Final = 6  # letters of one that a message may state
# Before a name of a password they make a sentence, in which a word behind it tells of it.
OF_A_SENTENCE: Final = frozenset(
    """
    a an the my your our their his her its this that no not any each new old wrong invalid bad good
    with without and or of for to from by in on at is was be reset change changed forgot forgotten
    missing need needs ever rotate show service verify enter encrypted plain same strong weak use
    using require requires root's their's set-up every default temporary are as has have via uses
    must should can cannot could will would if when then than but so enters gets sets
    """.split()  # noqa: SIM905 - a table of words reads better as words
)


_BESIDE: Final = frozenset("user login port db database role account realm".split())  # noqa: SIM905
# Of several words, without a digit: `client_secret`, not `hunterpass`, which is one.
_NAME: Final = re.compile(r"[A-Za-z]+(?:[_.-][A-Za-z]+)+|[a-z]+(?:[A-Z][a-z]+)+")

_REASON: Final = re.compile(
    r"(?:[A-Z][a-z]{1,16}){1,6}(?:Found|Error|Exception|Failure|Timeout|Mismatch|Missing|Denied"
    r"|Exists|Expired|Invalid|Providers?|Unavailable|Ready|Failed)|(?:Una|A)uthorized|Forbidden"
    r"|(?:Invalid|Unknown|Missing|Expired)(?:[A-Z][a-z]{1,16}){1,6}"
    r"|(?:invalid|unauthorized|unsupported|access|insufficient)_[a-z]{4,16}"
)


def is_remark(word: str) -> bool:
    """Tell a word that is said of a credential, names it or stands for it."""
    plain = word.strip("\"'`").rstrip(".!?,;:)]}>")
    bare = plain.lower()
    if bare in _ABOUT_ONE or bare in NOTHING or bare in OF_A_SENTENCE or _ENDINGS.fullmatch(bare):
        return True
    is_name = plain.isascii() and _NAME.fullmatch(plain) and judge(plain) is KeyVerdict.CREDENTIAL
    return bool(is_name) or is_reference(bare) or PLACEHOLDER.fullmatch(word) is not None


def is_reason(word: str, *, alone: bool) -> bool:
    """Tell what programs call a failure: `cannot get token: NotFound`; *alone*: also of a word."""
    word = word.rstrip(",.;:)]")
    if _REASON.fullmatch(word):
        return True
    return alone and word.istitle() and word.isalpha() and is_remark(word)


def begins_a_member(words: str) -> bool:
    """Tell a value and the next name, `X, user:`, from two words of a clause."""
    value, _, name = words.partition(" ")
    if not name.endswith(":") or len(value) < SHORTEST_WORD or is_remark(value):
        return False
    name = name[:-1]
    return name.lower() in _BESIDE or is_reference(name) or judge(name) is KeyVerdict.CREDENTIAL


def is_phrase_line(text: str, start: int, name: str) -> bool:
    """Tell a phrase that is all of a line, whose words are none that are said of a credential."""
    phrase = PHRASE.match(text, start, start + _LONGEST_PHRASE)
    if phrase is None or text[phrase.end() : phrase.end() + 1] not in ("", "\n", "\r"):
        return False
    words = re.split(r"\W+", phrase[0])
    is_one = (names_phrase(name) or len(words) >= _MANY_WORDS) and is_phrase(phrase[0])
    return is_one and not any(map(is_remark, words))


def told(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace the last group, which ends the match, unless it is a remark."""
    value = match[match.lastindex or 0]
    if is_remark(value):
        return match[0]
    return match[0][: -len(value)] + replacement(value)
