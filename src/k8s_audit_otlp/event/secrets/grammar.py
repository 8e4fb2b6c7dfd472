"""The grammar of secrets: by which names a credential is known. Tables.

What looks quickly (`prefilter.may_hold`) and what replaces (`text.clean`, the cleaner) are both
made of the tables here, in `prefilter_needles` and in `token_formats`: the cleaner changes nothing
that the prefilter lets by. To teach it a name, add a stem or a word; a token of a vendor, a row of
`token_formats`.

Names are read as words (`dbPassword`, `db-password`, `DB_PASSWORD` are the same two), because a
substring alone takes `bypass` for a password and `secretName` for a secret.
"""

import re
from enum import IntEnum
from functools import lru_cache
from typing import Final
from unicodedata import normalize

_LONGEST_KEPT: Final = 64  # characters of a name whose verdict is remembered
_REFERRING_END: Final = re.compile(r"[_-]?(?:Ref|ref|From|from)(?:erence)?\Z")
MAX_KEY_CHARS: Final = 512  # nobody names a credential in a longer word; bounds the work per name


class KeyVerdict(IntEnum):
    HARMLESS = 0
    CREDENTIAL = 1  # its strings and numbers are credentials, however deep
    CREDENTIAL_TEXT = 2  # a credential if it is a string; an object of this name is configuration


_ACCENTS = re.compile(r"[\u0300-\u036f]")  # as they stand apart from their letters
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_]+")

