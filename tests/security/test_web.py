"""The UI takes orders from its own pages and from programs only: on a laptop, where every page in
the browser can reach it, and for a team behind the shipped nginx configuration."""

import base64
import json
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.security.served import (
    ADD_PARTITION,
    LAUNCH,
    QUERY,
    WIPE,
    free_port,
    question,
    request,
    send,
    until_it_answers,
    web_server,
)

NAME = "bonito.example.com"
DEPLOY = Path("deploy/nginx")
MUTATIONS = {"launch": LAUNCH, "wipe": WIPE, "add_partition": ADD_PARTITION}
JSON = ("Content-Type", "application/json")
EVIL = ("Origin", "https://evil.example")
HANDSHAKE = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Protocol", "graphql-ws"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def laptop(home):
    """The port of a web server as `make ui` has it."""
    with web_server(home) as port:
        yield port


class Team:
    """nginx with the shipped configuration, before two web servers."""

    def __init__(self, operators, viewers, name):
        self.ports = {"operators": operators, "viewers": viewers}
        self.name = name

    def host(self, door="operators"):
        return ("Host", f"{NAME}:{self.ports[door]}")

    def origin(self, door="operators"):
        return ("Origin", f"https://{NAME}:{self.ports[door]}")

    def login(self, door="operators", password="right"):
        return (
            "Authorization",
            "Basic " + base64.b64encode(f"{door}:{password}".encode()).decode(),
        )

    def send(self, raw, door="operators"):
        return send(self.ports[door], raw, tls_name=NAME)

    def ask(self, query, door="operators"):
        """Sends what the UI's own page would send."""
        headers = [self.host(door), self.login(door), self.origin(door), JSON]
        headers.append(("Sec-Fetch-Site", "same-origin"))
        return self.send(request("POST", "/graphql", headers, question(query)), door)


@pytest.fixture(scope="module")
def team(home, laptop, tmp_path_factory):
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed: apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("nginx")
    with web_server(home, "--read-only") as read_only:
        operators, viewers = free_port(), free_port()
        configured(folder, operators, viewers, laptop, read_only)
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", "nginx.conf", "-e", str(folder / "error.log")]
        )
        try:
            until_it_answers(operators, process)
            yield Team(operators, viewers, NAME)
        finally:
            process.terminate()
            process.wait(30)


