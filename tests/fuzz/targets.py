"""Strategies for request lines, put together from what clients and attackers really send.

Assembled with a ``random.Random`` that Hypothesis seeds: a target takes forty choices, which drawn
one by one cost a hundred times as much. A failing target is printed, not shrunk.
"""

from random import Random

from hypothesis import strategies as st

METHODS = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
ODD_METHODS = st.sampled_from(["", "get", "Get", "OPTIONS", "TRACE", "CONNECT", "LIST", "GET "])

LONG_S = "\u017f"  # folds to "s" in some of Go's comparisons

_GROUPS = ["apps", "batch", "rbac.authorization.k8s.io", "api", "proxy", "watch"]
_VERSIONS = ["v1", "v1", "v1", "v1beta1", "V1", "namespaces", "proxy"]
_RESOURCES = ["pods", "secrets", "services", "nodes", "namespaces", "status", "proxy", "proxies"]
_NAMES = [
    *("web-0", "x", "b", "proxy", "watch", "status", "finalize", "namespaces", "exec", "API"),
    *("x:80", "https:x:443", "ftp:x:1", ":x:", "x:", ":80", "a:b:c:d", "system:node:n1", "..."),
    *("a b", "a;b=c", "~", "a!b", "(a)*", "[a]", "a@b", "a&b=c", "a,b", "a+b", "$a", "a'b"),
]
_SUBRESOURCES = [
    "proxy",
    "proxy",
    "proxy",
    "exec",
    "attach",
    "portforward",
    "log",
    "status",
    "finalize",
    "scale",
]
_ODD_SEGMENTS = [
    *("", ".", "..", "%2e", "%2E%2e", ".%2e", "%2F", "a%2fb", "%5c", "\\", "%25", "%252f", "%00"),
    *("%0a", "%7f", "%", "%z", "%2", "%zz", "%C3%A9", "%E9", "é", "s#f", "s%23f", "s%3Fx", "a%20"),
    *("%20", "+", "{x}", "<x>", '"', "a|b", "`", "^", " ", "\t", "\0", "%70roxy", "w%61tch"),
]
_KEYS = [
    *("watch", "follow", "limit", "timeoutSeconds", "resourceVersion", "container", "command"),
    *("Watch", "WATCH", "watch ", "pretty", "path", "dryRun", "sendInitialEvents", "x", "[x]", "é"),
]
FIELD_SELECTORS = [
    *("metadata.name=s1", "metadata.name==s1", "metadata.name!=s1", "metadata.name=", "=", ",", ""),
    *("metadata.name=a/b", "metadata.name=..", "metadata.name=.", "metadata.name=a b", "a", "a=b"),
    *("metadata.name=x%", "status.phase=Running,metadata.name=s1", "metadata.name=s1,", "a\\=b=c"),
    *("metadata.name=b,metadata.name=a", "metadata.name=b,metadata.name==a", "metadata.name=a\\,b"),
    *("metadata.name=a\\=b", "metadata.name=a\\\\", "metadata.name=a\\", "metadata.name=a\\xb"),
    *(
        "metadata.name=a=b",
        "metadata.name=!=b",
        "metadata.name!==b",
        "Metadata.Name=s1",
        "!=",
        "==",
    ),
    *(" metadata.name=s1", "metadata.name =s1", "metadata.name= s1", "a!b=c,metadata.name=s1"),
    *("a\\,metadata.name=s1", "\\,metadata.name=s1", "metadata.namespace=b", "metadata.name"),
    *("metadata.name=s1\\,", "a=b\\,metadata.name=s1", "metadata.name=é", "metadata.name!s1"),
    *(f"metadata.name={LONG_S}", "metadata.name=" + "s" * 300, "metadata.name=s1,,,a=\\\\,b!=c"),
]
LABEL_SELECTORS = [
    *(
        "",
        " ",
        "a",
        "!a",
        "! a",
        "a=b",
        "a==b",
        "a!=b",
        "a=",
        "a =",
        "a = b , c",
        "a,b",
        "a,",
        ",a",
    ),
    *("a in (b)", "a in(b,c)", "a  notin ( b , c )", "a in ()", "a in (,)", "a in (,,a)", "a in"),
    *("a in (a b)", "a in b", "ain (b)", "in in (in)", "notin", "a>1", "a < 5", "a>b", "a>-1"),
    *("a>+1", "a>99999999999999999999", "k8s.io/a=b", "K8s.io/a=b", "/a", "a/", "a/b/c", "a_b.c-d"),
    *("-a", "a-", "a=-b", "!!a", "!a=b", "a=!b", "a===b", "a=b=c", "a(b)", "(a)", "a b", "é=b"),
    *("a" * 63, "a" * 64, "a=" + "b" * 63, "a=" + "b" * 64, "a=é", "a in (a,)", "a=in", " a ,!b "),
    *("a." * 126 + "a/b", "a." * 126 + "aa/b", "a..b/c", "a.-b/c", "a in (!b)", "a notin (notin)"),
    *("a=notin,in=a", "a>01", "a<0", "a><1", "a=b,,c", "a\x00b", "a\tin\t(b)", "a=b;c", "a<1,b>2"),
]
_VALUES = [
    *("", "0", "1", "00", "true", "false", "False", "FALSE", f"fal{LONG_S}e", " false", "false "),
    *("no", "TRUE", "t", "abc", "-1", "+1", "1_0", "0x1", "\u0663", "1 ", "9223372036854775807"),
    *("9223372036854775808", "-9223372036854775808", "0" * 30, "sh", "echo hi\n", "a\0b", "é"),
    *("a;b", "a&b", "a=b", "%", "a+b", "a/b", "a?b", "[x]", "\u2028", "%zz"),
]
_ODD_PAIRS = [
    *("%zz", "%", ";", "watch=true;x=1", "x=1;watch=true", "watch=%zz", "", "=", "==", "?", "#"),
    *("%E9", "watch", "watch=%2574rue", "%00", "+", "wa%74ch=true", "%77atch=1", "x=%E9", "=watch"),
]
_SELECTOR_TEXTS = [",", "=", "==", "!=", "!", "\\", "(", ")", " in ", " notin ", "<", ">", " ", "/"]
_SELECTOR_TEXTS += ["metadata.name", "a", "b1", "k8s.io", "-", ".", "_", "7", "", "s1", "A", "%"]
_PATH_PLAIN = "-_.~$&+,:;=@!'()*[]"
_QUERY_PLAIN = "-_.~!'(),=/:@?$*"