_LOCKS: Final = frozenset(  # what a code opens, whatever it looks like
    """
    pin door gate safe alarm entry lock master access security unlock confirmation activation
    voicemail keypad disarm duress garage lockbox moderator conference mfa 2fa fa sms otp totp
    onetime voucher redemption epp authinfo
    """.split()  # noqa: SIM905
)
# Names of credentials written as one word or as several, and what of them any text must hold.
CREDENTIAL_STEMS: Final = tuple(
    """
    password passwd passphrase passcode passwort secret token credential apikey privatekey accesskey
    authkey signingkey encryptionkey masterkey sharedkey sessionkey accountkey clientkey sshkey
    tlskey storagekey hmackey licensekey routingkey integrationkey appkey applicationkey
    subscriptionkey writekey deploykey servicekey sharedaccess kubeconfig dockerconfig dockercfg
    connectionstring jwt masterauth webhookurl accountsas userdata unsealkey recoverykey
    certificatekey consumerkey cipherkey aeskey sealkey gossipkey vpnkey rootkey seedwords
    recoverywords backupwords hostkey functionkey userkey instrumentationkey keyjson jsonkey keyseed
    artapi slackwebhook slackapiurl discordwebhook teamswebhook jaasconfig base64key
    base64encodedkey keymaterial codeword productkey passkey seedphrase authenticationkey connstr
    sessid jsessionid privkey privateexponent authtok pincode recoverycode backupcode securestring
    securejsondata otlpheaders kennwort zugangsdaten geheimnis wachtwoord losenord adgangskode
    motdepasse cleapi contrasena geheimwort losungswort palavrapasse palavrachave toegangscode
    zugangscode kodeord tunnussana fjalekalim cyfrinair pasvorto katalaluan nywila nenosiri sifra
    magicword safeword watchword securityanswer walletwords walletseed walletphrase authphrase
    privphrase encphrase keyphrase unlockphrase secretphrase accessphrase encryptionphrase
    communitystring rocommunity rwcommunity readcommunity writecommunity trapcommunity
    senha parola haslo hasło heslo jelszo lozinka salasana sifre geslo zaporka sandi snmpcommunity
    contrasenya slaptazod lykilor pasahitz parool wagwoord парола лозинка المرور السر סיסמה סיסמא
    пароль токен секрет κωδικος 密码 密碼 密钥 口令 令牌 パスワード 비밀번호 암호 비번
    暗号 暗証番号 合言葉 合い言葉 пассворд συνθηματικ
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
CREDENTIAL_WORDS: Final = frozenset(
    "pass clave mdp pwd pswd pw psw pin puk otp creds cred dsn psk mnemonic cvv salt pepper".split()  # noqa: SIM905
)
_SPELT: Final = "password passwd passwort secret token credential credentials apikey".split()  # noqa: SIM905
# These words with a letter left out, or two that changed places; also with digits for letters.
MISSPELT: Final = frozenset(
    spelling
    for word in _SPELT
    for at in range(1, len(word) - 1)
    for spelling in (
        word[:at] + word[at + 1 :],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )
    if spelling != word
) | {"p4ssw0rd", "pa55word", "p4ssword", "passw0rd", "s3cret", "s3cr3t", "t0ken", "pwrd", "ssword"}
_PASSWORD_BEGINNINGS: Final = ("passw", "passph")  # however they go on: `passwrd`
# Words that end so are written as one: `sshpass`, `bindpw`, `storepass`.
_PASSWORD_ENDINGS: Final = ("pass", "pwd", "pw")
_OTHER_WORDS: Final = frozenset(
    "tokenizer tokenizers tokenization secretariat secretary secretsmanager onepassword".split()  # noqa: SIM905
)
_OTHER_ENDINGS: Final = frozenset({"bypass", "compass", "encompass", "surpass", "overpass"})
TEXT_WORDS: Final = frozenset("auth authorization cookie cookies bearer hmac seed".split())  # noqa: SIM905
# What a name ends in that stands for one value, not for objects that have names of their own.
_VALUE_WORDS: Final = frozenset(
    """
    password passwd passphrase passcode passwort pass pwd pw key apikey token secret credential psk
    """.split()  # noqa: SIM905
)

# The last word says, also with an s, that the value names, places or describes a credential
# instead of being one.
REFERENCE_WORDS: Final = frozenset(
    """
    name namespace ref reference selector path file dir directory type kind group version class
    provider url uri endpoint host server issuer audience second expiration expires expiry ttl
    duration time timestamp date policy mode enabled disabled optional required count size length
    status state reason description title id uid label annotation format algorithm encoding method
    operator role image renewal rotation request review lifetime interval limit max min minute hour
    day usage controller cleaner signer template field header prefix suffix scope plugin helper
    manager store backend engine history bucket policies lifespan stdin complexity strength protocol
    validity source username email volume mount projection audience exception error failure
    volumemount handler filter interceptor validator resolver converter cache table column row
    dashboard alert chart job pod deployment watcher location strategy transform in severity
    category iat exp nbf java py go schedule storage factor arn alias module ms digit reuse scheme
    claim param port fd zone regex charset
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
_SECRETS, _EXISTING = ("secret", "secrets"), frozenset(("existing", "pull", "config"))
_COUNTING: Final = frozenset({"max", "min", "num", "total", "count"})  # `maxTokens`
# Words before `id`, `url` that make the whole a credential all the same.
_CREDENTIAL_ENDINGS: Final = (
    *(("secret", "id"), ("key", "id"), ("session", "id"), ("webhook", "url"), ("api", "url")),
)
# Names that say credential only where the value looks drawn, as in `key: app` it does not.
DRAWN_WORDS: Final = frozenset(
    """
    key pat signature sig license licence rsa dsa ecdsa ed25519 pem pfx p12 session sess csrf xsrf
    ticket assertion nonce sas community access refresh login invite magic hec fernet encrypt
    encryption keyring passw sudo shared private sid sessionid verifier samlresponse samlrequest
    tok users accounts admins logins headers
    secure magiclink oauth unlock answer vpn wifi wlan wpa wpa2 wpa3 luks basic phrase combination
    pairing onetime recovery activation escrow keyslot bip schluessel schlüssel sleutel llave chiave
    kod codigo codice код ключ avain klucz anahtar nyckel nøgle jeton gizli tajne
    """.split()  # noqa: SIM905
)
# Of these, and of words that say it in a text without a sign, too: `snyk auth X`, `sqlplus a/X`.
SAID_WORDS: Final = TEXT_WORDS | frozenset(
    """
    key community rocommunity rwcommunity login logon unseal encryption encrypt decrypt sqlplus
    obscure webhook signature sudo addauth unlock basicauth addlogin
    """.split()  # noqa: SIM905
)
# What a name or the words before a value say that it is: which object, version or content. What
# looks drawn there tells no secret.
IDENTIFYING_WORDS: Final = frozenset(
    """
    id ids uid uuid guid oid cid txid hash hashes sha md digest digests checksum checksums sum etag
    fingerprint thumbprint commit revision rev git version build tag tree container containers
    containerd docker crio image images sandbox layer layers overlay snapshot snapshots
    manifest manifests trace span request correlation machine boot node instance volume object
    resource kubernetes template generation continue cursor marker holder lease identifier
    kid recipient recipients serial public systems chassis
    """.split()  # noqa: SIM905 - a table of words reads better as words
)
CODES: Final = frozenset(
    "recovery backup verification invite device time operator pairing 2fa mfa sms otp".split()  # noqa: SIM905
).union(_LOCKS)
# Before `key`: what is public, or orders and parts what is stored.
_OPEN_KEYS: Final = frozenset(
    "public pub authorized partition sort foreign topology cache group row".split()  # noqa: SIM905
)
_VALUE_ENDINGS: Final = frozenset(
    ("value", "val", "text", "content", "data", "pem", "b", "base", "hex")
)

_ENVIRONMENT_WORDS: Final = frozenset("env envs environment environments envvar envvars".split())  # noqa: SIM905
_NOT_ENVIRONMENT: Final = frozenset("from value file files name id type prefix".split())  # noqa: SIM905

# Query parameters that carry a credential beside those whose name says so.
# opentelemetry.io/docs/specs/semconv/registry/attributes/url (url.query), RFC 6749, RFC 7519
CREDENTIAL_PARAMETERS: Final = frozenset(
    """
    code sig key samlresponse samlrequest ticket state nonce sid session session_id login mfa sso
    session_state device_code tok
    """.split()  # noqa: SIM905
)
_PARAMETER_ENDINGS: Final = ("assertion", "signature", "sessid", "sessionid")


@lru_cache(maxsize=64)  # one name is asked about several times in turn
def words_of(name: str) -> tuple[str, ...]:
    return tuple([word.lower() for word in _WORD.findall(name[-MAX_KEY_CHARS:])])


def _without_accents(word: str) -> str:
    return word if word.isascii() else normalize("NFC", _ACCENTS.sub("", normalize("NFD", word)))


def is_reference(name: str) -> bool:
    """Tell `secretName` and `tokenUrl` from `secret` and `token`."""
    words = words_of(name)
    if (
        not words
        or words[0] in _COUNTING
        or "per" in words
        or (words[-1] in _SECRETS and not _EXISTING.isdisjoint(words))
    ):
        return bool(words)
    if REFERENCE_WORDS.isdisjoint((words[-1], words[-1].removesuffix("s"))):
        return False
    return words[-2:] not in _CREDENTIAL_ENDINGS


def refers_to_credential(name: str) -> bool:
    """Tell a name as `secretRef`: the credential itself may stand there instead."""
    owner = _REFERRING_END.sub("", name[-_LONGEST_KEPT:])
    return owner != name and judge(owner) is KeyVerdict.CREDENTIAL


def names_or_tells(name: str) -> bool:
    """Tell a name that says credential, or of which what looks drawn is one."""
    return judge(name) is KeyVerdict.CREDENTIAL or may_name_drawn(name)


def judge(name: str) -> KeyVerdict:
    """Judge a member of any object. The part before a slash is a domain, not a name."""
    return _judge(name) if len(name) > _LONGEST_KEPT else _remembered(name)


def _judge(name: str) -> KeyVerdict:
    tail = name.rpartition("/")[2]
    words = words_of(tail)
    if not words or is_reference(tail) or name.startswith(("count/", "checksum/")):
        return KeyVerdict.HARMLESS
    joined = _without_accents("".join(word for word in words if word not in _OTHER_WORDS))
    singular = [word.removesuffix("s") if len(word) > 4 else word for word in words]
    if (
        not CREDENTIAL_WORDS.isdisjoint(words)
        or not CREDENTIAL_WORDS.isdisjoint(singular)
        or any(word.startswith(_PASSWORD_BEGINNINGS) for word in words)
        or any(word.endswith(_PASSWORD_ENDINGS) and word not in _OTHER_ENDINGS for word in words)
        or any(map(joined.__contains__, CREDENTIAL_STEMS))
        or (words[-1] in ("code", "codes") and not _LOCKS.isdisjoint(words[-2:-1]))
        or not MISSPELT.isdisjoint((*words, joined, tail.lower()))
    ):
        managed_field = name.startswith(("k:", "v:"))
        return KeyVerdict.CREDENTIAL_TEXT if managed_field else KeyVerdict.CREDENTIAL
    if words[-1] in TEXT_WORDS:
        return KeyVerdict.CREDENTIAL_TEXT
    return KeyVerdict.HARMLESS


_remembered = lru_cache(maxsize=8192)(_judge)


@lru_cache(maxsize=8192)
def _drawn(name: str) -> bool:
    words = [*words_of(name.rpartition("/")[2].removesuffix("64"))]  # as `keys_base64`
    while len(words) > 1 and (words[-1] in _VALUE_ENDINGS or len(words[-1]) == 1):  # `key2`
        words.pop()
    if not words:
        return False
    last = words[-1].removesuffix("s") if words[-1] == "keys" else words[-1]
    if last == "key":
        return _OPEN_KEYS.isdisjoint(words)
    if last in ("code", "codes"):
        return not CODES.isdisjoint(words)
    known = last in DRAWN_WORDS or "".join(words[-2:]) in DRAWN_WORDS
    return known or (not TEXT_WORDS.isdisjoint(words) and last not in REFERENCE_WORDS)


def says_drawn(words: list[str]) -> bool:
    """Tell the same of the words before a value: `radius-server key 7 X`, `recovery code X`."""
    if not words or is_reference(words[-1]) or not _OPEN_KEYS.isdisjoint(words):
        return False
    if "code" in words or "codes" in words:
        return not CODES.isdisjoint(words)
    return not SAID_WORDS.isdisjoint(words)


def may_name_drawn(name: str) -> bool:
    """Tell a name whose value is a credential if it looks drawn, not if it looks named."""
    return _drawn(name[-_LONGEST_KEPT:])


def is_credential_parameter(name: str) -> bool:
    """Judge a query parameter. `key`, `code` and `sig` mean more there than in an object."""
    lowered = name.lower()
    if lowered in CREDENTIAL_PARAMETERS or lowered.endswith(_PARAMETER_ENDINGS):
        return True
    return judge(name) is not KeyVerdict.HARMLESS


def is_signature(name: str) -> bool:
    """Tell the parameters that sign an address, which say nothing else."""
    return name.lower().rpartition("-")[2] in ("sig", "signature")


def is_environment(name: str) -> bool:
    """Tell `extraEnvs`, `containerEnv` and `environmentVariables` from `envFrom`."""
    words = words_of(name)
    return not _ENVIRONMENT_WORDS.isdisjoint(words) and _NOT_ENVIRONMENT.isdisjoint(words)


def names_one_value(name: str) -> bool:
    """Tell `db_password` from `externalsecrets`: what follows it is a value, not a name."""
    words = words_of(name)
    return bool(words) and words[-1] in _VALUE_WORDS and judge(name) is KeyVerdict.CREDENTIAL


def names_many(name: str) -> bool:
    """Tell `passwords`, which a list stands below, from `secrets`, which may be names."""
    words = words_of(name)
    return bool(words) and words[-1] != "secrets" and words[-1].removesuffix("s") in _VALUE_WORDS
