"""Passwords that a clause tells: who logs in with what, what a word is, what happened to it.

`log in as bob with X`, `her login is jane, then X`, `pw X still works`, `wifi in the dock: X`. A
clause is found by its noun or its verb; the word at its place is a password unless it is a remark.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import names_one_value, words_of
from k8s_audit_otlp.event.secrets.randomness import looks_drawn
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step
from k8s_audit_otlp.event.secrets.written.remarks import OF_A_SENTENCE, is_remark, told

# By the first letter: most of a text is left after a look at it.
_NOUN: Final = (
    r"[pPaA](?<!\w.)(?i:(?<=p)(?:ass(?:[ -]?(?:word|phrase|code|key)|wd|wort)|wd|w|swd?|/w)"
    r"|(?<=a)pi[ _-]?key)(?!\w)"
)
_X: Final = r"([^\W\d_](?:[^\W_]|[-!#$*+@.](?=\w)){5,48}[!#$*]?)"
# Of what, where and for whom it is: `for the jump host`, `on staging`.
_ABOUT: Final = r"(?:[ \t](?:for|of|to|on|at|in|from|behind)(?:[ \t][\w.@'-]{1,32}){1,3}?)"
_BEHIND: Final = (
    r"(?=[\"'`)]{0,2}(?:[.!?,;)](?:\s|\Z)|[ \t]*(?:\r?\n|\Z)|[ \t]{1,4}[-\u2013\u2014(]"
    r"|[ \t]{1,4}(?:and|but|or|then|for|on|at|in|from|of|to|if|when|until|since|before|after|again"
    r"|twice|now|instead|everywhere|was|is|still|works?|worked|never|failed|rejected|denied|refused"
    r"|accepted|by|added|created)(?![\w-])))"
)
_IS: Final = (
    r"(?:[ \t]{1,3}(?:(?:should|will|would|must|used[ ]to|has|had|have)[ ])?"
    r"(?:is|are|was|were|be(?:en)?|reads?|remain(?:s|ed)|stay(?:s|ed)|bec[ao]mes?|equals|says)"
    r"(?:[ ](?:now|still|just|simply|currently|always|actually|again|only|\(\w{2,12}\)"
    r"|(?:re)?(?:set|changed)[ ](?:back[ ])?to))?[:,]?[ \t]{1,3}[\"'`]?)"
)
_SHARED: Final = (
    r"[pPsScC](?<!\w.)(?i:(?<=p)sk|(?:(?<=p)re-?s|(?<=s))hared[ -](?:secret|key)"
    r"|(?<=c)ommunity[ ]string|(?<=c)lient[ ]secret)(?!\w)"
)
_STATED: Final = (
    rf"((?:{_NOUN}|{_SHARED})(?:{_ABOUT}?(?:{_IS}|[ ](?:is[ ])?(?:set|changed|rotated|generated)"
    rf"(?:[ ]to)?:[ ]|[ ]mismatch:[ ](?:expected|got|want(?:ed)?|have)[ ][\"'`]?|[ ]again:[ ])"
    rf"|{_ABOUT}[ ]?[:=][ ]|(?:(?<=[pP][wW])|(?<=[pP][wW][dD]))[ @]\[?[\w.@-]{{2,24}}\]?:[ ])"
    rf"[\"'`]?){_X}{_BEHIND}"
)
# Set off by signs: `the password, X, is on the wall`.
_SET_OFF: Final = (
    rf"((?<=[eyrsEYRS][ ]){_NOUN}(?:,|[ ][-\u2013\u2014])[ ][\"'`]?){_X}"
    r"(?=[\"'`]?(?:,|[ ][-\u2013\u2014])[ ])"
)
# Right behind its name: `bad pw X for eve`, `pw X works on both`.
_RIGHT_BEHIND: Final = (
    rf"({_NOUN}[ \t]{{1,3}}[\"'`(]{{0,2}}){_X}(?:(?=[\"'`)]{{0,2}}[ ](?:(?:still|never)[ ])?"
    r"(?P<works>works?|worked|expire[sd]|leak(?:s|ed)|opens?|opened|unlocks?"
    r"|(?:does|did|do)(?:n't|[ ]not)|no[ ]longer|got[ ]"
    r"|was[ ](?:rejected|accepted|refused|leaked|wrong|used|revoked|not[ ])))"
    rf"|{_BEHIND})"
)
_HAPPENED: Final = re.compile(
    r"(?i)(?<!\w)(?:bad|wrong|invalid|incorrect|reject(?:s|ed)|refused|failed|tr(?:ied|ies|ying)|got"
    r"|sen[dt]s?|us(?:ed|es|ing)|g[ai]ven?|gives|supplied|received|leaked|saw|has|had|with|set"
    r"|expected|generated|checking|comparing|validating|verify|sa|bios|vnc|zip|archive|console|uefi"
    r"|(?:argocd|mysql|postgres|redis|db|jenkins|gitlab|grafana|nexus|vault|bind|router|switch"
    r"|vpn|ssh|wifi|network|hotspot|staging|prod(?:uction)?|dev|smtp|mail|ftp|disk|luks|ssh key)"
    r"(?: (?:root|admin|user))?|(?:gave|give|sent|told|got) \w{2,16}(?= the )|dn \S{3,32},"
    r"|and(?= (?:the|his|her|their|my) )"
    r"|(?<!user)(?<!users)(?<!name)(?<!login)(?<!mail) and)[ ]"
    r"(?:the |an? |his |her |their |my )?\Z"
)
_LONGEST_LEAD: Final = 24  # characters
_OWNED: Final = re.compile(r"(?i)(?<!\w)(?:(?:the|my|our|his|her|their|your)|\w{1,20}'s) \Z")
_SET_TO: Final = (
    r"([sSrRcCuU](?<!\w.)(?i:(?<=s)et|(?<=r)eset|(?<=c)hang(?:e|ed|ing)|(?<=r)otat(?:e|ed|ing)"
    r"|(?<=u)pdat(?:e|ed|ing))[ ]"
    r"(?:it|them|(?:(?:the|my|our|his|her|their|\w{1,24}'s)[ ])?(?:\w{1,16}[ ]){0,2}?"
    rf"(?P<named>{_NOUN}|secret|token))[ ](?:back[ ])?(?:to|as)[ ][\"'`]?)"
    rf"([A-Za-z0-9](?:[^\W_]|[-!#$*+@.](?=\w)){{5,48}}[!#$*]?){_BEHIND}"
)
# Before what it is: `"X" is the password`, `X works as password`, `with X as the password`.
_BEFORE: Final = (
    r"((?:(?m:^)|[.;:!?][ ]|[\"'`]|(?:(?<=[wW]ith)|(?<=[uU]ses)|(?<=[uU]sed)|(?<=using)"
    rf"|(?<=xpected))[ ])){_X}"
    r"(?=[\"'`]?[ ](?:is|was(?:[ ](?:accepted|used))?(?:[ ]as)?|works?[ ]as|worked[ ]as|as)"
    rf"(?:[ ](?:the|my|his|her|our|their|your|a))?(?:[ ](?:new|old|admin|root|db))?[ ]{_NOUN}"
    r"(?:[.,;:!?)\"']|[ \t]*(?:\r?\n|\Z)|[ ](?:for|of|on|in|at|to|and|but|now|since|until)[ ]))"
)
# Who logs in, and with what. An account of any name; what is behind it ends the clause.
_WHO: Final = r"(?:(?:the[ ])?(?:user(?:name)?|account)[ ])?[\"'`]?(?P<who>[\w.@\\-]{2,48})[\"'`]?"
_AND: Final = (
    r"(?:[ ]?[/:|+&][ ]?|,?[ ](?:and|with|using|then|plus|and[ ](?:then|with)|und|et|ed?|y|i)"
    rf"[ ]|,[ ])(?:(?:the[ ])?{_NOUN}[ ])?[\"'`]?"
)
_LOGS_IN: Final = (
    r"([lLsSgGcCaArRkKbB](?<!\w.)(?i:(?:(?<=l)og(?:ged|s|ging)?|(?<=s)ign(?:ed|s|ing)?|(?<=s)sh"
    r"|(?<=g)[oe]t?)[ -]?(?:in|on)(?:to)?"
    r"|(?<=c)onnect(?:ed|s|ing)?|(?<=r)dp|(?<=k)init|(?<=b)ind|(?<=a)uth(?:enticat\w{1,4})?)"
    rf"(?:[ ](?:to|at|on)(?:[ ][\w.-]{{1,32}}){{1,2}}?)?[ ](?:with|as|using|via)[ ]{_WHO}{_AND})"
    rf"{_X}{_BEHIND}"
)
_TO_LOG_IN: Final = (
    rf"([utUT](?<!\w.)(?i:(?<=u)se|(?<=t)ry)[ ]{_WHO}{_AND}){_X}"
    r"(?=[\"'`]?[ ](?:to|for)[ ](?:the[ ])?(?i:log|sign)[ -]?(?:in|on)\b)"
)
_ACCOUNT: Final = (
    r"([dDfFiItTaAcClLuUzZ](?<!\w.)(?i:(?:(?<=d)efault|(?<=f)actory|(?<=i)nitial|(?<=t)est|(?<=d)emo"
    r"|(?<=t)emp(?:orary)?|(?<=a)dmin)[ ]"
    r"(?:creds?|credentials|log-?in|logon|account|user)(?:[ ](?:is|are|was|were)|:)?"
    rf"|(?:(?<=c)red(?:s|entials)?|(?<=l)og-?in|(?<=l)ogon|(?<=u)/p|(?<=u)ser/pass(?:word)?"
    r"|(?<=z)ugangsdaten|(?<=a)nmeldung|(?<=i)dentifiants?|(?<=c)reden(?:ciales|ziali))"
    rf"{_ABOUT}?(?:[ ](?:is|are|was|were|sind|ist|mit|son|sono|sont)|:|(?<=u/p)))[ \t]{{1,3}}{_WHO}"
    rf"(?:{_AND}|(?:(?<=admin)|(?<=root))[ ])){_X}{_BEHIND}"
)
_FAILED: Final = (
    r"([lLaAbBdD](?<!\w.)(?i:(?<=l)og(?:-?in|on)|(?<=a)uth|(?<=b)asic|(?<=d)igest)[ ]"
    r"(?:(?:failed|failure|error|denied|refused|rejected|tried|attempt)(?:[ ](?:for|of|by|from))?)?"
    rf":?[ ]?{_WHO}(?::|[ ]with[ ]|[ ](?=\S{{4,48}}[ ](?:failed|refused|rejected|accepted)\b)))"
    rf"{_X}{_BEHIND}"
)
_ATTEMPT: Final = rf"(\battempt:?[ ]\[?{_WHO}[ ]?/[ ]?){_X}(?=[\s\]]|\Z)"
# Of whom there is one everywhere: `root / X`.
_OF_ADMINISTRATOR: Final = (
    r"([rRaA](?<![\w./:@-].)(?<!/[ ].)(?i:(?<=r)oot|(?<=a)dmin(?:istrator)?)"
    rf"[ ]/[ ][\"'`]?){_X}(?![ ]/){_BEHIND}"
)
# What a network, a hint or an answer opens: `wifi in the dock: X`, `first pet? X`.
_NETWORK: Final = (
    r"([wWhH](?<!\w.)(?i:(?<=w)i-?fi|(?<=w)lan|(?<=h)otspot)"
    r"(?:[ ](?:key|pass(?:word|phrase)?|psk|pw|code))?"
    rf"{_ABOUT}?(?:[ ](?:here|is|was)){{0,2}}[ \t]?(?::|(?<= is)|(?<= was)|(?<=word)|(?<=key)"
    rf"|(?<=psk)|(?<=phrase)|(?<=pass)|(?<=pw)|(?<=code))[ \t]{{1,3}}[\"'`]?){_X}{_BEHIND}"
)
_ANSWERED: Final = (
    r"(?i)(\b(?:(?:security|secret|recovery)[ ](?:question|answer)s?|maiden[ ]name|first[ ]pet)"
    r"[^\n?:]{0,48}?(?:[?:]|[ ](?:is|was)[ ])"
    rf"(?:[^\n?]{{4,48}}\?)?[ \t]{{0,3}}[\"'`]?)(?<=[\s\"'`]){_X}{_BEHIND}"
)
# Of words: as many as nobody says behind such a name. What is said of them may follow.
_PHRASE: Final = (
    r"(?i)(\b(?:(?:pass|sesame)?[ _-]?phrase|mnemonic|bip39|seed(?:[ _-](?:phrase|words?))?"
    r"|(?:recovery|backup|wallet|secret|magic|three|four|five|six|seven|eight|twelve|\d{1,2})"
    rf"[ _-]words?){_ABOUT}?(?:{_IS}|[ \t]{{0,2}}[:=]?[ \t]{{1,3}}[\"'`]?))"
    r"((?:[a-z]{3,10}(?:[ \t]|,[ \t])){2,24}+[a-z]{2,10}(?![\w'-]))"
)
_SAID_OF_WORDS: Final = re.compile(
    r"(?i)[ ,](?:opens?|unlocks?|works?|accepted|rejected|refused|was|is|were|are|in|on)(?: .*)?\Z"
)
_FEWEST_WORDS: Final = 3
# A name, a word and what is said of it: `clientSecret: X does not match`.
_COMPARED: Final = (
    r"(:[ ])([^\W\d_][\w!#$*+@-]{5,48})"
    r"(?=[ ](?:(?:does|did|do|is|was|are)(?:n't|[ ]not)\b|(?:is|was)[ ](?:wrong|incorrect|invalid"
    r"|refused|rejected|revoked|denied|expired|leaked|unknown)|mismatch|no[ ]longer|has[ ]been))"
)
_NAME_BEFORE: Final = re.compile(r"(?<![\w.-])([\w.-]{2,64})[\"']?\Z")
_NO_PASSWORDS: Final = frozenset(
    """
    kubectl psql sudo kubernetes keycloak github google gitlab okta azure certificate certificates
    restart retry delete remove inspect update reload verify execute deploy reboot report repeat
    however though therefore moreover meanwhile otherwise offline online flaky patchy access
    editor editors viewer viewers developer developers member members owner owners reader readers
    tester testers support auditor auditors maintainer reporter operators guests managers system
    enterprise cluster network public developer integer object number boolean bytes console portal
    someone everybody others cookies browser chrome firefox powershell putty docker podman windows
    """.split()  # noqa: SIM905 - a table of words reads better as words
)


def _told(replacement: Replacement, match: re.Match[str]) -> str:
    value = match[match.lastindex or 0]
    said = value.rstrip(".,").lower() in _NO_PASSWORDS
    return match[0] if said else told(replacement, match)


def _before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - _LONGEST_LEAD) : match.start()]


def _is_short(match: re.Match[str]) -> bool:
    """Tell `vpn pw X` at the end of a clause, whose name is no word of a sentence."""
    words = _before(match).split()
    ends = match.string[match.end() : match.end() + 1] in ("", ",", ".", ";", "\n")
    is_short = match[1].strip(" \t\"'`(").lower() in ("pw", "pwd", "psw", "passphrase")
    return ends and is_short and not (words and words[-1].lower() in OF_A_SENTENCE)


def _right_behind(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what does something as only a password does, or what something was done with."""
    is_one = match["works"] or _HAPPENED.search(_before(match)) or _is_short(match)
    if not is_one or is_remark(match[2]) or match[2].lower() in _NO_PASSWORDS:
        return match[0]
    return match[1] + replacement(match[2])


