"""Tokens that are known by how they begin, wherever they stand: a row for each vendor's form.

Not those that are long enough to be told by `GENERATED`, whatever they begin with.
"""

import re
from typing import Final, NamedTuple

from k8s_audit_otlp.event.secrets.randomness import RANDOM

_HEAD = re.compile(  # a letter, one of several, a word of several, that stand once
    r"(?:(?P<one>[\w:/$-]|\\[.${}])|\[(?P<some>[A-Za-z0-9]+)\]|\(\?:(?P<words>[\w|.-]+)\))(?![{?*+])"
)


class TokenFormat(NamedTuple):
    """A token that is known by how it begins, wherever it stands."""

    pattern: str
    needles: tuple[str, ...]  # of which the text holds one: words, or a pattern
    is_whole: bool


def _format(pattern: str, *held: str) -> TokenFormat:
    """Make a row of a pattern that begins with letters, or holds one of these words."""
    return TokenFormat(pattern, tuple(map(str.lower, held or _heads(pattern))), is_whole=False)


def _whole(pattern: str, sought: str = "") -> TokenFormat:
    """Make a row of a pattern that is sought as it is, or this part: how it begins is in words."""
    return TokenFormat(pattern, (sought or pattern,), is_whole=True)


def _heads(pattern: str) -> list[str]:
    """Return what a match begins with, one way or another, as far as it is letters."""
    heads, at = [""], 0
    pattern = pattern.removeprefix("(?<=")  # an address before the token
    while (found := _HEAD.match(pattern, at)) is not None:
        at = found.end()
        each = found["some"] or (found["words"] or found["one"].lstrip("\\")).split("|")
        heads = [head + more for head in heads for more in each]
    return heads


