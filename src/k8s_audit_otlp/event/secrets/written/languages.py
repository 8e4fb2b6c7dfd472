"""Passwords that are told in other languages: `la contraseña es X`, `hasło to X`, `暗号は X`.

Names alone are stems of the grammar; here is what stands between one and a password, and what the
words are that are no name of a member.
"""

from typing import Final

from k8s_audit_otlp.event.secrets.prefilter_needles import CODE_ABROAD
from k8s_audit_otlp.event.secrets.substitution_steps import Step, second
from k8s_audit_otlp.event.secrets.written.remarks import told

# Of our letters: a sign, or a word that says *is*, stands behind it.
_LATIN = (
    r"(?:(?:pass|kenn|geheim|losungs|codes?)wort|zugangscode|contrase[ñn]a|senha|mdp"
    r"|palavra[- ](?:passe|chave)|parola(?: d['\u2019]ordine| chiave)?|\bparole|mots? de passe"
    r"|(?<!\w)(?:la|su|tu|mi)[ \t]clave|clave secreta|wachtwoord|toegangscode|has[łl]o"
    r"|kod dost[ęe]pu|heslo|l[öo]senord(?:et)?|adgangskoden?|kodeord(?:et)?|passord(?:et)?"
    r"|salasana|tunnussana|geslo|lozinka|zaporka|šifra"
    r"|fjal[ëe]kalimi?|cyfrinair|pasvorto|parol[ăa]|[şs]ifre(?:si)?"
    r"|kata (?:sandi|laluan)|nywila|nenosiri)"
)
_NEEDLES = (
    *(
        "de passe",
        "assord",
        "asswort",
        "clave",
        "kennwort",
        "contrase",
        "senha",
        "wachtwoord",
        "hasło",
        "haslo",
        "heslo",
    ),
    *("senord", "mdp", "parola", "parole", "adgangskode", "geslo", "lozinka", "zaporka", "sifre"),
    *("şifre", "salasana", "sandi", "geheimwort", "losungswort", "palavra", "gangscode"),
    *("kodeord", "tunnussana", "kalim", "cyfrinair", "pasvorto", "laluan", "nywila", "nenosiri"),
    *("šifra", "parolă", "kod dost"),
)
_IS = (
    r"(?:[:=]|[-\u2013\u2014]>?|est|ist|lautet|es|era|war|[éè]|är|er|jest|to|je|is|yra|este|adalah"
    r"|ialah|là|ni|da|on|van)"
)
_X = r"([^\W\d_](?:[^\W_]|[-!#$*+](?!\s)){4,40}!?)"
_ENDS = r"(?=[\"'`]?(?:[.!,;)](?:\s|\Z)|[ \t]*(?:\r?\n|\Z)))"
_TOLD = (
    rf"(?i)\b(?=[acf-hj-npstwzšş])({_LATIN}(?:[ ](?:for|of|pour|für|d[eoa]|para|per|till?|voor|od)"
    rf"(?:[ \t][\w.@-]{{1,32}}){{1,2}}?)?[ \t]{{0,4}}{_IS}[ \t]{{1,4}}[\"'`]?){_X}{_ENDS}"
)
# Where words are written otherwise what stands behind one is no word of that sentence.
_WORDS = (
    *("арол", "озинка", "密码", "密碼", "口令", "パスワード", "비밀번호", "암호", "khẩu", "รหัส"),
    *("पासवर्ड", "ذرواژه", "عبور", "暗号", "暗証", "合言葉", "合い言葉", "비번", "비밀", "συνθημ"),
    *("κωδικ", "секретн", "код", "пассворд", "סיסמה", "סיסמא", "المرور", "السر", "رمز", "পাসওয়"),
    *("கடவுச்", "令牌", "密钥", "секрет", "jelsz", "slapta", "lykilor", "pasahitz", "contrasenya"),
    *("wagwoord", "parool"),
)
_OTHER = (
    r"(?i)((?:парол[ьяюа](?:[ \t][\w-]{1,16}){0,2}?(?=[ \t]?[:=—])|парол[ьяюа]|лозинка"
    r"|пассворд|секрет(?:но[ея] \w+)?|код(?: доступ\w)?|密[码碼钥]|口令|令牌"
    r"|パスワード|暗号|暗証番号|合い?言葉|비밀번호|비번|비밀|암호|mật khẩu|รหัส(?:ผ่าน)?|पासवर्ड"
    r"|(?:ال)?رمز(?: عبور| السري)?|گذرواژه|كلمة (?:المرور|السر)|סיסמ[הא]|κωδικ[όο]ς|συνθηματικ[όο]"
    r"|পাসওয়ার্ড|கடவுச்சொல்|jelsz(?:ó|o|ava)|slapta[žz]odis|lykilor[ðd]i?|pasahitza|contrasenya|wagwoord"
    r"|\bparool)"
    r"[ \t]{0,4}(?:[:=]|\uff1a|[-\u2013\u2014]|[是为為]|は|는|은|là|यह|है|есть|είναι|הוא|היא|هي|هو)?"
    r"[ \t]{0,4}[\"'`「『“]?)"
    r"([A-Za-z](?=[^\s\"'`,;:=/()]{4})[^\s\"'`,;:=/()」』”]{4,40}?|\d{4,16})"
    r"(?=[」』”]|[ ]?(?:입니다|이다|です)|" + _ENDS.removeprefix("(?=")
)
# What a code opens is a word of letters of both cases and digits, whatever it is a code of.
_CODE = (
    r"(?i)(\b(?:c[óo]digo|codice|code|kod)(?:[ \t][^\W\d_]{1,16}){0,2}?[ \t]{0,2}"
    r"(?:[:=]|est|es|[éè]|jest|to|ist)[ \t]{1,4}[\"'`]?)"
    r"((?-i:(?=[A-Z0-9]{0,16}[a-z])(?=[a-z0-9]{0,16}[A-Z]))(?=[a-z]{0,16}[0-9])[a-z0-9]{8,32})"
    + _ENDS
)

STEPS: Final[tuple[Step, ...]] = (
    Step(_NEEDLES, _TOLD, told),
    Step(_WORDS, _OTHER, told),
    Step(CODE_ABROAD, _CODE, second),
)
