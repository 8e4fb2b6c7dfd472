"""Lines of files, each of a format of its own, whose place says what a word in them is.

`username bob secret 0 X` of routers, `db:5432:app:bob:X` of `.pgpass`, `database password X`.
"""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import is_reference, words_of
from k8s_audit_otlp.event.secrets.prefilter_needles import MAILBOX
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.substitution_steps import Step, quoted, second, where
from k8s_audit_otlp.event.secrets.values import PLACEHOLDER, says_which
from k8s_audit_otlp.event.secrets.written import accounts, echoes, pairs, scripts
from k8s_audit_otlp.event.secrets.written.remarks import OF_A_SENTENCE, is_remark, told

_OF_A_DEVICE = (  # of routers, switches and firewalls: `username bob privilege 15 secret 0 X`
    r"(?im)(^[ \t]*(?:no[ \t])?(?:(?:username|neighbor|tacacs-server|radius-server)[ \t]"
    r"[^\n]{0,96}?[ \t](?:password|secret|key)|(?:user|enable|ntp|key|aaa|isis|standby|vrrp|ppp"
    r"|crypto|server|password|secret)\b[^\n:=]{0,64}?(?:password|secret|key|key-string|md5)"
    r"(?=[ \t]\d{1,2}[ \t])|enable[ \t](?:secret|password)|set[ \t]passwd|(?:tacacs|radius)-server"
    r"[ \t]key|standby[ \t]\d{1,3}[ \t]authentication|wpa-psk[ \t]ascii|crypto[ \t]isakmp[ \t]key"
    r"|ppp[ \t]\w{3,4}[ \t]password)(?:[ \t]\d{1,2})?[ \t]{1,8})([^\s\"':=]{5,})"
    r"(?=[ \t\r]*$|[ \t]address)"
)
_OF_PPP = (
    r"(?m)(^[ \t]*(?:\S{1,64}[ \t]{1,16}\*|\*[ \t]{1,16}(?:PAP|CHAP)[ \t]{1,16}\S{1,64})"
    r"[ \t]{1,16})(\S{4,})(?=[ \t]{1,16}(?:\*|\d[\d./]*)[ \t]*$)"
)
_OF_DEBCONF = (
    r"(?m)(^[ \t]*[\w.+-]{1,64}[ \t]{1,8}\S{0,64}?(?:passw|secret|token)\S{0,64}[ \t]{1,8}"
    r"password[ \t]{1,8})(\S[^\n]*)$"
)
_OF_SNMP = (
    r"(?i)((?:(?:createUser|usmUser)(?:[ \t]{1,8}-e[ \t]{1,8}\w{1,32})?[ \t]{1,8}\S{1,64}"
    r"|v3[ \t]{1,8}auth)[ \t]{1,8}(?:MD5|SHA[\d-]{0,4})[ \t]{1,8})"
    r"(\S{5,}(?:[ \t]{1,8}(?:priv[ \t]{1,8})?"
    r"(?:DES|AES[\d-]{0,4})(?:[ \t]\d{3})?[ \t]{1,8}\S{5,})?)"
)
_OF_FTP = r"(?m)(^[ \t]*user[ \t]{1,8}\S{1,64}[ \t]{1,8})([^\s|;&]{4,})(?=[ \t]*$)"
_STORED_BY_NAME = (  # `vault kv put secret/app a=X b=X`, `heroku config:set A=X`
    r"(\b(?:vault (?:kv (?:put|patch)|write(?= (?:secret|kv|cubbyhole)/))"
    r"(?: -[\w=-]{1,32}){0,3} [\w./@-]{1,128}"
    r"|(?:secrets?(?: |:)|config:)set(?: -{1,2}[\w-]{1,32}(?:[ =][\w.-]{1,64})?){0,3}))"
    r"((?: [\"']?[A-Za-z][\w.-]{0,64}=[^\s=]\S*)+)"
)
_BY_NAME = re.compile(r"( [\"']?[A-Za-z][\w.-]{0,64}=)([^\s]+)")
_ORACLE = (  # `sqlplus -s bob/X@db`, `expdp userid=bob/X`
    r"(?i)(\b(?:sqlplus|expdp|impdp|exp|imp|sqlldr|rman target|tkprof)[ ](?:-\w{1,8} ){0,4}"
    r"(?:[a-z_]{1,32}=\S{1,64} ){0,4}?(?:userid=)?[\"']?[a-z][\w$#]{1,32}/)"
    r"([^\s/@\"']{4,64})(?=[@\s\"']|\Z)"
)