def configured(folder, operators, viewers, web, read_only):
    """Writes the shipped files with ports and places of this test; each must have been there."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    places = ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run(
        ["openssl", "req", "-x509", *key, "-days", "1", "-subj", f"/CN={NAME}", *places],
        check=True,
        capture_output=True,
    )
    for door in ("operators", "viewers"):
        hashed = subprocess.run(
            ["openssl", "passwd", "-6", "right"], check=True, capture_output=True, text=True
        ).stdout
        (folder / f"{door}.htpasswd").write_text(f"{door}:{hashed}")
    changes = {
        "127.0.0.1:3000": f"127.0.0.1:{web}",
        "127.0.0.1:3001": f"127.0.0.1:{read_only}",
        '"https://bonito.example.com"  ': f'"https://{NAME}:{operators}"',
        '"bonito.example.com"  ': f'"{NAME}:{operators}"',
        "bonito.example.com:8443": f"{NAME}:{viewers}",
        "listen 443 ": f"listen 127.0.0.1:{operators} ",
        "listen 8443 ": f"listen 127.0.0.1:{viewers} ",
        "/etc/nginx/bonito/": f"{folder}/",
        "/var/log/nginx/": f"{folder}/",
    }
    unused = set(changes)
    for name in ("bonito.conf", "guard.conf"):
        text = (DEPLOY / name).read_text()
        for old, new in changes.items():
            unused -= {old} if old in text else set()
            text = text.replace(old, new)
        (folder / name).write_text(text)
    assert not unused
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers read what pytest keeps to the user of the test.
    user = f"user {pwd.getpwuid(0).pw_name};\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/pid;\nworker_processes 1;\nevents {{}}\n"
        f"http {{\n{places}access_log off;\ninclude {folder}/bonito.conf;\n}}\n"
    )


# On a laptop


def attacks(here, query, headers=()):
    """What a page at another place can make a browser send, and more; `here` is the right Host."""
    address = "/graphql?query=" + quote(query)
    body = question(query)
    form = f"query={quote(query)}"
    text, coded = "text/plain", "application/x-www-form-urlencoded"
    first = [here, *headers]
    foreign = [*first, EVIL]
    yield "a link", request("GET", address, first)
    yield "a link to another spelling", request("GET", address.replace("l?", "l/?"), first)
    yield "a link with a double slash", request("GET", "/" + address, first)
    yield "a link in percent code", request("GET", address.replace("graphql", "%67raphql"), first)
    yield "an image", request("GET", address, [*first, ("Sec-Fetch-Site", "cross-site")])
    yield "a head request", request("HEAD", address, first)
    yield "a form", request("POST", address, [*foreign, ("Content-Type", coded)], form)
    yield "a form of text", request("POST", "/graphql", [*foreign, ("Content-Type", text)], body)
    yield (
        "a form of text with a query in the address",
        request("POST", address, [*foreign, ("Content-Type", text)], body),
    )
    yield "a form without an origin", request("POST", address, [*first, ("Content-Type", text)])
    yield (
        "a form of a sandboxed page",
        request("POST", address, [*first, ("Origin", "null"), ("Content-Type", coded)], form),
    )
    yield "no content type", request("POST", address, first)
    yield "a script", request("POST", "/graphql", [*foreign, JSON], body)
    yield (
        "a script of a neighbouring port",
        request("POST", "/graphql", [*first, ("Sec-Fetch-Site", "same-site"), JSON], body),
    )
    yield (
        "GraphQL as a content type",
        request("POST", "/graphql", [*first, ("Content-Type", "application/graphql")], query),
    )
    yield (
        "JSON in the parameters of a type",
        request("POST", "/graphql", [*first, ("Content-Type", f"{text};application/json")], body),
    )
    yield (
        "two content types",
        request("POST", address, [*first, ("Content-Type", text), JSON], body),
    )
    yield "two origins", request("POST", "/graphql", [*foreign, here_origin(here), JSON], body)
    yield (
        "an overridden method",
        request("GET", address, [*first, ("X-HTTP-Method-Override", "POST"), JSON], body),
    )
    yield "a put", request("PUT", "/graphql", [*first, JSON], body)
    yield (
        "a preflight",
        request("OPTIONS", "/graphql", [*foreign, ("Access-Control-Request-Method", "POST")]),
    )
    yield (
        "an unknown upgrade",
        request("GET", address, [*first, ("Connection", "Upgrade"), ("Upgrade", "h2c")]),
    )
    yield (
        "another name that points here",
        request("POST", "/graphql", [("Host", "evil.example"), *headers, JSON], body),
    )
    yield "two names", request("POST", "/graphql", [*first, ("Host", "evil.example"), JSON], body)
    yield "no name", request("POST", "/graphql", [*headers, JSON], body, "HTTP/1.0")
    yield (
        "a whole address of another name",
        request("POST", "https://evil.example/graphql", [("Host", "evil.example"), JSON], body),
    )
    yield "a websocket", request("GET", "/graphql", [*foreign, *HANDSHAKE])
    yield (
        "a report of a materialization",
        request("POST", "/report_asset_materialization/documents", foreign),
    )


def here_origin(here):
    return ("Origin", f"https://{here[1]}")


def went_through(answer):
    """Tells whether the other side has what it wanted: a mutation, a subscription or a read."""
    allowed = "access-control-allow-origin" in answer.head.lower()
    return answer.status in (101, 200) and (answer.succeeded or answer.status == 101 or allowed)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_no_foreign_page_gives_an_order_to_the_ui_of_a_laptop(laptop, mutation):
    here = ("Host", f"127.0.0.1:{laptop}")
    sent = dict(attacks(here, MUTATIONS[mutation]))
    assert [name for name, raw in sent.items() if went_through(send(laptop, raw))] == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_pages_of_the_ui_and_programs_give_orders(laptop, name, mutation):
    here = ("Host", f"{name}:{laptop}")
    page = [here, ("Origin", f"http://{name}:{laptop}"), ("Sec-Fetch-Site", "same-origin"), JSON]
    for headers in (page, [here, JSON]):
        # Adding a partition again says so, which it does not where it is refused.
        answer = send(laptop, request("POST", "/graphql", headers, question(MUTATIONS[mutation])))
        assert answer.status == 200
        assert answer.succeeded or "DuplicateDynamicPartitionError" in answer.body


def test_the_ui_of_a_laptop_opens_under_its_own_names_only(laptop):
    for name, status in (("127.0.0.1", 200), ("localhost", 200), ("evil.example", 421)):
        assert (
            send(laptop, request("GET", "/runs", [("Host", f"{name}:{laptop}")])).status == status
        )


# A team


def test_through_the_proxy_no_foreign_page_gives_an_order(team, subtests):
    for name, query in MUTATIONS.items():
        # The browser has the password and sends it along, as it does.
        for attack, raw in attacks(team.host(), query, [team.login()]):
            with subtests.test(f"{name} by {attack}"):
                answer = team.send(raw)
                assert not went_through(answer)
                assert answer.status < 500


@pytest.mark.parametrize("door", ["operators", "viewers"])
@pytest.mark.parametrize(
    "login",
    [None, ("Authorization", "Basic AAAA"), "wrong", ("Authorization", "Bearer right")],
    ids=["none", "broken", "wrong", "of another kind"],
)
def test_nobody_enters_without_the_password(team, door, login):
    if login == "wrong":
        login = team.login(door, "wrong")
    headers = [team.host(door), *([login] if login else [])]
    for target in ("/", "/logs/a/b.err", "/download_debug/x", "/server_info", "/_next/x.js"):
        answer = team.send(request("GET", target, headers), door)
        assert (answer.status, "Dagster" in answer.body) == (401, False), target
    asked = request("POST", "/graphql", [*headers, JSON], question(QUERY))
    assert team.send(asked, door).status == 401
    assert team.send(request("GET", "/graphql", [*headers, *HANDSHAKE]), door).status == 401


def test_the_password_of_viewers_does_not_open_the_door_of_operators(team):
    headers = [team.host(), team.login("viewers"), JSON]
    assert team.send(request("POST", "/graphql", headers, question(LAUNCH))).status == 401


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_operators_give_orders_from_the_pages_of_the_ui(team, mutation, kind):
    headers = [team.host(), team.login(), team.origin(), ("Sec-Fetch-Site", "same-origin")]
    asked = [*headers, ("Content-Type", kind)]
    answer = team.send(request("POST", "/graphql", asked, question(MUTATIONS[mutation])))
    assert answer.status == 200
    assert answer.succeeded or "DuplicateDynamicPartitionError" in answer.body


def test_a_program_gives_orders_with_its_password(team):
    headers = [team.host(), team.login(), JSON]
    assert team.send(request("POST", "/graphql", headers, question(LAUNCH))).succeeded


@pytest.mark.parametrize("door", ["operators", "viewers"])
def test_the_ui_listens_for_news_and_a_foreign_page_does_not(team, door):
    login = [team.host(door), team.login(door)]
    own = request("GET", "/graphql", [*login, team.origin(door), *HANDSHAKE])
    assert team.send(own, door).status == 101
    assert team.send(request("GET", "/graphql", [*login, EVIL, *HANDSHAKE]), door).status == 403


def test_viewers_see_everything_and_every_mutation_is_refused_to_them(team):
    """Every mutation of this Dagster, with made-up arguments: nothing changes."""
    assert json.loads(team.ask(QUERY, "viewers").body)["data"]["version"]
    before = contents(team)
    tried = dict(every_mutation(team))
    assert len(tried) > 30 and {"launchRun", "wipeAssets", "addDynamicPartition"} <= tried.keys()
    for query in [*tried.values(), *MUTATIONS.values()]:
        answer = team.ask(query, "viewers")
        assert not answer.succeeded, query
        assert answer.status != 400, query
    for query in MUTATIONS.values():
        assert "UnauthorizedError" in team.ask(query, "viewers").body
    assert contents(team) == before


def contents(team):
    """What mutations could change."""
    query = """{ runsOrError { ... on Runs { results { id status } } }
      assetsOrError { ... on AssetConnection { nodes { id } } }
      instance { concurrencyLimits { concurrencyKey } autoMaterializePaused }
      assetNodes { partitionKeys } }"""
    answer = team.ask(query.replace("\n", " "), "operators")
    assert answer.status == 200
    return answer.body


def every_mutation(team):
    """Gives each mutation's name and a call of it, with a value for each argument."""
    query = """{ __schema {
      mutationType { fields { name args { name type { ...T } } type { ...T } } }
      types { name kind enumValues { name } inputFields { name type { ...T } } } } }
      fragment T on __Type { kind name ofType { kind name ofType { kind name ofType
        { kind name } } } }
    """
    schema = json.loads(team.ask(query.replace("\n", " "), "viewers").body)["data"]["__schema"]
    types = {kind["name"]: kind for kind in schema["types"]}
    scalars = {"Int": "1", "Float": "1.0", "Boolean": "false", "RunConfigData": "{}"}

    def value(kind, depth=0):
        if kind["kind"] == "NON_NULL":
            return value(kind["ofType"], depth)
        if kind["kind"] == "LIST":
            return f"[{value(kind['ofType'], depth)}]"
        known = types[kind["name"]]
        if known["kind"] == "ENUM":
            return known["enumValues"][0]["name"]
        if known["kind"] == "INPUT_OBJECT":
            fields = [f for f in known["inputFields"] if f["type"]["kind"] == "NON_NULL"]
            return (
                "{" + ", ".join(f"{f['name']}: {value(f['type'], depth + 1)}" for f in fields) + "}"
            )
        return scalars.get(known["name"], '"documents"')

    for field in schema["mutationType"]["fields"]:
        arguments = ", ".join(f"{arg['name']}: {value(arg['type'])}" for arg in field["args"])
        called = f"({arguments})" if arguments else ""
        given = field["type"].get("ofType") or field["type"]
        shown = "" if given["kind"] == "SCALAR" else "{ __typename }"
        yield field["name"], f"mutation {{ {field['name']}{called} {shown} }}"


