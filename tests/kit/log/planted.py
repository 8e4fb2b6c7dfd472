"""Lines of an audit log with secrets planted in them, written and wrapped in every odd way.

`PlantedLines(seed)` makes bodies of the kinds that the redaction rules promise to clean, mutates
their structure and their spelling, and says which value each line hides.
"""

import base64
import json
import random
import re
import string
from collections.abc import Callable
from typing import Any, NamedTuple

LETTERS = string.ascii_lowercase + string.digits  # of one case: its form alone tells nothing
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NAMES = (
    *("password", "dbPassword", "DB_PASSWORD", "client-secret", "apiKey", "api_key", "token"),
    *("accessToken", "privateKey", "secretAccessKey", "passphrase", "credentials", "dbpass"),
    *("hmacKey", "licenseKey", "connectionString", "authToken", "requirepass"),
)
_ESCAPED = re.compile(r"\\+u([0-9a-fA-F]{4})")


class Planted(NamedTuple):
    line: bytes
    value: str
    how: str  # for the message of a test that fails


class PlantedLines:
    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - seeded: the same lines again

    def __call__(self) -> Planted:
        rng = self.rng
        value = "zq7" + "".join(rng.choices(LETTERS, k=15)) + "9"
        form = rng.choice(_FORMS)
        body = form(rng, value)
        how = [form.__name__]
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            wrapping = rng.choice(_WRAPPINGS)
            body = wrapping(rng, body)
            how.append(wrapping.__name__)
        text = self._written(body, how)
        return Planted(self._line(text, how).encode(), value, " ".join(how))

    def _written(self, body: Any, how: list[str]) -> str:
        rng = self.rng
        spaced = rng.random() < 0.1
        text = json.dumps(body, separators=(", ", ": ") if spaced else (",", ":"))
        text = text.replace(json.dumps(_SAME), '"x"')
        text = text.replace("<", "\\u003c").replace("&", "\\u0026")
        if rng.random() < 0.2:
            how.append("escaped")
            text = _escape_some(rng, text)
        return text

    def _line(self, body: str, how: list[str]) -> str:
        rng = self.rng
        names = rng.choice((("requestObject",), ("responseObject",), _BOTH, _TWICE))
        how.append("+".join(names))
        resource = rng.choice(("pods", "widgets", "deployments", "secrets"))
        members = [
            '"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse"',
            f'"auditID":"{rng.getrandbits(128):032x}","stage":"ResponseComplete"',
            f'"requestURI":"/api/v1/namespaces/shop/{resource}/x","verb":"update"',
            '"user":{"username":"alice","groups":["dev"]},"sourceIPs":["10.1.2.3"]',
            f'"objectRef":{{"resource":"{resource}","namespace":"shop","name":"x"}}',
            '"responseStatus":{"metadata":{},"code":200}',
            *(f'"{name}":{body}' for name in names),
            '"stageTimestamp":"2026-01-02T03:04:06.000001Z"',
        ]
        if rng.random() < 0.1:
            how.append("shuffled")
            rng.shuffle(members)
        return "{" + ",".join(members) + "}"


_NEED_THEIR_END = ("@", "eyJ", "ghp_", "map[")  # a form that ends early is another one
_SAME = "the name of its neighbour"
_BOTH = ("requestObject", "responseObject")
_TWICE = ("responseObject", "responseObject")


def _escape_some(rng: random.Random, text: str) -> str:
    r"""Write letters as `\u0061`, which means the same and looks different."""
    return re.sub(
        r"(?<!\\)[A-Za-z]+",
        lambda m: f"\\u{ord(m[0][0]):04x}{m[0][1:]}" if rng.random() < 0.2 else m[0],
        text,
    )


def shows(record: bytes, value: str) -> bool:
    """Tell whether a record holds a value or most of it: plain, escaped or in base64."""
    text = record.decode("utf-8", "replace")
    texts = [text, _ESCAPED.sub(lambda m: chr(int(m[1], 16)), text)]
    part = value[:12]
    shapes = [part, base64.b64encode(value.encode()).decode()[:16]]
    return any(shape in each for each in texts for shape in shapes)


def _b64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


# -- forms: where a rule says that a value is a secret ------------------------------------------


def named(rng: random.Random, value: str) -> Any:
    return {"metadata": {"name": "x"}, "spec": {rng.choice(NAMES): value, "replicas": 2}}


def named_deeper(rng: random.Random, value: str) -> Any:
    inner = rng.choice(({"key": value}, [value], {"a": {"b": value}}, [{"value": value}]))
    return {"spec": {rng.choice(("tokens", "passwords", "apiKey", "credentials")): inner}}


def secret_data(_: random.Random, value: str) -> Any:
    return {"kind": "Secret", "apiVersion": "v1", "data": {"blob": _b64(value)}, "type": "Opaque"}


def secret_text(_: random.Random, value: str) -> Any:
    return {"stringData": {"blob": value}, "kind": "Secret", "apiVersion": "v1"}


def secret_list(_: random.Random, value: str) -> Any:
    return {"kind": "SecretList", "items": [{}, {"data": {"a": _b64("x"), "b": _b64(value)}}]}


def config_map(_: random.Random, value: str) -> Any:
    return {"kind": "ConfigMap", "apiVersion": "v1", "data": {"any.conf": value}}