# A name of several parts and a word, at the end of a line; a password alone, where no sentence is.
_LAST = (
    r"(?<![^\s\"'(])(?P<name>[\w./:-]{2,80}+)[\"']?(?:[ \t]{1,4}-[a-z])?(?:[ \t]{1,4}\d{1,2})?"
    r"[ \t]{1,8}(?P<value>[\"']?[^\W\d_][^\s\"'`:=/()|;,<>]{3,64}[\"']?)(?=[ \t;]{0,8}(?:\n|\Z))"
)
_NAMES_ITS_LAST = re.compile(
    r"(?i).*?(?:pass(?:word|wd|phrase|code)|psk|(?<![a-z])pw|(?:bind|root)pw|(?<=[_.])pass"
    r"|api[-_]?key|auth[-_]?tok(?:en)?|authentication-key"
    r"|(?<![a-z0-9])(?!(?:k8s|kubernetes|image|docker|registry|existing|tls|pull)[_-])(?:[a-z0-9]+[_-]){1,4}"
    r"(?:(?<!pull.)secret|token|(?:(?<=signing.)|(?<=private.))key)|secret_key(?:_base)?|secretkey"
    r"|(?:pre_?shared|encryption|master|secret|shared|access|auth|client|session)_key)"
    r"(?:[-_:](?:value|reset))?"
)
# They are no words of a sentence.
_DIRECTIVES: Final = ("bindpw", "rootpw", "apikey", "authtok", "secretkey")
# A directive of one word, which ends in a sign; an extension and the PIN of its mailbox.
_DIRECTIVE = (
    r"(?m)(^[ \t]*(?:secret|token|password|psk)[ \t]{1,8})"
    r"([^\W\d_][^\s\"'=;:(){}]{5,64})(?=;[ \t\r]*$)"
)
_OF_MAILBOX = r"(?m)(^[ \t]*\d{2,8} ?=> ?)(\d{4,12})(?=,)"
# `stats auth bob:X` of HAProxy, `root:X` of chpasswd, a host and who logs in there, of Postfix.
_WHO_AND = (
    r"(?m)(^[ \t]*(?:stats[ \t]{1,4}auth[ \t]{1,4}[\w.@-]{1,64}:|-[ \t]root:"
    r"|(?:root|[\w-]{0,16}admin(?:istrator)?):(?=[^\n]{4,64}\n)"
    r"|(?:\[[\w.-]{1,128}\](?::\d{1,5})?|(?:smtp|mail|relay)[\w.-]{0,64}(?::\d{1,5})?)[ \t]{1,8}"
    r"[\w.@-]{1,64}:))([^\s:/@\"'{$]{5,128})(?=[ \t\r]*$)"
)
_COMMUNITY = (  # of SNMP: where the word is, in files and commands, who is sent traps
    r"(?i)(\b(?:snmp(?:-server|-agent)?[ \t]community(?:[ \t](?:read|write|ro|rw|cipher|simple))*"
    r"|(?:r[ow]|trap)community6?|(?:trap2?sink|informsink)[ \t]\S{1,64}"
    r"|snmp-server[ \t]host[ \t]\S{1,64}(?:[ \t](?:traps|informs))?(?:[ \t]version[ \t]\w{1,3})?"
    r"|-v ?(?:1|2c?) -c)[ \t]{1,8}[\"']?)"
    r"(?!(?:traps|informs|version|auth|noauth|priv|public|read|write)\b)([\w!#$*+^~.-]{4,64})"
)
_COMMUNITY_SAID = (
    r"(?im)(\bcommunity(?:[ \t]string)?(?:[ \t](?:is|was|=)|:)?[ \t]{1,4})"
    r"(\"[^\s\"]{4,64}\"|'[^\s']{4,64}')"
    r"|(\bcommunity[ \t]string(?:[ \t](?:is|was|=)|:)[ \t]{1,4}"
    r"|^[ \t]*community[ \t](?=\S{4,64} \{))([^\s\"']{4,64})"
)
_AS_TEXT = r"(?i)((?:password-value|ascii-text|pre-shared-key)[ \t]{1,8})(\"[^\"\n]{4,256}\")"
_KEEPALIVED = r"(?i)(\bauth[-_]pass[ \t]{1,8})([^\s\"'{}]{4,64})"
_OF_IPSEC = r"(:[ \t]{1,8}(?:EAP|XAUTH|NTLM)[ \t]{1,8})(\"[^\"\n]{4,256}\")"
_PGPASS = (
    r"((?:^|(?<=[\s\"'=]))[^\s:\"']{1,128}:(?:\d{1,5}|\*):[^\s:]{1,63}:[^\s:]{1,63}:)([^\s\"':]{4,})"
    r"(?=[\s\"']|\Z)"
)
_USER_OF_JAAS = r"(?m)^[ \t]*user_(?P<name>[\w.@-]{1,64})=(?P<value>\"[^\"\n]{4,128}\")(?=[ \t;]*$)"
_NO_USER: Final = frozenset("agent data pool agents email claim attributes".split())  # noqa: SIM905


