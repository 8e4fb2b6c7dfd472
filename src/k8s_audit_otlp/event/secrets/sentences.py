"""Passwords that a sentence tells, or a line of a file or a dialogue whose format says what it is.

`the password is X`, `username bob secret 0 X`, `334 UGFzc3dvcmQ6` and an answer. A word of a
dictionary is one there, too: what stands around it leaves nothing else that it could be.
"""

import re
from string import digits
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import CODES, names_one_value, words_of
from k8s_audit_otlp.event.secrets.prefilter_needles import CODE, HERE_DOCUMENT, SPELT_PW
from k8s_audit_otlp.event.secrets.randomness import is_drawn
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step, says_credential, second, where
from k8s_audit_otlp.event.secrets.written import clauses, codes, languages
from k8s_audit_otlp.event.secrets.written.remarks import told

# By the first letter: most of a text is left after a look at it.
_OF_P = r"(?<!htp)ass(?:word|wd|phrase|code|wort|e)|(?<!\wp)ass(?![\w:])|(?<!\wp)w|wd|/w(?!\w)"
_PASSWORDS = rf"[pP](?i:{_OF_P})"
_NEEDLES_OF_CODE_WORDS = (
    *("api key", "apikey", "codeword", "code word", "magic w", "safe word", "watchword"),
    "secret word",
)
_CODE_WORDS = r"(?:(?:code|secret|magic|safe|watch)[ -]?word|api[ _-]?key)"
_LINE_NAMES = (
    r"(?:p/w|p(?:ass(?:word|wd|phrase|code|wort|e)?|wd|w|swd?)|kennwort|contrase[ñn]a|senha|mdp"
    r"|mot de passe|wachtwoord|has[łl]o|heslo|l[öo]senord|adgangskode|passord|salasana|[şs]ifren?"
    r"|(?:magic|safe|code) ?word)"
)
_IS = "(?:is|was|to|from|est|ist|war|lautet|es|era|[éè]|är|jest)"
# With a digit in it: `password is X`, `| password | X |`.
_TOLD = (
    rf"([pP](?i:{_OF_P}|(?<!htp)ass)[\"'`]?"
    rf"(?:[ \t]{{1,8}}(?:[A-Za-z]{{1,16}}[ \t]{{1,4}}){{0,3}}?(?i:{_IS})(?:[ \t]{{1,8}}|:[ \t])"
    r"|[ \t]{1,8}(?=[A-Za-z]{3,32}[0-9]{2})"
    r"|[ \t]{0,8}(?:<-|->|→|\||~|,|\t)[ \t]{0,8}(?=[\"'`]?[^\s\"'`|,]{8}))[\"'`]?)"
    r"((?=[^\s\"'`|,]{0,64}[0-9])(?=[^\s\"'`|,]{0,64}[A-Za-z])[^\s\"'`|,]{6,})"
)
# A word, or one with digits and signs behind it; then a clause ends.
_X = r"([^\W\d_](?:[^\W_]|[-!#$*+](?!\s)){4,40}!?)"
_CLAUSE_ENDS = (
    r"(?=[\"'`]?(?:[.!,;)](?:\s|\Z)|[ \t]*(?:\n|\Z)|[ \t]+(?:yesterday|today|now|until|since|for"
    r"|but|and|before|after|to|\()(?:\s|\Z)))"
)
_IS_SET = (
    r"(?:[ \t]{1,4}(?:was|is|got|has[ \t]been|have)?[ \t]{0,4}(?:re)?(?:set|changed|rotated"
    r"|updated)(?:[ \t]back)?[ \t](?:to|from)|['\u2019]s|[ \t]{1,4}(?:will|should|must)[ \t]be)"
)
_OF_WHO = r"(?:[ \t](?:for|of|to|at|on|@|pour|für|de|para)(?:[ \t][\w.@-]{1,32}){1,2}?)"
_TOLD_OF = (
    rf"(?i:{_OF_WHO}{{0,2}}(?:{_IS_SET}|[ \t]{{1,4}}{_IS}:?)|{_OF_WHO}{{1,2}}:"
    r"|\[[\w.@-]{1,32}\]:)[ \t]{1,4}[\"'`]?"
)
_TOLD_WORD = rf"({_PASSWORDS}{_TOLD_OF}){_X}(?i:{_CLAUSE_ENDS})"
_TOLD_CODE_WORD = rf"(?i)({_CODE_WORDS}{_TOLD_OF}){_X}{_CLAUSE_ENDS}"
_OF_LINES = (
    *("pass", "pw", "pwd", "psw", "pswd", SPELT_PW, "kennwort", "contrase", "senha", "mdp"),
    *(
        "wachtwoord",
        "hasło",
        "haslo",
        "heslo",
        "senord",
        "adgangskode",
        "salasana",
        "şifre",
        "sifre",
    ),
    *("magic w", "safe word", "codeword"),
)
# All of a line, with a sign or blanks between: `password -> X`, `root pw X`, `Password:`, then `X`.
_ALONE = (
    r"(?im)(^[ \t>#*(<-]{0,8}(?:(?:my|new|old|current|temp(?:orary)?|initial|default|root|admin"
    rf"|user|db|database|sudo|login|[\w.@-]{{1,32}}['\u2019]s)[ \t])?{_LINE_NAMES}(?:[ \t]{{0,8}}"
    r"(?:[-=~]{1,2}>|<-|[\u2190-\u2192\u21d2\u2013\u2014~|#;,<]|/{1,2}|\.{3}|-(?=[ \t]))[ \t]{0,8}"
    r"|[ \t]{1,16}|:?[ \t\r]*\n\s{0,16}|(?<=p/w): {1,4})[\"'`]?)"
    r"([^\W\d_][^\s\"'`:=/()|;,<>\[\]{}]{5,64})(?=[\"'`]?[)>|]?[ \t\r]*(?:\n|\Z))"
)
# Of some word that is to be used: `use X as the password`, `log in with password X`.
_USED_AS = (
    rf"(?i)(\b(?:use|try|enter|type|take|put)[ \t][\"'`]?){_X}(?=[\"'`]?[ \t](?:as|for)[ \t]"
    rf"(?:(?:the|your|my|our|a|new|its)[ \t]){{0,2}}{_PASSWORDS}\b)"
)
_USED = (
    r"(?i)(\b(?:use|try|enter|type|with|has|as[ \t]\S{1,32})[ \t](?:the[ \t])?"
    rf"{_PASSWORDS}[ \t][\"'`]?){_X}"
    r"(?=[\"'`]?(?:[.!,;)]?(?:\s*\Z|\n)|[ \t](?:to|for|on|at|and)[ \t]))"
)
# Behind a remark on it: `password (hint: a flower): X`, `password, e.g. X`, `(root, pw X)`.
_TOLD_ASIDE = (
    rf"({_PASSWORDS}(?:[ \t]?\([^()\n]{{1,48}}\)[ \t]?[:=]"
    r"|,?[ \t](?i:e\.g\.|such as|like|for example|for instance|z\. ?B\.)[:,]?"
    r"|(?=[ \t][^\s()]{4,40}\)))[ \t]{1,4}[\"'`]?)" + _X + f"(?i:{_CLAUSE_ENDS})"
)
_THE_NEW_ONE = (
    r"(?i)(\bthe (?:new|old|current|real|actual|next) one (?:is|was)[ \t]{1,4}[\"'`]?)"
    + _X
    + _CLAUSE_ENDS
)
# Accounts that are called so everywhere, and what stands behind one of them.
_WHO = (
    r"(?:root|(?:[a-z]{1,8}-)?admin(?:istrator)?|sysadmin|operator|guest|postgres|oracle|ubuntu|pi"
    r"|ec2-user|svc[\w-]{0,16}|test(?:er|user)?|demo|backup|deploy(?:er)?)"
)
_LOGS_IN_AS = (
    r"([lLsScCaA](?<!\w.)(?i:(?:(?:(?<=l)og|(?<=s)ign)[ -]?in[ \t](?:with|as|using)"
    r"|(?:(?<=c)red(?:ential)?s|(?<=l)og-?in|(?<=a)ccount)(?:[ \t](?:are|is)|:)?)[ \t]{1,4}"
    rf"{_WHO}[ \t]?(?:[/:|,][ \t]?|[ \t]and[ \t]|[ \t]with[ \t]|(?<=[ \t])))[\"'`]?)"
    rf"{_X}(?i:{_CLAUSE_ENDS})"
)
_PAIR = (
    r"(?i)(\blog-?in(?:: [\w.@-]{2,32} [/|] | (?:with|as) [\w.@-]{2,32}/)[\"'`]?)"
    + _X
    + _CLAUSE_ENDS
)
_LOGS_IN_WITH = (
    r"(\b(?i:(?:log|sign)[ -]?in with)[ \t][\"'`]?)([A-Z][a-z]{4,32}[0-9]{1,6}[!#*]?)"
    + _CLAUSE_ENDS
)
_TO_UNLOCK = (
    r"(?i)(\b(?:use|enter|type)[ \t](?P<quote>[\"'`]?))"
    r"([^\W\d_][^\s\"'`,;:/()]{4,40})"
    r"(?=[\"'`]?[ \t](?:to[ \t](?:unlock|decrypt|(?:log|sign)[ -]?in|open[ \t]the)"
    r"|(?:when|if)[ \t](?:asked|prompted)|at[ \t]the[ \t]\w{1,16}[ \t]?prompt))"
)
_ADMINISTRATED = (
    r"((?<![\w./:@-])(?:admin|root|administrator)[/:])([A-Z][a-zäöüß]{5,40}[0-9]{0,6}!?)"
    r"(?=[\s,.;)\"']|\Z)"
)
_COMBINATION = (
    r"(?i)(\b(?:safe|vault|lock|gate|door|alarm|locker)(?:'s)?[ \t]combination"
    r"(?:[ \t]is)?[ \t:=]{1,8})"
    r"(\d{1,4}(?:[- ]\d{1,4}){2,5})"
)
# One that is told before its name: `X is the password`, `use X as token`, `X  # api key`.
_TOLD_BEFORE = (
    r"(?<![^\s\"'`(])(?P<value>(?=[^\s\"'`|,()]{0,64}[0-9])(?=[^\s\"'`|,()]{0,64}[A-Za-z])"
    r"(?:[^\s\"'`|,():=]|[:=](?!\s)){6,128}+)"
    r"[\"'`]?(?:[ \t]{1,4}(?:is|was|as)|[ \t]{0,4}(?:[=:(#]|//|--|<-))[ \t]{0,4}"
    r"(?:(?:the|an?|my|your|our|this|new|old|admin|root|user|db|temporary|default)[ \t]){0,3}"
    r"(?P<name>[A-Za-z_-]{3,32}(?: key)?)"
    r"(?=[)\"'.,;!]|\s{0,8}\Z|\n|[ \t]+(?:for|of|to|on|at|in|and)\s)"
)
# In quotes, before what it is of: `value "X" of key pw`.
_OF_A_KEY = (
    r"(?P<value>\"[^\"\n]{4,256}\"|'[^'\n]{4,256}')[ \t](?:of|for|in|under)[ \t](?:the[ \t])?"
    r"(?:key|field|variable|parameter|setting|entry|env|member|property)[ \t][\"'`]?"
    r"(?P<name>[\w.-]{2,64})"
)
# What opens a door, a safe or a phone: `alarm code 4711-0`; often several of them.
_CODE_TOLD = (
    rf"(?i)(\b(?:{'|'.join(sorted(CODES))})[ _-]?codes?"
    r"(?:[ \t]{1,4}(?:is|was|are))?[ \t:=]{1,8})"
    r"((?=(?:[^\s\d]?\d){4})[\w#*-]{4,32}(?:,[ \t]{0,4}[\w#*-]{4,32})*+)"
)
# A remark, and what follows the name is all of it: `# pw X`.
_REMARK = r"(?m)((?:^|#|//|--|;)[ \t]*(?:pw|pswd|psw|pwd)[ \t]{1,8})(?![=:])(\S{6,})(?=[ \t]*$)"