def _set_off(replacement: Replacement, match: re.Match[str]) -> str:
    return _told(replacement, match) if _OWNED.search(_before(match)) else match[0]


def _set(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what something was set to: of what nobody says, only what looks drawn."""
    is_one = match["named"] or looks_drawn(match[match.lastindex or 0])
    return _told(replacement, match) if is_one else match[0]


def _pair(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask what stands behind who logs in; a remark is neither."""
    who = match["who"].partition("@")[0]
    said = is_remark(who) and who.lower() not in ("user", "username", "test")
    return match[0] if said else _told(replacement, match)


def _phrase(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask words of which none is said in a sentence, up to what is said of them."""
    said = _SAID_OF_WORDS.search(match[2])
    phrase = match[2][: said.start()] if said else match[2]
    words = phrase.replace(",", " ").split()
    remarks = sum(map(is_remark, words))  # a word may happen to end as one
    sentence = 3 * remarks > len(words) or not OF_A_SENTENCE.isdisjoint(map(str.lower, words))
    if len(words) < _FEWEST_WORDS or sentence:
        return match[0]
    return match[1] + replacement(phrase) + match[2][len(phrase) :]


def _compared(replacement: Replacement, match: re.Match[str]) -> str:
    start = match.start()
    name = _NAME_BEFORE.search(match.string, max(0, start - 66), start)
    words = words_of(name[1]) if name else ()
    if not name or not (len(words) > 1 or words[:1] == ("password",)):
        return match[0]
    return _told(replacement, match) if names_one_value(name[1]) else match[0]


_AMONG: Final = ("pass", "pw", "pwd", "psw", "p/w")
_API_KEYS: Final = ("api key", "api-key", "apikey")
_OF_WORDS: Final = (
    *("three words", "four words", "five words", "six words", "twelve words", "y words", "p words"),
    *("words are", "words were", "words:", "seed", "mnemonic", "phrase", "bip39"),
)
_LOGIN: Final = (
    *("login", "logon", "log in", "log on", "log-in", "logged in", "logs in", "sign in", "sign on"),
    *("sign-in", "signed in", "ssh in", "connect as ", "connected as ", "connect with ", "auth"),
    *("authenticate", "rdp as ", "kinit as ", "bind as "),
)
_ACCOUNTS: Final = (
    *("cred", "login", "logon", "log-in", "u/p ", "u/p:", "user/pass", "default account"),
    *("default user", "zugangsdaten", "anmeldung", "identifiant", "credenciales", "credenziali"),
)
STEPS: Final[tuple[Step, ...]] = (
    Step(
        (),
        _STATED,
        _told,
        (" is", " was", " are", " be", " read", " remain", " stay", " equals", " says", ": "),
    ),
    Step((*_AMONG, *_API_KEYS), _SET_OFF, _set_off, (", ", " - ", " \u2013 ", " \u2014 ")),
    Step((*_AMONG, "secret", "token", "set it to", "ed it to"), _SET_TO, _set, (" to ", " as ")),
    Step((*_AMONG, *_API_KEYS), _RIGHT_BEHIND, _right_behind, " "),
    Step(_AMONG, _BEFORE, _told, (" is ", " as ", " was ")),
    Step(_LOGIN, _LOGS_IN, _pair, " "),
    Step(("log in", "login", "log on", "logon", "sign in"), _TO_LOG_IN, _pair, ("use ", "try ")),
    Step(_ACCOUNTS, _ACCOUNT, _pair, " "),
    Step(("login", "logon", "log-in", "auth", "basic"), _FAILED, _pair, " "),
    Step(("attempt [", "attempt: ", "n attempt "), _ATTEMPT, _pair),
    Step(("root / ", "admin / "), _OF_ADMINISTRATOR, _told),
    Step(("wifi", "wi-fi", "wlan", "hotspot"), _NETWORK, _told, " "),
    Step(
        ("y question", "y answer", "secret question", "secret answer", "maiden name", "first pet"),
        _ANSWERED,
        _told,
        " ",
    ),
    Step(_OF_WORDS, _PHRASE, _phrase),
    Step(
        (),
        _COMPARED,
        _compared,
        (" not ", "n't ", " is ", " was ", " mis", " no ", " has "),
    ),
)