def _last(replacement: Replacement, match: re.Match[str]) -> str:
    """Mask a word at the end of a line of a command or a file, not of a sentence."""
    name, value = match["name"], match["value"]
    if not _NAMES_ITS_LAST.fullmatch(name):
        return match[0]
    bare = value.strip("\"'")
    words = words_of(name)
    if len(words) == 1 and not name.lower().startswith(_DIRECTIVES):
        line = match.string[max(0, match.start() - 64) : match.start()].rpartition("\n")[2]
        before = line.split()[-1:] or [""]
        said = before[0].lower().strip(",.;") in OF_A_SENTENCE or before[0][:1].isupper()
        is_last = match.string.startswith("\n", match.end()) or "@" in before[0]  # `ssh bob@h`
        if said or not is_last:
            return match[0]
    if bare[-1] in ".!?" or is_remark(bare) or says_which(name, bare):
        return match[0]
    return match[0].removesuffix(value) + in_quotes(value, replacement)


def _community(replacement: Replacement, match: re.Match[str]) -> str:
    head, value = match[1] or match[3], match[2] or match[4]
    kept = is_remark(value) or value.strip("\"'") in ("public", "private")
    return match[0] if kept else head + in_quotes(value, replacement)


def _is_password_of(user: str, _value: str) -> bool:
    return not is_reference(user) and user not in _NO_USER


def _by_name(replacement: Replacement, match: re.Match[str]) -> str:
    """Replace what a store of secrets is given, by any name; not a file, nor what is elsewhere."""

    def one(found: re.Match[str]) -> str:
        value = found[2].strip("\"'")
        kept = value[:1] in "@-$" or PLACEHOLDER.fullmatch(value)
        return found[0] if kept else second(replacement, found)

    return match[1] + _BY_NAME.sub(one, match[2])


_BLANKS = " \t"  # no address has them

STEPS: Final[tuple[Step, ...]] = (
    Step(
        (),
        _OF_A_DEVICE,
        told,
        ("secret ", "ssword ", "key ", "md5 ", "tring ", "tion ", "sswd ", "ascii "),
    ),
    Step((), _OF_PPP, second, ("*",)),
    Step((), _OF_DEBCONF, second, ("password ",)),
    Step(("createuser", "usmuser", "v3 auth"), _OF_SNMP, second),
    Step(("ftp ",), _OF_FTP, second, ("user ",)),
    Step(
        ("vault kv", "vault write", "secret set", "secrets set", ":set "),
        _STORED_BY_NAME,
        _by_name,
    ),
    Step(("sqlplus", "userid=", "expdp", "impdp", "sqlldr", "rman "), _ORACLE, second),
    Step(
        ("community", "trapsink", "trap2sink", "informsink", "snmp-server", " -v2c", " -v 2c"),
        _COMMUNITY,
        second,
        _BLANKS,
    ),
    Step(("community",), _COMMUNITY_SAID, _community, _BLANKS),
    Step((), _AS_TEXT, quoted, '"'),
    Step((), _KEEPALIVED, second, _BLANKS),
    Step((": eap ", ": xauth ", ": ntlm "), _OF_IPSEC, quoted),
    Step(
        ("stats auth", "admin:", "root:", "administrator:", "smtp", "mail", "]:"),
        _WHO_AND,
        accounts.unless_role,
    ),
    Step((":5432:", ":6432:", ":*:"), _PGPASS, second),
    Step(("user_",), _USER_OF_JAAS, where(_is_password_of), '"'),
    Step((), _LAST, _last, _BLANKS),
    Step((), _DIRECTIVE, told, (";",)),
    Step((MAILBOX,), _OF_MAILBOX, second),
    *accounts.STEPS,
    *echoes.STEPS,
    *pairs.STEPS,
    *scripts.STEPS,
)
