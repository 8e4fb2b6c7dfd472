"""Numbers that open something, and digests of passwords: `the pin for the safe is 48-11-73`."""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.prefilter_needles import CODE
from k8s_audit_otlp.event.secrets.replacement import Replacement
from k8s_audit_otlp.event.secrets.substitution_steps import Step, second

_D: Final = (
    r"(?!(?:19|20)\d\d-)([#*]?\d(?:[ -]?\d){3,15}[#*]?)(?![\w:%/]|[.-]\w"
    r"|[ ](?:times|bytes|seconds|minutes|hours|days|users|requests|attempts|[kmg]i?b|ms)\b)"
)
_ABOUT: Final = r"(?:[ \t](?:for|of|to|on|at|in)(?:[ \t][\w.@'-]{1,24}){1,3}?)?"
_IS: Final = (
    r"(?:[ \t]{0,2}[:=]|[ \t](?:is|was|are|were|will[ ]be|reads|ist|est))?(?:[ \t](?:now|still))?"
    r"[ \t]{1,3}[\"'`]?"
)
_PIN: Final = (
    r"([pPoOtTcC](?<!\w.)(?i:(?<=p)in(?:[ -]?code)?|(?<=p)uk|(?<=p)asscode|(?<=o)tp|(?<=t)otp"
    r"|(?<=o)ne[ -]time[ -](?:pass(?:word|code)?|code|pin|number)|(?<=c)omb(?:o|ination))"
    rf"{_ABOUT}(?:{_IS}|[ ]mismatch:[ ](?:got|expected)[ ])){_D}"
)
_CODE: Final = rf"([cC](?<!\w.)(?i:ode){_ABOUT}{_IS}){_D}"
_OF_CODES: Final = re.compile(
    r"(?i)(?<!\w)(?:sms|mfa|[2t]?fa|t?otp|log-?in|access|parental|security|verification|activation"
    r"|unlock|entry|door|gate|alarm|voicemail|conference|meeting|sign-?in|your)[ _-]\Z"
)
_LONGEST_LEAD: Final = 16  # characters
_OPENS: Final = (
    r"([oOuUdDaA](?<!\w.)(?i:(?<=o)pen(?:s|ed)?|(?<=u)nlock(?:s|ed)?|(?<=d)isarm(?:s|ed)?"
    r"|(?<=a)rm(?:s|ed)?|(?<=o)ff)(?:[ ](?:it|the[ ]\w{1,16}))?"
    rf"[ ](?:with|by|using)(?:[ ](?:the|code|pin|number|combination)){{0,2}}[ ]){_D}"
)
_TYPED: Final = (
    r"([eEtTdDkKpPuU](?<!\w.)(?i:(?<=e)nter|(?<=t)ype|(?<=d)ial|(?<=k)ey[ ]in|(?<=p)ress"
    rf"|(?<=p)unch[ ]in|(?<=u)se)[ ](?:code[ ])?){_D}"
    r"(?=[ ](?:at|on|to|as|into|for)(?:[ ](?:the|your))?[ ](?i:keypad|door|gate|safe|alarm|unlock"
    r"|open(?=[ ](?:it|the|up)|[.,!]|[ \t]*(?:\n|\Z))|code|pin|disarm|get[ ]in|log[ ]in|sign[ ]in))"
)
_YOURS: Final = (
    rf"((?<![\w.:-])){_D}(?=[ ](?:is|as)[ ](?:your|the|my|our)[ ](?:[\w-]{{1,16}}[ ])"
    r"{0,2}?(?i:code|otp|pin|passcode|combination|one[ -]time[ -]password)\b)"
)
_BEHIND: Final = (
    r"([kKsSlLpPdD](?<!\w.)(?i:(?<=k)eypad|(?<=s)afe|(?<=l)ocker|(?<=p)adlock|(?<=d)oor)"
    rf"(?:[ ]\d{{1,4}})?{_ABOUT}"
    rf"(?:[ ]combination)?(?::|[ ](?:is|takes|wants|combination))[ ]{{1,3}}){_D}"
)
_DIGEST: Final = (
    r"([nNlLkKsSmMpP](?<!\w.)(?i:(?<=n)et-?ntlm(?:v2)?|(?<=n)tlm(?:v2)?|(?<=n)t|(?<=l)m"
    r"|(?<=k)rbtgt|(?<=s)hadow|(?<=l)ogin|(?<=m)ysql|(?<=p)w|(?<=p)ass(?:word|wd))"
    rf"[ _-]?(?i:hash(?:es)?){_ABOUT}{_IS})([0-9a-f]{{32,128}}|[0-9A-F]{{32,128}})(?![\w-])"
)


def _code(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask a code of what opens something, not of an error or an exit."""
    before = match.string[max(0, match.start() - _LONGEST_LEAD) : match.start()]
    return second(replacement, match) if _OF_CODES.search(before) else match[0]


_CODES: Final = (
    *(CODE, "your code", "sms code", "mfa code", "2fa code", "login code", "access code"),
    *("parental code", "conference code", "meeting code", "otp code"),
)
_PINS: Final = (
    *("pin", "puk", "otp", "totp", "combination", "combo ", "combo:", "passcode", "one-time"),
    "one time",
)
_OPENING: Final = ("opens with", "open with", "opened with", "unlock", "disarm", "off with")
_AT: Final = (
    *("keypad", "the door", "the gate", "the safe", "unlock", "your code", "disarm", "to log in"),
    "to sign in",
)
_PLACES: Final = ("keypad", "the safe", "safe:", "safe is", "locker", "padlock", "door:", "door is")
_OF_HASHES: Final = ("ntlm", "nt hash", "lm hash", "krbtgt", "pass", "pw")
STEPS: Final[tuple[Step, ...]] = (
    Step(_PINS, _PIN, second, " "),
    Step(_CODES, _CODE, _code),
    Step(_OPENING, _OPENS, second),
    Step(_AT, _TYPED, second),
    Step(("is your", "as your", "pin", "otp"), _YOURS, second, (" is ", " as ")),
    Step(_PLACES, _BEHIND, second),
    Step(_OF_HASHES, _DIGEST, second, ("hash", "Hash", "HASH")),
)