def _target(random: Random) -> str:
    """Assemble a target; one in some has odd bytes or a foreign form."""
    shape = random.randrange(40)
    if shape == 0:
        return random.choice(
            ["*", "", "http://evil.example/api/v1/pods", "evil.example:443", "api"]
        )
    target = "/" + _raw(random) if shape == 1 else _path(random) + _query(random)
    if shape == 2:
        place = random.randint(0, len(target))
        target = target[:place] + _raw(random) + target[place:]
    return target


def _raw(random: Random) -> str:
    return "".join(chr(random.randrange(0x180)) for _ in range(random.randrange(1, 5)))


def _path(random: Random) -> str:
    segments = _resource_path(random) if random.randrange(6) else _any_path(random)
    if not random.randrange(8):
        segments[random.randrange(len(segments)) :][:1] = [random.choice(_ODD_SEGMENTS)]
    encoded = [_spell(random, segment, _PATH_PLAIN) for segment in segments]
    if not random.randrange(8):
        encoded[random.randrange(len(segments))] = random.choice(_ODD_SEGMENTS)
    slashes = ["/"] * len(encoded)
    if not random.randrange(12):
        odd = random.choice(["//", "%2f", "%2F", "/./", "/../", "\\", "/%2e%2e/"])
        slashes[random.randrange(len(slashes))] = odd
    path = "".join(slash + segment for slash, segment in zip(slashes, encoded, strict=True))
    return path + random.choice([""] * 40 + ["/", "/", "//", "%2F", "/.", "/..", "#", ";"])


def _any_path(random: Random) -> list[str]:
    words = _RESOURCES + _NAMES + _SUBRESOURCES + ["api", "apis", "v1", "healthz", "version"]
    return [random.choice(words) for _ in range(random.randint(1, 9))]


def _resource_path(random: Random) -> list[str]:
    """Choose the segments of a path of the usual shape."""
    segments = ["api"] if random.randrange(2) else ["apis", random.choice(_GROUPS)]
    segments.append(random.choice(_VERSIONS))
    if not random.randrange(20):
        segments.append(random.choice(["watch", "proxy"]))
    if random.randrange(2):
        segments += ["namespaces", random.choice(["dev", "dev", *_NAMES])]
    for words in (_RESOURCES, _NAMES, _SUBRESOURCES):
        if not random.randrange(4):
            return segments
        segments.append(random.choice(words))
    while not random.randrange(2):
        # Behind the subresource, where only a proxied backend looks.
        segments.append(random.choice(_NAMES + _ODD_SEGMENTS))
    return segments