# Prefixes as the vendors' pages on their token formats give them; lengths keep names from matching.
TOKEN_FORMATS: Final = (
    _format(r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}"),
    _format(r"gh[pousr]_[A-Za-z0-9]{20,}"),
    _format(r"github_pat_\w{20,}"),
    _format(r"gl(?:pat|dt|rt|oas|ptt|ft|soat|cbt|agent|imt)-[\w-]{16,}"),
    _format(r"xox[abeoprs]-[\w-]{10,}"),
    _format(r"xapp-\d-[\w-]{10,}"),
    _format(r"(?<=hooks\.slack\.com/)[\w/]{20,}"),
    _whole(r"T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,}"),  # the same behind a proxy
    _format(r"(?:sdk|mob)-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"),  # LaunchDarkly
    _format(r"(?:sk|rk|pk|rzp)_(?:org_)?(?:live|test)_[A-Za-z0-9]{10,}", "_live_", "_test_"),
    _format(r"whsec_[A-Za-z0-9+/=]{16,}"),
    _format(r"AIza[\w-]{30,}"),
    _format(r"ya29\.(?:[a-z]\.)?[\w-]{16,}"),
    _whole(r"EAA[A-Za-z0-9]{32,}"),
    _format(r"SCRAM-SHA-\d{1,3}\$[\w$:+/=.-]{20,}"),
    _format(r"dnkey-[\w-]{20,}"),
    _format(r"AAAA[\w-]{7}:[\w-]{100,}"),  # Firebase
    _whole(r"[0-9a-f]{36}FFFFNRAL"),  # New Relic
    _whole(r"st\.[0-9a-f]{24}\.[0-9a-f]{32}\.[0-9a-f]{32}"),  # Infisical
    _format(r"(?<=hc-ping\.com/)[\w/-]{12,}"),
    _format(r"(?<=pagerduty\.com/integration/)\w{12,}"),
    _format(r"(?<=loggly\.com/inputs/)[\w-]{12,}"),
    _format(r"(?<=datadoghq\.com/v1/input/)\w{12,}"),
    _format(r"GOCSPX-[\w-]{16,}"),
    _format(r"hv[sbr]\.[\w-]{16,}"),
    _format(r"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{16,}"),
    _format(r"npm_[A-Za-z0-9]{30,}"),
    _format(r"pypi-[\w-]{30,}"),
    _format(r"SG\.[\w-]{16,}\.[\w-]{16,}"),
    _format(rf"sk-(?<![\w-]sk-)(?:lf-[0-9a-f-]{{36}}|(?=[\w-]{{0,64}}?{RANDOM})[\w-]{{20,}})"),
    _format(r"hf_[A-Za-z0-9]{30,}"),
    _format(r"pul-[0-9a-f]{40}"),
    _format(r"AVNS_[\w-]{12,}"),
    _format(r"dckr_(?:pat|oat)_[\w-]{20,}"),
    _format(r"NRAK-[A-Z0-9]{20,}"),
    _whole(r"d(?:api|ose|kea)[0-9a-f]{32}"),
    _format(r"PMAK-[a-f0-9]{20,}-[a-f0-9]{20,}"),
    _format(r"AT[AC]TT3[\w=-]{30,}"),
    _format(r"tskey-[\w-]{20,}"),
    _format(r"(?:bot)?\d{8,10}:AA[\w-]{32,}", ":AA"),
    _format(rf"(?<=hooks/)(?=[\w/-]{{0,64}}?(?:[0-9a-f]{{8}}-|{RANDOM}))[\w/-]{{12,}}"),
    _format(rf"(?<=hook/)(?=[\w/-]{{0,64}}?(?:[0-9a-f]{{8}}-|{RANDOM}))[\w/-]{{12,}}"),
    _format(r"(?<=webhook\.office\.com/)[\w@/-]{30,}"),
    _format(r"key-[0-9a-f]{32}"),
    _format(r"dt0[a-z]\d\d\.[A-Z0-9]{8,24}\.[A-Z0-9]{40,}"),
    _format(r"sntry[su]_[\w+/=-]{30,}"),
    _format(r"glc_[A-Za-z0-9+/=]{30,}"),
    _format(r"\$(?:apr1|2a|2b|2x|2y|5|6|1|y|argon2i|argon2id|argon2)\$[./A-Za-z0-9$=,+]{16,}"),
    _format(r"\{(?:SHA|SSHA)(?:256|512)?\}[A-Za-z0-9+/=]{20,}"),
    _format(r"\{(?:PLAIN|CLEARTEXT|CRYPT|plain)\}[^\s,:]{4,}"),
    # Hashes of passwords, from which they can be guessed, beside those that begin with a dollar.
    _format(r"grub\.pbkdf2\.sha\d{1,3}\.\d{1,8}\.[0-9A-Fa-f.]{32,}"),
    _format(r"pbkdf2[_:]sha\d{1,3}[$:]\d{1,8}\$[\w./+=-]{1,64}\$[\w+/=-]{20,}"),
    _format(r"bcrypt_sha256\$[\w$./=,+-]{24,}"),
    _format(
        r"\{(?:CRAM-MD5|DIGEST-MD5|PBKDF2|x-pbkdf2|X-PBKDF2|SMD5|MD5|NTLM|LANMAN|ARGON2|BLF-CRYPT"
        r"|SCRYPT)[\w-]{0,16}\}[\w$:./+=,-]{16,}"
    ),
    _whole(r"\*[0-9A-F]{40}(?![0-9A-F])", r"\*[0-9A-F]{40}"),  # of MySQL
    _whole(  # of an address that is kept secret
        r"(?<=/)(?:private|secret|share|invite|feed|magic|access|auth|calendar)-[0-9a-f]{20,}",
        r"/(?:private|secret|share|invite|feed|magic|access|auth|calendar)-[0-9a-f]{20}",
    ),
    _whole(r"(?<=bearer\.authorization\.k8s\.io\.)[\w-]{8,}", "bearer[.]authorization[.]k8s"),
    _format(r"mlsn\.[0-9a-f]{60,}"),
    _format(r"xkeysib-[0-9a-f]{60,}[\w-]*"),
    _format(r"FLWSECK(?:_TEST)?-[\w-]{20,}"),
    _format(r"pat-(?:na|eu|ap)\d-[0-9a-f-]{36}"),
    _format(r"NRJS-[0-9a-f]{19,}"),
    _format(r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz)[\w+/=%-]{60,}"),  # of STS
    _format(r"dG9rO[A-Za-z0-9+/=]{50,}"),  # Intercom
    _format(
        r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{32,76}?"
        r"(?:AzFu|AzSe|AzCa|ACDb|JQQJ99|\+ASt|\+ACR|\+ARm)[A-Za-z0-9+/]{4,}={0,2}",
        *("AzFu", "AzSe", "AzCa", "ACDb", "JQQJ99", "+ASt", "+ACR", "+ARm"),
    ),
    _format(r"(?<=/api/push/)\w{8,}"),  # Uptime Kuma
    # A prefix of a few letters: the whole pattern is what is looked for.
    _whole(
        r"(?:do[oprt]_v1|shp(?:at|ca|pa|ss)|rubygems|CLOJARS|shippo_(?:live|test)|live|test|[sp]k"
        r"|bkua|sq[apu]|sbp|lsv2_pt|sgp(?:_[a-z]{2,5})?)_[0-9a-fA-F]{32,}",
        "_[0-9a-fA-F]{32}",
    ),
    _whole(r"[0-9a-f]{32}-us\d{1,2}"),  # Mailchimp
    _whole(r"K10[0-9a-f]{64}::[^\s\"']{4,}"),  # k3s, RKE2
    _whole(r"SK[0-9a-f]{32}"),  # Twilio
    _whole(r"key(?=[A-Za-z]*\d)[A-Za-z0-9]{14}(?![A-Za-z0-9])", "key[A-Za-z0-9]{14}"),  # Airtable
    _whole(r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _whole(r"1/[0-9]{16}:[0-9a-f]{32}"),  # Asana
    _whole(r"sl\.[\w-]{100,}"),
    _format(r"LTAI[A-Za-z0-9]{16,}"),
    _format(r"AKID[A-Za-z0-9]{28,}"),
    _format(r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{16,}_[0-9a-f]{40}"),
    _format(r"v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}"),
    _format(r"(?:fm1r|fm1a|fm2|fo1)_[\w+/=-]{40,}"),
    _format(r"vc[pikar]_[A-Za-z0-9]{24,}"),
    _format(r"cmVmdGtuOj[\w+/=]{40,}"),
    _format(r"access-(?:sandbox|development|production)-[0-9a-f-]{36}"),
    _whole(r"pat\.[\w-]{20,24}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}"),
    _format(r"GR1348941[\w-]{20,}"),
    _format(r"ops_eyJ[\w+/=-]{60,}"),
    _format(r"sm_(?:pat|aat|sat)_[A-Za-z0-9]{16,}"),
    _whole(
        r"(?<![\w.-])[3-6][0-9]{3}(?:[ -][0-9]{4}){3}(?![\w-]|\.\d)",
        "[3-6][0-9]{3}(?:[ -][0-9]{4}){3}",
    ),
    # gzip in base64, once or twice: what nobody has read.
    _format(r"H4sI[\w+/-]{24,}={0,2}"),
    _format(r"SDRzSU[\w+/-]{24,}={0,2}"),
    # Private keys as DER in base64, without their armour: OpenSSH, PKCS #1, PKCS #8, SEC 1.
    _format(r"b3BlbnNzaC1rZXktdjE[\w+/=\s]{20,}"),
    _format(r"MII[BCEJ][A-Za-z0-9+/]{3}(?:BADANBg|BAAKC)[\w+/=\s\\]{20,}"),
    _format(r"MHcCAQEE[\w+/=\s]{20,}"),
    _format(r"MC4CAQAwBQYDK2V[\w+/=]{20,}"),
)
# What words look like that no row tells: generated ones, and those that people make up. What
# `randomness` judges then must hold one of them. The prefilter finds each of these as one pattern.
_GENERATED: Final = r"[A-Za-z0-9]{2}(?:[0-9][g-zA-Z]|[g-zA-Z][0-9])[A-Za-z0-9]{3}"
GENERATED: Final = (
    rf"{_GENERATED}|[a-z][A-Z]{{2,5}}[a-z]{{1,3}}[A-Z]"
    r"|[A-Z2-7]{16}|[0-9a-f]{32}"
)
MADE_UP_WORDS: Final = (
    r"(?:[g-z][a-z]{3}|[a-z][g-z][a-z]{2}|[a-z]{2}[g-z][a-z]|[a-z]{3}[g-z]|[!#$^*~@])[0-9]{3}"
    rf"|[0-9]{{2}}[!#$^*~]|[!#$^*~][0-9]{{2}}|{_GENERATED}|[!#$*+^~_.-][A-Z][a-z]"
    r"|[a-z]_[0-9]{2,4}_[a-z]|[a-zA-Z0-9]![A-Za-z0-9]|[a-z][#^*+][0-9]{1,2}[A-Za-z]"
)
LICENSES: Final = r"[G-Z][A-Z0-9]{0,4}-[A-Z0-9]{4}|[0-9]{6}-[0-9]{6}"
