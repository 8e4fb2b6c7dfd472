"""Passwords that programs take as a word, or that a script puts somewhere: `vault login X`."""

import re
from typing import Final

from k8s_audit_otlp.event.secrets.grammar import REFERENCE_WORDS, judge
from k8s_audit_otlp.event.secrets.prefilter_needles import SHORT_FLAG
from k8s_audit_otlp.event.secrets.replacement import Replacement, in_quotes
from k8s_audit_otlp.event.secrets.substitution_steps import Step, says_credential, where
from k8s_audit_otlp.event.secrets.values import NOTHING, PLACEHOLDER

_FLAGS = r"(?: -{1,2}[\w-]{1,32}(?:=\S{1,128})?){0,4}"
_WORD = r"(?P<value>\"[^\"\n]{4,256}\"|'[^'\n]{4,256}'|(?![-$\"'(<|&>])[^\s\"'|;&<>]{4,256})"
# A program and what it takes before a password, which is the next word.
_COMMANDS: Final = (
    rf"vault (?:login|operator unseal){_FLAGS}",
    rf"(?:consul|nomad) acl bootstrap{_FLAGS}",
    r"rclone obscure",
    r"openssl passwd(?: -(?:salt \S{1,32}|\w{1,16})){0,4}",
    r"mc (?:alias set|config host add)(?: [^\s-]\S{0,256}){3}",
    r"mc admin user add(?: [^\s-]\S{0,128}){2}",
    rf"pulumi config set{_FLAGS} --secret [\w:.-]{{1,64}}",
    rf"ansible-vault encrypt_string{_FLAGS}",
    r"htpasswd -(?=\w{0,4}n)(?=\w{0,4}b)\w{2,6} \S{1,64}",
    r"(?:ldapmodify|ldapadd|ldapdelete|ldapwhoami)\b[^\n|;&]{0,96}? -w",
    r"ldappasswd\b[^\n|;&]{0,96}? -[sa]",
    r"(?:useradd|adduser|usermod)\b[^\n|;&]{0,96}? -p",
    r"schtasks\b[^\n|;&]{0,128}? /rp",
    r"gh secret set \S{1,64} (?:--body|-b)",
    r"wpa_passphrase \S{1,64}",
    r"dscl \S{1,32} -passwd \S{1,128}",
    r"ConvertTo-SecureString(?: -String)?",
    r"winrs\b[^\n|;&]{0,96}? -p(?:assword)?:",
    r"isql [^\s-]\S{0,64} [^\s-]\S{0,64}",
    r"smbclient //\S{1,128}",
    rf"cargo login{_FLAGS}",
    r"(?:mkpasswd|slappasswd)(?: -\w (?:\S{1,32}(?= -))?){0,3}(?: -s)?",
    r"mosquitto_passwd(?: -\w{1,3}){0,3} \S{1,128} \S{1,64}",
    r"radtest(?: -\w \S{1,16})? \S{1,64}",
    r"(?:orientdb|orient-db) connect \S{1,128} \S{1,64}",
    r"(?:proxychains4?|socks[45]) (?:socks[45] )?[\w.:-]{1,64} \d{1,5} \S{1,64}",
    r"sapcontrol\b[^\n|;&]{0,64}? -user \S{1,64}",
    r"(?:doctl|glab|flyctl|netlify|vercel)\b[^\n|;&]{1,64}? -[tk]",
    r"(?:p4|cbc|mosquitto_\w{3})\b[^\n|;&]{0,64}? -P",
    r"(?:hydra|medusa|crowbar|ncrack|patator)\b[^\n|;&]{0,96}? -p",
    r"elasticsearch-\w{1,24}\b[^\n|;&]{0,64}? -p",
    r"zerotier-cli set \S{1,32} token",
    r"nmcli\b[^\n|;&]{0,96}? password",
    r"fossil user password \S{1,64}",
    r"(?:prosody|ejabberd)ctl (?:register|change_password|passwd) \S{1,64}(?: \S{1,64})?",
    r"zmprov (?:-l )?(?:sp|ca|setPassword|createAccount) \S{1,64}",
    r"security (?:unlock-keychain|create-keychain|set-keychain-password) -p",
    r"security add-(?:generic|internet)-password\b[^\n|;&]{0,96}? -w",
    r"keyctl add (?:user|logon) \S{1,64}",
    r"virsh secret-set-value (?:--\w{1,16} )?\S{1,64}",
    r"(?:iusql|tsql) [^\s-]\S{0,64} [^\s-]\S{0,64}",
    r"iwconfig \S{1,32} key s:",
    r"pdbedit\b[^\n|;&]{0,64}? --password",
    r"smbget\b[^\n|;&]{0,64}? -U ?[^\s%]{1,64}%",
    r"com2sec6?(?: -Cn \S{1,64})? \S{1,64} \S{1,64}",
)
_OF_A_COMMAND = rf"\b(?:{'|'.join(_COMMANDS)})(?:(?<=[:%])| )(?![\w.-]{{1,64}}=){_WORD}"
_NEEDLES = (
    *("vault login", "vault operator", "acl bootstrap", "rclone ob", "ssl passwd", "mc alias set"),
    *("host add ", "user add ", "config set", "encrypt_s", "htpasswd", "ldapmod", "ldapadd"),
    *("ldapdel", "ldapwho", "ldappass", "useradd", "adduser", "usermod", "schtasks", "secret set"),
    *("cargo login", "mkpasswd", "slappasswd", "mosquitto_p", "radtest", "orientdb", "socks5 "),
    *("socks4 ", "sapcontrol", "doctl ", "glab ", "flyctl ", "p4 -", "cbc ", "hydra "),
    *("medusa ", "crowbar ", "elasticsearch-", "zerotier-cli set", "nmcli "),
    *("fossil user", "prosodyctl", "ejabberdctl", "zmprov", "keychain -p", "generic-password"),
    *("internet-password", "keyctl add", "secret-set-value", "iusql ", "tsql ", "iwconfig"),
    *("ncrack ", "patator ", "pdbedit", "smbget"),
    *("wpa_passphrase", "dscl ", "to-secures", "winrs", "isql ", "smbclient", "com2sec"),
)
# The basic credentials of an HTTP client: `http -a bob:X`.
_OF_HTTP = (
    r"(?<![\w-])(?:https?|xhs?|ab|hey|siege|wrk2?|bombardier|oha|nikto|curlie|k6|vegeta)\b"
    r"[^\n|;&]{0,64}? -{1,2}(?:[aAu]|id|auth|basic-auth)[ =][\"']?[^\s:/\"']{1,64}:"
    r"(?P<value>[^\s\"']{4,})"
)
# Who and a password as one word: `cvs -d :pserver:bob:X@h:/x`, `addauth digest bob:X`.
_PAIR = (
    r"(?i)(?:(?<=:pserver:)|(?<=:extssh:)|addauth digest |jenkins-cli\S{0,8} [^\n]{0,96}?-auth |"
    r"(?<![\w.-])impacket-\w{2,24} (?:[\w.-]{1,64}/)?|--?creds?[ =])"
    r"[\w.@-]{1,64}:(?P<value>[^\s\"'@:/]{4,128})"
)
# A flag of few letters that says it.
_SHORT_NAME = rf"(?<=\s)-(?:xp |(?:pwd?|psw)=){_WORD}"
# What stands for a password in a template, and what is put there: `sed 's/__PASSWORD__/X/'`.
_PUT = (
    r"\bs(?P<mark>[/|#,@])(?P<name>(?:(?!(?P=mark))[^\n]){2,64}+)(?P=mark)"
    r"(?P<value>(?:(?!(?P=mark))[^\n]){4,128}+)(?P=mark)"
)
_OF_JQ = rf"--arg(?:json)? {{1,4}}(?P<name>[\w-]{{1,64}}) {{1,4}}{_WORD}"
# A file that a shell makes of a word: `restic -p <(echo X)`.
_SUBSTITUTED = r"((?:-p|pass\S{0,32}|-?-key\S{0,16})[ =]<\((?:echo|printf)(?: -n)? )" + _WORD
# A variable of a script that is given as a password further on.
_SCRIPT = r"(?s)\A.*\Z"
_AS_PASSWORD = re.compile(
    r"(?:pass(?:word|wd|phrase)?|PASS(?:WORD|WD)?|PWD|pw|PW|token|TOKEN|secret|SECRET)[\"']?[ =:]"
    r"[\"']?\$\{?([A-Za-z_]\w{0,63})\b| -p ?[\"']?\$\{?([A-Za-z_]\w{0,63})\b"
)
_ASSIGNED = re.compile(
    r"(?m)^([ \t]*(?:export |local |readonly )?([A-Za-z_]\w{0,63})=[\"']?)([^\s\"'$`(;]{4,256})"
)