def _query(random: Random) -> str:
    if not random.randrange(3):
        return random.choice(["", "", "?", "??", "?&", "?watch", "?watch="])
    pairs = [_pair(random) for _ in range(random.randint(1, 4))]
    return "?" + random.choice(["&"] * 20 + [";", "&&", "?"]).join(pairs)


def _pair(random: Random) -> str:
    chosen = random.randrange(12)
    if chosen == 0:
        return random.choice(_ODD_PAIRS)
    if chosen < 4:
        selector = random.choice(FIELD_SELECTORS) if chosen < 3 else _selector(random)
        return "fieldSelector=" + _spell(random, selector, _QUERY_PLAIN)
    if chosen < 6:
        selector = random.choice(LABEL_SELECTORS) if chosen < 5 else _selector(random)
        return "labelSelector=" + _spell(random, selector, _QUERY_PLAIN)
    key = _spell(random, random.choice(["watch", *_KEYS]), "-_.~")
    return key + "=" + _spell(random, random.choice(_VALUES), _QUERY_PLAIN)


def _selector(random: Random) -> str:
    return "".join(random.choice(_SELECTOR_TEXTS) for _ in range(random.randint(1, 9)))


def _spell(random: Random, text: str, plain: str) -> str:
    """Encode what is not ``plain``, in capitals or not; one time in three also what is."""
    hexadecimal = random.choice(["%{:02x}", "%{:02X}"])
    every = random.choice([0, 0, 0, 0, 1, random.randint(2, 9)])
    out = []
    for place, byte in enumerate(text.encode()):
        character = chr(byte)
        kept = character in plain or (byte < 128 and character.isalnum())
        if every and place % every == 0:
            kept = False
        out.append(character if kept else hexadecimal.format(byte))
    return "".join(out)


def _list_target(random: Random) -> str:
    """Assemble a list or watch with selectors, where the name comes from the query."""
    pairs = ["fieldSelector=" + _spell(random, _field_selector(random), _QUERY_PLAIN)]
    if random.randrange(3):
        selector = random.choice([*LABEL_SELECTORS, _selector(random)])
        pairs.append("labelSelector=" + _spell(random, selector, _QUERY_PLAIN))
    if not random.randrange(3):
        key = random.choice(["watch", "limit", "timeoutSeconds"])
        pairs.append(f"{key}={_spell(random, random.choice(_VALUES), _QUERY_PLAIN)}")
    random.shuffle(pairs)
    return "/api/v1/namespaces/dev/pods?" + "&".join(pairs)


def _field_selector(random: Random) -> str:
    terms = [_selector(random), *random.sample(FIELD_SELECTORS, 2), "metadata.name=s1"]
    return ",".join(random.sample(terms, random.randint(1, 2)))


def _client_target(random: Random) -> str:
    """Assemble a target that client-go could have written: nothing in it is odd."""
    path = random.choice(["/api/v1", "/apis/apps/v1", "/apis/kzproxy.dev/v1beta1"])
    if random.randrange(2):
        path += "/namespaces/" + random.choice(["dev", "kube-system", "a-1"])
    path += "/" + random.choice(["pods", "services", "configmaps", "widgets"])
    if random.randrange(2):
        path += "/" + random.choice(["web-0", "web.example", "a%20b", "web:80", "https:web:443"])
        path += random.choice(["", "/status", "/scale", "/log", "/exec", "/proxy", "/proxy/a/b/"])
    pairs = [
        "fieldSelector=" + random.choice(["metadata.name%3Ds1", "status.phase%21%3DRunning"]),
        "labelSelector="
        + random.choice(["app%3Dweb%2Ctier+in+%28a%2Cb%29", "%21app%2Ck8s.io%2Fa"]),
        "limit=500",
        "pretty=true",
        "timeoutSeconds=599",
        "watch=" + random.choice(["true", "1", "false"]),
    ]
    chosen = [pair for pair in pairs if random.randrange(2)]
    return path + ("?" + "&".join(chosen) if chosen else "")


def _assembled_by(assemble):
    return st.randoms(use_true_random=True).map(assemble)


TARGETS = _assembled_by(_target)
LIST_TARGETS = _assembled_by(_list_target)
CLIENT_TARGETS = _assembled_by(_client_target)