def env(rng: random.Random, value: str) -> Any:
    one: dict[str, Any] = {"name": "ANY", "value": value}
    if rng.random() < 0.3:
        one = {"name": "DB_PASSWORD", "required": True, "value": value}
    return {"spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "b"}, one]}]}}


def env_by_another_name(rng: random.Random, value: str) -> Any:
    name = rng.choice(("extraEnvs", "environment", "containerEnv"))
    return {"spec": {name: [{"name": "DB_PASSWORD", "value": value}]}}


def command(rng: random.Random, value: str) -> Any:
    words = rng.choice((["sh", "-c", f"x {value}"], ["app", "--password", value]))
    return {"spec": {"containers": [{"name": "c", rng.choice(("command", "args")): words}]}}


def token_request(_: random.Random, value: str) -> Any:
    return {"kind": "TokenRequest", "status": {"token": value}}


def patch(rng: random.Random, value: str) -> Any:
    path = rng.choice(("/stringData/blob", "/spec/password", "/data/blob"))
    return [{"op": "add", "path": path, "value": value if path != "/data/blob" else _b64(value)}]


def last_applied(rng: random.Random, value: str) -> Any:
    copy = rng.choice((secret_data, secret_text))(rng, value)
    return {"kind": "Secret", "metadata": {"annotations": {LAST_APPLIED: json.dumps(copy)}}}


def assignment(rng: random.Random, value: str) -> Any:
    name = rng.choice(NAMES)
    text = rng.choice(
        (
            f"{name}={value}",
            f"{name}: {value}",
            f"{name} = {value}",
            f'{name}="{value}"',
            f"--{name}={value}",
            f"export {name}='{value}'",
            f"map[{name}:{value}]",
            f'{{"{name}":"{value}"}}',
            f"[db]\n{name} = {value}\nhost = h\n",
            f"db:\n  {name}: {value}\n  host: h\n",
            f"db:\n  {name}: |\n    {value}\n  host: h\n",
            f"a=b;{name}={value};c=d",
        )
    )
    return {"spec": {"text": text}}


def form_of_its_own(rng: random.Random, value: str) -> Any:
    text = rng.choice(
        (
            f"Authorization: Bearer {value}",
            f"curl -H 'Authorization: Bearer {value}' https://h/",
            f"postgres://bob:{value}@db:5432/x",
            f"-----BEGIN RSA PRIVATE KEY-----\n{value}\n-----END RSA PRIVATE KEY-----\n",
            f"eyJhbGciOiJSUzI1NiJ9.{value}.{value}",
            f"see https://h/x?access_token={value}&a=b",
            f"ghp_{value}{value}",
            f"curl -u bob:{value} https://h/",
            f"bob:{value}@tcp(db:3306)/x",
        )
    )
    return {"spec": {"text": text}}


def yaml_secret(_: random.Random, value: str) -> Any:
    text = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  blob: {value}\n"
    return {"spec": {"valuesContent": text}}


_FORMS: tuple[Callable[[random.Random, str], Any], ...] = (
    *(named, named_deeper, secret_data, secret_text, secret_list, config_map, env),
    *(env_by_another_name, command, token_request, patch, last_applied, assignment),
    *(form_of_its_own, yaml_secret),
)


# -- wrappings: what does not change that it is one ------------------------------------------------


def in_members(rng: random.Random, body: Any) -> Any:
    noise = {"labels": {"app": "web"}, "generation": 3, "ok": True, "none": None}
    place = rng.randint(0, len(noise))
    pairs = list(noise.items())
    return dict([*pairs[:place], ("object", body), *pairs[place:]])


def in_list(rng: random.Random, body: Any) -> Any:
    return {"kind": "List", "items": [{"a": 1}] * rng.randint(0, 2) + [body]}


def as_text(_: random.Random, body: Any) -> Any:
    return {"spec": {"manifest": json.dumps(body, separators=(",", ":"))}}


def after_words(_: random.Random, body: Any) -> Any:
    return {"message": f"apply failed: {json.dumps(body)} was refused"}


def in_annotation(_: random.Random, body: Any) -> Any:
    return {"metadata": {"annotations": {"example.com/copy": json.dumps(body)}}}


def cut_off(rng: random.Random, body: Any) -> Any:
    """Return a text whose JSON ends early: behind the value, or in its middle."""
    text = json.dumps(body, separators=(",", ":"))
    if any(map(text.__contains__, _NEED_THEIR_END)):
        return body
    left = rng.randint(len(text) * 2 // 3, len(text) - 1)
    return {"spec": {rng.choice(("note", "message")): f"{rng.choice(('', 'got '))}{text[:left]}"}}


def said_twice(rng: random.Random, body: Any) -> Any:
    """Return a body whose member another one of the same name follows or precedes."""
    pair = [("x", body), (_SAME, {"a": 1})]
    rng.shuffle(pair)
    return {"object": dict(pair)}


def as_lines(rng: random.Random, body: Any) -> Any:
    """Return a text of JSON that is written on lines of its own, with words around it."""
    text = json.dumps(body, indent=rng.choice((1, 2)))
    return {"data_of": [f"applied:\n{text}\nfor nobody"]}


def as_operation(rng: random.Random, body: Any) -> Any:
    """Return a patch that sets it."""
    operation = {"op": "add", "path": "/spec/template", "value": body}
    return [operation] if rng.random() < 0.5 else {"patches": [{"patch": json.dumps([operation])}]}


def in_words(rng: random.Random, body: Any) -> Any:
    quoted = json.dumps(json.dumps(body))
    return {"status": {"reason": f"webhook {rng.choice(('denied', 'said'))}: {quoted}"}}


def shuffled(rng: random.Random, body: Any) -> Any:
    if not isinstance(body, dict):
        return [body]
    pairs = list(body.items())
    rng.shuffle(pairs)
    return dict(pairs)


_WRAPPINGS: tuple[Callable[[random.Random, Any], Any], ...] = (
    *(in_members, in_list, as_text, after_words, in_annotation, shuffled),
    *(cut_off, said_twice, as_lines, as_operation, in_words),
)
