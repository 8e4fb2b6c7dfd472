"""Tokens that are known by how they begin, wherever they stand: a row for each vendor's form."""

from typing import Final, NamedTuple

from k8s_audit_otlp.event.secrets.values import RANDOM


class TokenFormat(NamedTuple):
    """A token that is known by how it begins, wherever it stands."""

    begins: tuple[str, ...]  # literals of which the text holds one; without any, the pattern is
    pattern: str  # sought as it is: it looks at nothing beside the token then

    @property
    def needles(self) -> tuple[str, ...]:
        return tuple(map(str.lower, self.begins)) or (self.pattern,)


def _format(pattern: str, *begins: str) -> TokenFormat:
    return TokenFormat(begins, pattern)


# Prefixes as the vendors' pages on their token formats give them; lengths keep names from matching.
TOKEN_FORMATS: Final = (
    _format(r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}", "AKIA", "ASIA", "ABIA", "ACCA"),
    _format(r"gh[pousr]_[A-Za-z0-9]{20,}", "ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
    _format(r"github_pat_\w{20,}", "github_pat_"),
    _format(
        r"gl(?:pat|dt|rt|oas|ptt|ft|soat|cbt|agent|imt)-[\w-]{16,}",
        *("glpat-", "gldt-", "glrt-", "gloas-", "glptt-", "glft-", "glsoat-", "glcbt-"),
        *("glagent-", "glimt-"),
    ),
    _format(r"xox[abeoprs]-[\w-]{10,}", "xox"),
    _format(r"xapp-\d-[\w-]{10,}", "xapp-"),
    _format(r"(?<=hooks\.slack\.com/)[\w/]{20,}", "hooks.slack.com/"),
    _format(r"(?:sk|rk|pk|rzp)_(?:org_)?(?:live|test)_[A-Za-z0-9]{10,}", "_live_", "_test_"),
    _format(r"whsec_[A-Za-z0-9+/=]{16,}", "whsec_"),
    _format(r"AIza[\w-]{30,}", "AIza"),
    _format(r"ya29\.(?:[a-z]\.)?[\w-]{16,}", "ya29."),
    _format(r"1//0[\w-]{30,}", "1//0"),
    _format(r"EAA[A-Za-z0-9]{32,}", "EAA"),
    _format(r"tfp_[\w.=-]{30,}", "tfp_"),
    _format(r"SCRAM-SHA-\d{1,3}\$[\w$:+/=.-]{20,}", "SCRAM-SHA-"),
    _format(r"S[ACNOUX][A-Z2-7]{56}"),  # a seed of NATS
    _format(r"napi_[A-Za-z0-9]{40,}", "napi_"),
    _format(r"sgp_(?:[a-z]{2,5}_)?[A-Za-z0-9_]{40,}", "sgp_"),
    _format(r"ory_(?:pat|at|rt|st|ac)_[\w.-]{20,}", "ory_"),
    _format(r"rnd_[A-Za-z0-9]{24,}", "rnd_"),
    _format(r"shippo_(?:live|test)_[0-9a-f]{40}", "shippo_"),
    _format(r"dnkey-[\w-]{20,}", "dnkey-"),
    _format(r"WPL_AP\d\.[\w.=+/-]{20,}", "WPL_AP"),
    _format(r"AAAA[\w-]{7}:[\w-]{100,}", "AAAA"),  # Firebase
    _format(r"[0-9a-f]{36}FFFFNRAL"),  # New Relic
    _format(r"st\.[0-9a-f]{24}\.[0-9a-f]{32}\.[0-9a-f]{32}"),  # Infisical
    _format(r"A3-[A-Z0-9]{6}-(?:[A-Z0-9]{5,11}-){2,5}[A-Z0-9]{5}"),  # 1Password
    _format(r"(?<=hc-ping\.com/)[\w/-]{12,}", "hc-ping.com/"),
    _format(r"(?<=pagerduty\.com/integration/)\w{12,}", "pagerduty.com/integration/"),
    _format(r"(?<=loggly\.com/inputs/)[\w-]{12,}", "loggly.com/inputs/"),
    _format(r"(?<=datadoghq\.com/v1/input/)\w{12,}", "datadoghq.com/v1/input/"),
    _format(r"GOCSPX-[\w-]{16,}", "GOCSPX-"),
    _format(r"hv[sbr]\.[\w-]{16,}", "hvs.", "hvb.", "hvr."),
    _format(r"AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]{16,}", "AGE-SECRET-KEY-"),
    _format(r"npm_[A-Za-z0-9]{30,}", "npm_"),
    _format(r"pypi-[\w-]{30,}", "pypi-"),
    _format(r"do[oprt]_v1_[a-f0-9]{32,}", "_v1_"),
    _format(r"SG\.[\w-]{16,}\.[\w-]{16,}", "SG."),
    _format(
        rf"sk-(?<![\w-]sk-)(?:lf-[0-9a-f-]{{36}}|(?=[\w-]{{0,64}}?{RANDOM})[\w-]{{20,}})", "sk-"
    ),
    _format(r"hf_[A-Za-z0-9]{30,}", "hf_"),
    _format(r"dckr_(?:pat|oat)_[\w-]{20,}", "dckr_"),
    _format(r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}", "shpat_", "shpca_", "shppa_", "shpss_"),
    _format(r"sq0(?:atp|csp)-[\w-]{20,}", "sq0"),
    _format(r"lin_(?:api|wh|oauth)_[A-Za-z0-9]{30,}", "lin_api_", "lin_wh_", "lin_oauth_"),
    _format(r"NRAK-[A-Z0-9]{20,}", "NRAK-"),
    _format(r"d(?:api|ose|kea)[0-9a-f]{32}"),
    _format(r"\w{10,20}\.atlasv1\.[\w-]{40,}", ".atlasv1."),
    _format(r"PMAK-[a-f0-9]{20,}-[a-f0-9]{20,}", "PMAK-"),
    _format(r"AT[AC]TT3[\w=-]{30,}", "ATATT3", "ATCTT3"),
    _format(r"tskey-[\w-]{20,}", "tskey-"),
    _format(r"(?:bot)?\d{8,10}:AA[\w-]{32,}", ":AA"),
    _format(r"(?<=/api/webhooks/)[\w/-]{20,}", "/api/webhooks/"),
    _format(r"(?<=webhook\.office\.com/)[\w@/-]{30,}", "webhook.office.com/"),
    _format(r"key-[0-9a-f]{32}", "key-"),
    _format(r"figd_[\w-]{20,}", "figd_"),
    _format(r"dt0[a-z]\d\d\.[A-Z0-9]{24}\.[A-Z0-9]{40,}", "dt0"),
    _format(r"\w{3}8Q~[\w~.-]{30,}", "8Q~"),
    _format(r"rubygems_[0-9a-f]{40,}", "rubygems_"),
    _format(r"sntry[su]_[\w+/=-]{30,}", "sntrys_", "sntryu_"),
    _format(
        r"(?:gsk|xai|sbp|nfp|lsv2_pt|pul|phx|r8)[_-][A-Za-z0-9]{30,}",
        *("gsk_", "xai-", "sbp_", "nfp_", "lsv2_pt_", "pul-", "phx_", "r8_"),
    ),
    _format(r"pscale_(?:tkn|pw|oauth)_[\w.-]{30,}", "pscale_"),
    _format(r"glc_[A-Za-z0-9+/=]{30,}", "glc_"),
    _format(r"glsa_[A-Za-z0-9]{30,}_[a-f0-9]{8}", "glsa_"),
    _format(r"\$(?:apr1|2[abxy]|5|6|1|y|argon2id?)\$[./A-Za-z0-9$=,+]{16,}", "$"),
    _format(r"\{SS?HA(?:256|512)?\}[A-Za-z0-9+/=]{20,}", "{SHA", "{SSHA"),
    _format(r"\{(?:PLAIN|CLEARTEXT|CRYPT)\}[^\s,:]{4,}", "{PLAIN}", "{CLEARTEXT}", "{CRYPT}"),
    _format(r"nvapi-[\w-]{40,}", "nvapi-"),
    _format(r"tvly-(?:dev-|prod-)?[\w-]{30,}", "tvly-"),
    _format(r"mlsn\.[0-9a-f]{60,}", "mlsn."),
    _format(r"xkeysib-[0-9a-f]{60,}[\w-]*", "xkeysib-"),
    _format(r"FLWSECK(?:_TEST)?-[\w-]{20,}", "FLWSECK"),
    _format(r"pat-(?:na|eu|ap)\d-[0-9a-f-]{36}", "pat-na", "pat-eu", "pat-ap"),
    _format(r"NRJS-[0-9a-f]{19,}", "NRJS-"),
    _format(r"CFPAT-[\w-]{40,}", "CFPAT-"),
    _format(r"sb_secret_[\w-]{30,}", "sb_secret_"),
    _format(r"pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{40,}", "pcsk_"),
    _format(r"access_token\$\w{1,16}\$[a-z0-9]{16}\$[0-9a-f]{32}", "access_token$"),
    _format(
        r"(?:IQoJb3JpZ2lu|FwoGZXIvYXdz)[\w+/=%-]{60,}", "IQoJb3JpZ2lu", "FwoGZXIvYXdz"
    ),  # of STS
    _format(r"dG9rO[A-Za-z0-9+/=]{50,}", "dG9rO"),  # Intercom
    _format(
        r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{32,76}?"
        r"(?:AzFu|AzSe|AzCa|ACDb|JQQJ99|\+ASt|\+ACR|\+ARm)[A-Za-z0-9+/]{4,}={0,2}",
        *("AzFu", "AzSe", "AzCa", "ACDb", "JQQJ99", "+ASt", "+ACR", "+ARm"),
    ),
    # A prefix of a few letters: the whole pattern is what is looked for.
    _format(r"[sp]k_[0-9a-f]{34,}"),  # ElevenLabs, Klaviyo
    _format(r"[0-9a-f]{32}-us\d{1,2}"),  # Mailchimp
    _format(r"re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}"),  # Resend
    _format(r"K10[0-9a-f]{64}::\S{4,}"),  # k3s, RKE2
    _format(r"SK[0-9a-f]{32}"),  # Twilio
    _format(r"AC[0-9a-f]{32}:[0-9a-f]{32}"),
    _format(r"key[A-Za-z0-9]{14}"),  # Airtable
    _format(r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    _format(r"s\.[A-Za-z0-9]{24}"),  # Vault, before 1.10
    _format(r"1/[0-9]{16}:[0-9a-f]{32}"),  # Asana
    _format(r"[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}"),  # Discord
    _format(r"(?:live|test)_[0-9a-f]{35}"),  # Lob
    _format(r"oy2[a-z0-9]{43}"),  # NuGet
    _format(r"cio[A-Za-z0-9]{32}"),  # crates.io
    _format(r"(?:[a-zA-Z0-9]{52}|[a-zA-Z0-9]{76})AZDO[a-zA-Z0-9]{4}"),  # Azure DevOps
    _format(r"sl\.[\w-]{100,}"),
    _format(r"LTAI[A-Za-z0-9]{16,}", "LTAI"),
    _format(r"AKID[A-Za-z0-9]{28,}", "AKID"),
    _format(r"AQVN[\w-]{32,}", "AQVN"),
    _format(r"dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{36,}"),
    _format(r"(?:ntn|secret)_[A-Za-z0-9]{40,}"),
    _format(r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{16,}_[0-9a-f]{40}", "CCIPAT_", "CCIPRJ_"),
    _format(r"bk[a-z]a_[0-9a-f]{32,}", "bkua_"),
    _format(r"v1\.0-[0-9a-f]{24}-[0-9a-f]{100,}", "v1.0-"),
    _format(r"f(?:m1[ar]|m2|o1)_[\w+/=-]{40,}", "fm1r_", "fm1a_", "fm2_", "fo1_"),
    _format(r"vc[pikar]_[A-Za-z0-9]{24,}", "vcp_", "vci_", "vca_", "vcr_", "vck_"),
    _format(r"NRI[IQ]-[\w-]{24,}", "NRII-", "NRIQ-"),
    _format(r"CLOJARS_[0-9a-f]{40,}", "CLOJARS_"),
    _format(r"AKCp[0-9][A-Za-z0-9]{50,}", "AKCp"),
    _format(r"cmVmdGtuOj[\w+/=]{40,}", "cmVmdGtuOj"),
    _format(r"HRKU-[\w-]{32,}", "HRKU-"),
    _format(r"fio-u-[\w-]{40,}", "fio-u-"),
    _format(r"aio_[A-Za-z0-9]{28}"),
    _format(r"EZ[AT]K[A-Za-z0-9]{50,}", "EZAK", "EZTK"),
    _format(r"duffel_(?:live|test)_[\w-]{40,}", "duffel_"),
    _format(r"access-(?:sandbox|development|production)-[0-9a-f-]{36}"),
    _format(r"pplx-[A-Za-z0-9]{40,}", "pplx-"),
    _format(r"pat\.[\w-]{20,24}\.[0-9a-f]{24}\.[A-Za-z0-9]{20}"),
    _format(r"GR1348941[\w-]{20,}", "GR1348941"),
    _format(r"sq[apu]_[0-9a-f]{40}", "sqp_", "squ_", "sqa_"),
    _format(r"ops_eyJ[\w+/=-]{60,}", "ops_eyJ"),
    _format(r"ico-[A-Za-z0-9]{32}", "ico-"),
    _format(r"rdme_[A-Za-z0-9]{60,}", "rdme_"),
    _format(r"tk-us-[\w-]{40,}", "tk-us-"),
    _format(r"sm_(?:pat|aat|sat)_[A-Za-z0-9]{16,}", "sm_pat_", "sm_aat_", "sm_sat_"),
    _format(r"pn[ub]_[A-Za-z0-9]{36}", "pnu_", "pnb_"),
    _format(r"(?<=hooks\.zapier\.com/hooks/catch/)[\w/]{8,}", "hooks.zapier.com/"),
    _format(r"oauth:[a-z0-9]{30}", "oauth:"),
    # gzip in base64, once or twice: what nobody has read.
    _format(r"H4sI[\w+/-]{24,}={0,2}", "H4sI"),
    _format(r"SDRzSU[\w+/-]{24,}={0,2}", "SDRzSU"),
    # Private keys as DER in base64, without their armour: OpenSSH, PKCS #1, PKCS #8, SEC 1.
    _format(r"b3BlbnNzaC1rZXktdjE[\w+/=\s]{20,}", "b3BlbnNzaC1rZXktdjE"),
    _format(
        r"MII[A-Za-z0-9+/]{4}(?:BADANBg|BAAKC)[\w+/=\s\\]{20,}", "MIIE", "MIIJ", "MIIC", "MIIB"
    ),
    _format(r"MHcCAQEE[\w+/=\s]{20,}", "MHcCAQEE"),
    _format(r"MC4CAQAwBQYDK2V[\w+/=]{20,}", "MC4CAQAwBQYDK2V"),
)
# Of a vendor that has no row: a prefix, an underscore, 22 letters of both cases and digits. A
# digest has one case; so have names of objects, which have no underscore either.
OF_ANY_VENDOR: Final = r"[a-z0-9]_[A-Za-z0-9]{22}"
