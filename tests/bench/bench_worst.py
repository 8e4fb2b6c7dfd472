"""What the worst input costs: microseconds for each byte of hostile texts, addresses and bodies.

    python -m tests.bench.bench_worst [KILOBYTES] [MIXTURES]

Each fragment is repeated to the size and to a quarter of it: a cost for each byte that grows with
the size is not linear. The bar is 1 us a byte. Mixtures of fragments, by seed, cost more than one.
"""

import random
import sys
import time

import msgspec

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit.strategies import blocks_of, line_of

BAR_US = 1.0
FRAGMENTS = (
    *("/pass%3-", "pass-", "-", "--password ", "password=", "password: ", "token", "eyJ", "eyJ."),
    *("bearer ", "Basic ", "authorization: ", "://", "://a:", "a@", "://a:b@", "a:", "cookie: "),
    *("map[", "got &", "Value: ", 'Value:"', "name: a, value: ", "...|", "<a>", "<password>", "</"),
    *("-u ", "-u a", "header x ", "-----BEGIN PRIVATE KEY-----", "LS0tLS1CRUdJTi", "AKIA", "ghp_"),
    *("{", "[", "{[", '{"', '{"a":', '{"data":{', "data:\n a", "data:\n  a: b\n", "kind: Secret\n"),
    *(
        "\\",
        '"',
        '\\"',
        "'",
        "password='",
        'password="',
        "password: |\n  a\n",
        "a=b;",
        "a.b-",
        "%25",
    ),
    *("abc12Hwxyz3 ", "a7kq9zx3mvp2 ", "lobster805cq ", "key: AB12-CD34-", "tokens {\n", "'a=b "),
    *("env:\n- a=b\n", "env:\n a: b\n", "token a1b!", "a | b\n--+--\n", "passwords:\n  a: b1\n"),
    *("seed:", "auth:", "auth: a ", "salt: a ", "password is ", "token a1", "? token\n: a\n"),
    *("-p aB3dE6gH9z ", "-p a:", "a1b2c3d4e5f6g7h8 auth ", "password-"),
    *("/a:b@", "vault login a ", "snmpget -A a ", "userPassword:: a ", "eyJhIjoi ", "/a/"),
    *("identified by ", "requirepass ", "login a password ", "é", "passwordé", "0123456789abcdef"),
    *(
        "mysql -p",
        "mysql ",
        "docker login ",
        "docker ",
        "login -p ",
        "htpasswd -b a ",
        "setuser ",
        " >",
    ),
    *("openssl -k ", "sshpass -p ", "curl -b ", "curl -u", "--from-literal=a", "echo a|", "echo "),
    *(
        "set password for a ",
        '("password",',
        "ENV A_PASSWORD ",
        "a_password b\n",
        "password 'a",
        "_-.",
    ),
    *(
        "<a value='",
        "<password ",
        "<a name='password' ",
        "<![CDATA[",
        "value: a\nname: ",
        "value: a,",
    ),
    *(
        "path: /data/a\nvalue: ",
        "path: /",
        "Data:map[string]{",
        "data: {a: ",
        "passwords:\n- a",
        "\n- ",
    ),
    *(
        "token%3D",
        "%3D",
        "a=%3d&",
        "?key=",
        ";sig=",
        "//a:",
        "thin:a/",
        "private-lines: 1\n",
        "---- ",
    ),
    *(
        '{"a":"',
        '{"a":["',
        '[{"',
        '{"a":\\"',
        "[[",
        '{"',
        "{{ ",
        "$(",
        "unseal key 1: ",
        "REDACTED",
    ),
    *("&token=", "?a=%3Ftoken%3D", ";token=", "%253D", "command=a&", "$2a$", "{SHA}", ".atlasv1."),
    *("&token=1", "token=REDACTED&", "token={{", "echo   ?", "data: \\"),
    *(
        "data:\n  a: b\n",
        "pat: a1 ",
        "sess=a1&",
        "token:\n a: b\n",
        "token: {\n",
        "tokens:\n- a\n b\n",
        "\\u0070",
    ),
    *("pw is now ", "bad pw ", "set pw to ", "log in as a and ", "creds for a: a and ", "wifi: "),
    *(
        "login failed: a ",
        "seed phrase ",
        "seed is abc abc ",
        "pin 12",
        "1111 is your pin ",
        "use 11",
    ),
    *('"PASS abcdef\r', '("pw", default ', "pw.equals(", "printf '%s' a|", "keyctl add user a "),
    *("cGFzc3dvcmQ", "a,password\n", "<<< aB3dE6gH9z ", "aa_", "echo a>", "sk-", "a:Ab", "1,"),
    *(
        "gw-Ket",
        "gw-Kettle-Lemon ",
        "Ab-",
        "Ab1-Ab ",
        "a!b",
        "AB12-",
        "1234#",
        "aaaa_12_bbbb ",
        "a/Ab1 ",
    ),
    *(
        "key aB3dE6gH9z ",
        "passwords:\n a: b1\n",
        "login -p ",
        "mdp: ",
        "a_pass b\n",
        "p/w: ",
        "<(echo ",
    ),
    *(
        "user: a, password: ",
        "login: a, pass",
        "basic_auth:\n  a: b1\n",
        "creds a: ",
        "a1 login a ",
    ),
    *(
        "password for a: ",
        "seed words abc ",
        "token Rq7KxWmz ",
        "?k=Rq7KxWmz&",
        "mot de passe est ",
    ),
    *(
        "\u5bc6\u7801",
        "?key=\u5bc6",
        "\u043f\u0430\u0440\u043e\u043b\u044c a ",
        "AUTH LOGIN\nabcd\n",
    ),
    *("USER a\nPASS ", "password \n", "insert into a (password) values ('a'), ", "use password "),
)