@pytest.mark.parametrize("door", ["operators", "viewers"])
def test_pages_are_neither_framed_nor_kept_nor_allowed_to_load_foreign_images(team, door):
    answer = team.send(request("GET", "/", [team.host(door), team.login(door)]), door)
    head = answer.head.lower()
    assert answer.status == 200
    for line in (
        "frame-ancestors 'none'",
        "img-src 'self' data: blob:",
        "script-src 'nonce-",
        "x-frame-options: deny",
        "x-content-type-options: nosniff",
        "referrer-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "strict-transport-security: max-age=",
    ):
        assert line in head
    assert head.count("cache-control:") == 1 and "cache-control: no-store" in head


def test_what_is_too_large_to_be_a_configuration_is_not_taken_in(team):
    headers = [team.host(), team.login(), JSON, ("Content-Length", "3000000")]
    assert team.send(request("POST", "/graphql", headers)).status == 413


def test_the_log_of_the_proxy_holds_no_query_and_no_password(team, tmp_path_factory):
    headers = [team.host(), team.login()]
    team.send(request("GET", "/assets?q=planted-in-a-query", headers))
    folder = max(tmp_path_factory.getbasetemp().glob("nginx*"))
    log = (folder / "bonito.log").read_text()
    assert " operators [" in log
    for planted in ("planted-in-a-query", "right", team.login()[1].split()[1]):
        assert planted not in log


# That the attacks are attacks


@pytest.mark.slow
def test_without_the_guard_a_foreign_page_gives_orders(tmp_path):
    with web_server(tmp_path, guarded=False) as port:
        sent = dict(attacks(("Host", f"127.0.0.1:{port}"), LAUNCH))
        through = [name for name, raw in sent.items() if went_through(send(port, raw))]
    assert {"a link", "an image", "a form", "another name that points here"} <= set(through)