def _word(replacement: Replacement, match: re.Match[str]) -> str:
    value = match["value"]
    bare = value.strip("\"'").lower()
    kept = PLACEHOLDER.fullmatch(value.strip("\"'")) or bare in NOTHING or bare in REFERENCE_WORDS
    return match[0] if kept else match[0].removesuffix(value) + in_quotes(value, replacement)


def _is_put(name: str, value: str) -> bool:
    """Tell what a credential's place is filled with, not a name that is written otherwise."""
    word = value.strip("\"'")
    return says_credential(name) and not judge(word) and word[:1] not in "$\\&{<%"


def _script(replacement: Replacement, match: re.Match[str]) -> str:
    names = {one or other for one, other in _AS_PASSWORD.findall(match[0])}
    if not names:
        return match[0]

    def assigned(found: re.Match[str]) -> str:
        return found[1] + replacement(found[3]) if found[2] in names else found[0]

    return _ASSIGNED.sub(assigned, match[0])


STEPS: Final[tuple[Step, ...]] = (
    Step(_NEEDLES, _OF_A_COMMAND, _word),
    Step((SHORT_FLAG, "auth"), _OF_HTTP, _word, ":"),
    Step(
        (":pserver:", ":extssh:", "addauth", "jenkins-cli", "impacket-", " -cred", " --cred"),
        _PAIR,
        _word,
    ),
    Step(("pw", "-xp "), _SHORT_NAME, _word, ("-pw=", "-pwd=", "-psw=", "-xp ")),
    Step((), _PUT, where(_is_put), ("s/", "s|", "s#", "s,", "s@")),
    Step(("(echo ", "(printf "), _SUBSTITUTED, _word),
    Step(("--arg",), _OF_JQ, where(says_credential)),
    Step((), _SCRIPT, _script, ("$",)),
)