# What prompts ask for: base64 of `Password:`, and two lines that are the same, as for a new one.
_OF_SMTP = (
    r"((?:334|\+) UGFzc3dvcmQ6[^\n]*\n(?:[A-Za-z>]{1,2}:?[ \t])?)([\w+/]{4,}+={0,2})(?=\s|\Z)"
)
_OF_SASL = (
    r"(\b(?i:AUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5))[ \t]{1,4})"
    r"(?=[\w+/=]{8})(?=[a-z]*[A-Z0-9+/=])([\w+/]+={0,2})"
)
_ASKED_TWICE = (
    r"(<<-?[ ]?[\"']?(?P<end>\w{1,16})[\"']?[^\n]{0,128}\n)"
    r"([ \t]*([^\n]{4,256})\n[ \t]*\4)(?=\n[ \t]{0,8}(?P=end)\b)"
)


def _is_told(name: str, value: str) -> bool:
    if not names_one_value(name):
        return False
    words = words_of(name)
    return words[-1].startswith("pass") or is_drawn(value)


def _to_unlock(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what unlocks something and is no program: in quotes, or with a digit in it."""
    is_one = match["quote"] or any(map(str.isdigit, match[3]))
    return match[1] + replacement(match[3]) if is_one else match[0]


def _asked(replacement: Replacement, match: re.Match[str]) -> str:
    return match[1] + replacement(match[3])


_PIN = (
    r"(\b(?:PIN|PUK|T?OTP|(?i:one[ -]time[ -](?:pass(?:word|code)))|(?i:pin)"
    r"(?=[ \t](?:is|was|ist|est|es)\b))(?:[ \t](?:is|was|ist|est|es))?[ \t]{1,4})"
    r"(\d{4,12})(?!\S)"
)

STEPS: Final[tuple[Step, ...]] = (
    Step(("ugfzc3dvcmq6",), _OF_SMTP, second),
    Step(("auth",), _OF_SASL, second),
    Step((HERE_DOCUMENT,), _ASKED_TWICE, _asked),
    Step((), _TOLD, second, digits),
    Step(
        (),
        _TOLD_WORD,
        told,
        (": ", " is", " wa", " to", " fr", " es", " l", " é", " è", " be", "'s", "\u2019s"),
    ),
    Step(_NEEDLES_OF_CODE_WORDS, _TOLD_CODE_WORD, told),
    Step((), _TOLD_ASIDE, told, ("(", "e.g.", " like ", "such as", "instance", "example", ")")),
    Step(_OF_LINES, _ALONE, told),
    Step(("pass", "pw", "pwd"), _USED_AS, told, (" as ", " for ")),
    Step(
        ("pass", "pw", "pwd"),
        _USED,
        told,
        ("use ", "try ", "nter ", "ype ", "ith ", "as ", "Use ", "Try "),
    ),
    Step((), _LOGS_IN_AS, told, ("cred", "Cred", "account")),
    Step((), _THE_NEW_ONE, told, (" one ",)),
    Step(("login", "log in", "log-in", "sign in", "sign-in"), _LOGS_IN_AS, told),
    Step(("login",), _PAIR, told, (" / ", " | ", "/")),
    Step(("login ", "log in ", "log-in ", "sign in ", "sign-in "), _LOGS_IN_WITH, second),
    Step(
        ("unlock", "decrypt", "login", "log in", "sign in", "prompt", "open the"),
        _TO_UNLOCK,
        _to_unlock,
    ),
    Step(("admin/", "root/", "administrator/", "admin:", "root:"), _ADMINISTRATED, second),
    Step(("combination",), _COMBINATION, second, digits),
    Step((CODE,), _CODE_TOLD, second, digits),
    Step((), _TOLD_BEFORE, where(_is_told), digits),
    Step((), _OF_A_KEY, where(says_credential), "\"'"),
    Step(("pw", "pswd", "psw", "pwd"), _REMARK, second, " \t"),
    Step(("pin", "puk", "otp", "pass"), _PIN, second, digits),
    *languages.STEPS,
    *clauses.STEPS,
    *codes.STEPS,
)
