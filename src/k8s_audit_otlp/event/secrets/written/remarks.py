"""What is said about a credential, instead of being one: `the password is expired`.

A word of a dictionary is a credential only where what stands around it leaves nothing else that it
could be, and where it is no word of these.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import is_reference, judge
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.values import NOTHING, PLACEHOLDER

_ENDINGS: Final = re.compile(
    r"[\w'-]*(?:ed|ing|able|ible|ly|ent|ant|ory|ary|ive|al|ous|ful|less|ic|own|tion|ment|ance|ence"
    r"|ity|ness)s?"
)
_ABOUT_ONE: Final = frozenset(
    """
    above across again against age anew another anything anyway attack attempt attempts auth bad
    bar based base64 basic below best better blank box breach broken cache challenge change changes
    check checker checks chosen clear combo complex complexity config context conflict correct count
    criteria daily data db default dialog does dump else email enough entries entry eof error errors
    exit expire expires fail failed fails failure failures field file files fine flag flow forbidden
    forever forgotten form format forms frozen generator given good grant guess hash hashes helper
    here hidden hint hints history in incorrect input insecure instead internal issue issues it
    keeper key keys later leak leaks length level lifetime limit line link list lists login logins
    logic logon logout long longer lookup lost malformed manager mask match mechanism method mine
    mismatch missing mode module monthly must name needs never new next none nothing now null of
    often okay old only open option or out page panic part phrase plain plaintext please plugin
    policies policy pool private prompt prompts property proxy rate ready realm record recover
    recovery refused reset resets retry review right rotate rule rules safe same scheme screen
    script secret secrets secure sent server service session setting settings setup short shorter
    simple site someone something soon spec spent spray stale state status step steps stdin still
    stolen store stores strength string strong success summary sync table taken team test tests text
    that them there these this through timeout today together token tokens tomorrow too true twice
    type unclear undefined unique unexpected unknown unset until usage use used user username users
    utf8 valid value values vault version warning weak weekly what window with word words worse
    written wrong yesterday your yours
    publickey keyboard kerberos gssapi hostbased saml ldap oidc oauth refresh implicit
    falsch leer unknown inválido inválida invalido invalida invalide incorrecto incorrecta
    incorreto incorreta incorrect erroné erronée errata errato expiré expirée caducada vencida
    requise requis requerida obligatorio obligatoire ungültig abgelaufen fehlt nötig nieprawidłowe
    błędne wymagane verkeerd onjuist verplicht ongeldig felaktigt forkert väärin
    неверный неправильный истёк обязателен
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
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


def is_remark(word: str) -> bool:
    """Tell a word that is said of a credential, names it or stands for it."""
    bare = word.strip("\"'`").rstrip(".!?,;:)]}>").lower()
    if bare in _ABOUT_ONE or bare in NOTHING or bare in OF_A_SENTENCE or _ENDINGS.fullmatch(bare):
        return True
    return is_reference(bare) or bool(judge(bare)) or PLACEHOLDER.fullmatch(word) is not None


def told(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace the last group, which ends the match, unless it is a remark."""
    value = match[match.lastindex or 0]
    if is_remark(value):
        return match[0]
    return match[0][: -len(value)] + replacement(value)