SIGNS = ("", "\n", " ", ":", "=", ",", "\t", '"', "'", "/", "-", ".")


def mixtures(count: int) -> list[str]:
    rng = random.Random(1)  # noqa: S311 - a benchmark's
    return [
        "".join(rng.choice(FRAGMENTS) + rng.choice(SIGNS) for _ in range(rng.choice((2, 2, 3))))
        for _ in range(count)
    ]


def places(text: str) -> dict[str, bytes]:
    """Put it in lines as kube-apiserver writes them; one with blanks is read twice."""
    lines = {
        "uri": line_of(requestURI="/" + text),
        "query": line_of(requestURI="/x?a=" + text),
        "message": line_of(responseStatus={"code": 400, "message": text}),
        "agent": line_of(userAgent=text),
        "string": line_of(requestObject={"spec": {"a": text}}),
        "annotation": line_of(annotations={"example.com/a": text}),
    }
    return {place: msgspec.json.format(line, indent=-1) for place, line in lines.items()}


def cost_us(line: bytes) -> float:
    """Return the CPU time for each byte through decoding, redaction and encoding."""
    processor = EventProcessor(None, Redactor())
    encoder = Encoder(transform=processor, clean=processor.clean_parts())
    block = blocks_of([line])
    start = time.process_time()
    encoder.encode_block(block)
    return (time.process_time() - start) * 1e6 / len(line)


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 200) * 1000
    worst: list[tuple[float, float, str, str]] = []
    mixed = mixtures(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    for fragment in (*FRAGMENTS, *mixed):
        small = places(fragment * (size // 4 // len(fragment)))
        large = places(fragment * (size // len(fragment)))
        for place in large:
            worst.append((cost_us(large[place]), cost_us(small[place]), place, fragment))
            if worst[-1][0] > 50 * BAR_US:
                say(f"{worst[-1][0]:.1f} us/byte: {place} {fragment!r}")
    worst.sort(reverse=True)
    say("us/byte at the size, at a quarter of it, place, fragment")
    for cost, quarter, place, fragment in worst[:15]:
        say(f"{cost:8.2f} {quarter:8.2f}  {place:10} {fragment!r}")
    say(f"{sum(cost > BAR_US for cost, *_ in worst)} of {len(worst)} over {BAR_US} us a byte")


if __name__ == "__main__":
    main()
