"""Takes credentials out of free text: messages, user agents, scripts and files inside strings."""

import re

from k8s_audit_otlp.event.secrets.forms import without_forms
from k8s_audit_otlp.event.secrets.grammar import NAMES, bits_of, holds, needles_in
from k8s_audit_otlp.event.secrets.named_values import without_named_values
from k8s_audit_otlp.event.secrets.replacement import Replacement

_SIGNATURE = re.compile(
    r"([?&;](?:sig|signature|x-amz-signature|x-goog-signature)=)([^&\s\"']+)", re.IGNORECASE
)
_SIGNATURE_NEEDLES = bits_of(("sig=", "signature="))


def clean(text: str, replacement: Replacement, *, prose: bool = False, names: bool = True) -> str:
    """Take tokens, keys and passwords out of text whose shape nobody knows.

    In prose a colon ends a clause: `invalid token: key is not valid` states no token. Without
    *names* only what shows itself by its form is taken, not what stands behind a name and a sign.
    """
    found = needles_in(text)
    if not holds(found, text):
        return text
    text = without_forms(text, found, replacement)
    if names and found & _SIGNATURE_NEEDLES:
        text = _SIGNATURE.sub(lambda match: match[1] + replacement(match[2]), text)
    return without_named_values(text, replacement, prose=prose) if names and found & NAMES else text
