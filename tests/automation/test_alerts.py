"""Somebody hears of a failed run, once, without a secret or a corpus's text in the message.

Servers, sockets and the Dagster instance are real.
"""

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonito_assets import settings
from bonito_assets.automation import alerts
from bonito_assets.automation.alerts import AlertNotSent, Cursor, alert, deliver, post, send

SECRET = "T0KEN-in-the-path"


class Hook:
    """A webhook on this machine; ``answers`` are the statuses it gives, then 200."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/hooks/{SECRET}"
        self.answers, self.bodies = [], []


@pytest.fixture
def hook():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.bodies.append(json.loads(body))
            status = hook.answers.pop(0) if hook.answers else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", hook.url)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Hook(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hook
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def mail_server(refuses=False):
    """An SMTP server of a dozen lines; gives its port and the lines that it was sent."""
    listener = socket.create_server(("127.0.0.1", 0))
    lines = []

    def serve():
        connection, _ = listener.accept()
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(b"220 here\r\n")
            in_data = False
            for raw in stream:
                line = raw.decode().rstrip("\r\n")
                verb = line[:4].upper()
                lines.append(line)
                if in_data:
                    in_data = line != "."
                    if not in_data:
                        stream.write(b"250 taken\r\n")
                elif verb == "DATA":
                    in_data = True
                    stream.write(b"354 go on\r\n")
                elif verb == "RCPT" and refuses:
                    stream.write(b"550 nobody here\r\n")
                else:
                    stream.write(b"221 bye\r\n" if verb == "QUIT" else b"250 yes\r\n")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield listener.getsockname()[1], lines
    thread.join(5)


@pytest.fixture
def told(hook, monkeypatch):
    monkeypatch.setenv("BONITO_ALERT_WEBHOOK", hook.url)
    monkeypatch.setenv("BONITO_UI_URL", "https://bonito.example/")
    return hook


# What is said


def test_a_webhook_gets_a_line_for_people_and_fields_for_programs(told):
    said = alert("run_failed", "Bonito: corpus 'nda' failed", "it is full", "r1", corpus="nda")
    assert send(said) == []
    assert told.bodies == [
        {
            "text": "Bonito: corpus 'nda' failed: it is full (https://bonito.example/runs/r1)",
            "kind": "run_failed",
            "title": "Bonito: corpus 'nda' failed",
            "cause": "it is full",
            "corpus": "nda",
            "job": None,
            "run_id": "r1",
            "step": None,
            "url": "https://bonito.example/runs/r1",
        }
    ]


@given(st.text())
def test_no_text_becomes_markup_a_call_to_all_or_a_second_line(cause):
    line = alert("x", "t", f"<!channel> @all {cause}").text
    assert not set("<>\n\r\x00") & set(line)
    assert "@all" not in line
    assert len(line) <= 510


def test_values_of_secret_settings_are_masked(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_planted_secret")
    assert "planted" not in alert("x", "t", "401 for hf_planted_secret").text


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_is_an_error_that_does_not_tell_its_address(hook, status):
    hook.answers = [status]
    with pytest.raises(AlertNotSent, match=str(status)) as raised:
        post(hook.url, alert("x", "t", "c"))
    assert SECRET not in str(raised.value) and raised.value.__cause__ is None
    assert len(hook.bodies) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "http://a b/", "http://[/"])
def test_a_webhook_that_is_not_there_is_an_error_that_does_not_tell_its_address(address):
    with pytest.raises(AlertNotSent, match="not reached") as raised:
        post(address + SECRET, alert("x", "t", "c"))
    assert SECRET not in str(raised.value)


def test_an_e_mail_holds_the_alert_and_goes_to_everybody_named(monkeypatch):
    with mail_server() as (port, lines):
        monkeypatch.setenv("BONITO_SMTP_URL", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("BONITO_ALERT_EMAIL", "a@example.org, b@example.org")
        assert send(alert("run_failed", "Bonito: x failed\nBcc: evil@example.org", "why")) == []
    assert "Subject: Bonito: x failed" in lines
    assert {"rcpt TO:<a@example.org>", "rcpt TO:<b@example.org>"} <= set(lines)
    assert "why" in lines
    assert not any("evil" in line for line in lines)


def test_a_password_never_goes_out_in_the_clear(monkeypatch):
    with mail_server() as (port, lines):
        monkeypatch.setenv("BONITO_SMTP_URL", f"smtp://me:pass-word@127.0.0.1:{port}")
        monkeypatch.setenv("BONITO_ALERT_EMAIL", "a@example.org")
        (problem,) = send(alert("x", "t", "c"), attempts=1)
    assert "STARTTLS" in problem
    assert not any("AUTH" in line or "pass" in line for line in lines)


def test_a_mail_server_that_refuses_is_told_without_its_login(monkeypatch):
    with mail_server(refuses=True) as (port, _):
        monkeypatch.setenv("BONITO_SMTP_URL", f"smtp://someone@127.0.0.1:{port}")
        monkeypatch.setenv("BONITO_ALERT_EMAIL", "a@example.org")
        (problem,) = send(alert("x", "t", "c"), attempts=1)
    assert problem == "alert not sent: the mail server refused everybody it was meant for"
    assert "someone" not in problem


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BONITO_ALERT_WEBHOOK", "hooks.example.org/secret-part"),
        ("BONITO_ALERT_WEBHOOK", "file:///etc/secret-part"),
        ("BONITO_SMTP_URL", "http://me:secret-part@mail"),
        ("BONITO_SMTP_URL", ""),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name_and_not_by_value(
    monkeypatch, variable, value
):
    monkeypatch.setenv("BONITO_ALERT_EMAIL", "a@example.org")
    monkeypatch.setenv(variable, value)
    with pytest.raises(settings.SettingError, match=variable) as raised:
        alerts.channels()
    assert "secret-part" not in str(raised.value)


def test_passwords_of_the_mail_server_do_not_show(monkeypatch):
    monkeypatch.setenv("BONITO_ALERT_EMAIL", "a@example.org")
    monkeypatch.setenv("BONITO_SMTP_URL", "smtps://me%40example.org:pass-word@mail:465")
    mail = settings.alert_mail()
    assert mail.sender == "me@example.org"
    assert "pass-word" not in repr(mail)


# When it is said


class Clock:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self):
        return self.now


def of(*numbers):
    return {number: lambda number=number: alert("x", str(number), "c") for number in numbers}


class Flaky:
    """A channel that fails as often as it is told to."""

    def __init__(self, failures=0):
        self.failures, self.got = failures, []

    def __call__(self, said):
        if self.failures:
            self.failures -= 1
            raise AlertNotSent("down")
        self.got.append(int(said.title))


@given(
    st.lists(st.integers(1, 99), unique=True, max_size=5).map(sorted),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_every_channel_gets_every_alert_once_and_in_order_however_often_one_is_down(
    numbers, chat_failures, mail_failures
):
    through = {"webhook": Flaky(chat_failures), "e-mail": Flaky(mail_failures)}
    cursor, clock = Cursor(0), Clock()
    for _ in range(40):
        due = {n: made for n, made in of(*numbers).items() if n > cursor.after}
        cursor, _ = deliver(due, Cursor.read(cursor.written()), clock, through)
        clock.now += 3600
    assert [channel.got for channel in through.values()] == [numbers, numbers]


def test_a_channel_that_is_down_is_left_alone_for_growing_pauses():
    channel, clock = Flaky(3), Clock()
    cursor, waits = Cursor(0), []
    for left in (2, 1, 0):
        cursor, _ = deliver(of(1), cursor, clock, {"webhook": channel})
        waits.append(cursor.not_before - clock.now)
        clock.now = cursor.not_before - 1
        assert deliver(of(1), cursor, clock, {"webhook": channel}) == (cursor, [])
        assert channel.failures == left
        clock.now = cursor.not_before
    assert waits == [30, 60, 300]


def test_an_alert_that_nobody_takes_is_given_up_and_the_next_is_sent():
    channel, clock = Flaky(120), Clock()
    cursor, said = Cursor(0), []
    while cursor.after < 2:
        due = {n: made for n, made in of(1, 2).items() if n > cursor.after}
        cursor, lines = deliver(due, cursor, clock, {"webhook": channel})
        said += lines
        clock.now += 3600
    assert channel.got == [2]
    assert said[-1] == "given up on an alert: down"


# With Dagster


@dg.asset
def broken():
    """Fails as our own steps do."""
    raise dg.Failure("corpora/x.yaml: source.files: nothing is there", allow_retries=False)


@dg.asset
def surprising():
    """Fails as a library might, quoting what it read."""
    raise RuntimeError("cannot parse 'the private sentence of a document'")


@dg.asset(check_specs=[dg.AssetCheckSpec("balanced", asset="checked", blocking=True)])
def checked():
    """Fails at its blocking check."""
    check = dg.AssetCheckResult(check_name="balanced", passed=False, description="3 rows are lost")
    return dg.MaterializeResult(check_results=[check])


def fail(asset, instance, tags=None):
    return dg.materialize([asset], instance=instance, raise_on_error=False, tags=tags)


@pytest.fixture
def instance():
    with dg.instance_for_test() as opened:
        yield opened


def tick(instance, cursor):
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        reason = alerts.alert_failed_runs(context)
        return context.cursor, reason.skip_message


def test_each_run_that_fails_from_now_on_is_told_once_with_step_and_cause(told, instance):
    fail(broken, instance)
    cursor, _ = tick(instance, None)
    assert told.bodies == []
    run = fail(broken, instance, {"dagster/partition": "nda"})
    fail(checked, instance)
    for _ in range(3):
        cursor, _ = tick(instance, cursor)
    first, second = told.bodies
    assert first["text"] == (
        "Bonito: corpus 'nda' failed at broken: corpora/x.yaml: source.files: nothing is there "
        f"(https://bonito.example/runs/{run.run_id})"
    )
    assert second["cause"] == "check balanced failed: 3 rows are lost"


def test_what_a_library_quoted_is_not_told(told, instance):
    cursor, _ = tick(instance, None)
    fail(surprising, instance)
    tick(instance, cursor)
    assert told.bodies[0]["cause"] == "RuntimeError; its message is in the run's log"


def test_a_run_that_will_be_retried_is_not_told(told, instance):
    cursor, _ = tick(instance, None)
    fail(broken, instance, {"dagster/will_retry": "true"})
    fail(broken, instance)
    cursor, _ = tick(instance, cursor)
    assert len(told.bodies) == 1
    assert tick(instance, cursor) == (cursor, "no news")


def test_a_webhook_that_is_down_does_not_fail_the_tick_and_gets_the_alert_later(
    told, instance, monkeypatch
):
    cursor, _ = tick(instance, None)
    fail(broken, instance)
    told.answers = [503]
    cursor, message = tick(instance, cursor)
    assert message == "0 failed runs told, 1 waiting"
    monkeypatch.setattr(alerts, "_PAUSES", (0,))
    cursor = json.dumps(json.loads(cursor) | {"not_before": 0})
    _, message = tick(instance, cursor)
    assert message == "1 failed runs told, 0 waiting"


def test_the_sensor_is_there_and_running_only_where_somebody_is_to_be_told(told, monkeypatch):
    (sensor,) = alerts.sensors()
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    monkeypatch.delenv("BONITO_ALERT_WEBHOOK")
    assert alerts.sensors() == []
