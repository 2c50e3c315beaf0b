"""Who hears of a failure: a chat room by its webhook, people by e-mail, or both.

A message holds names, counts and our own sentences: neither text of a corpus nor anything secret.
The address of a webhook is a secret itself and is never told, not even in an error.
"""

from __future__ import annotations

import json
import re
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from email.message import EmailMessage
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG  # it has no public name

from bonito_assets import settings
from bonito_assets.automation.failures import causes
from resources.secrets import scrub

# A tick may take 60 seconds in all. Two channels at this limit leave room for a second alert.
_TIMEOUT_SECONDS = 10.0
_TICK_SECONDS = 25.0
# Until the next attempt; the last stands for all later ones. Five days without an answer are no
# outage any more, and whoever has looked at the UI since then knows.
_PAUSES = (30, 60, 300, 900, 3600)
_MOST_ATTEMPTS = 120
_PAGE = 25
_MOST_CHARACTERS = 500


class AlertNotSent(RuntimeError):
    """A channel did not take an alert; the message says why and holds no address."""


@dataclass(frozen=True)
class Alert:
    """What a person should know, in one line, and what a program needs to act on it."""

    kind: str  # run_failed, or the name of a check
    title: str
    cause: str
    corpus: str | None = None
    job: str | None = None
    run_id: str | None = None
    step: str | None = None
    url: str | None = None

    @property
    def text(self) -> str:
        """Gives the message for people: what happened, why, and where to look."""
        where = self.url or (self.run_id and f"run {self.run_id}")
        return f"{self.title}: {self.cause}" + (f" ({where})" if where else "")


Channel = Callable[[Alert], None]


def alert(kind: str, title: str, cause: str, run_id: str | None = None, **named: Any) -> Alert:
    """Gives an alert with its link, its words cut to 500 characters and without secrets."""
    ui = settings.ui_url()
    url = f"{ui}/runs/{run_id}" if ui and run_id else None
    return Alert(kind, _plain(title), _plain(cause), run_id=run_id, url=url, **named)


def _plain(text: str) -> str:
    """Gives the first line of `text` in a form that no chat takes for markup or a call to all."""
    line = scrub(text).strip().partition("\n")[0]
    line = line.replace("<", "‹").replace(">", "›").replace("@", "@\u2060")
    line = re.sub(r"[\x00-\x1f\x7f]", " ", line)
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 2]} …"


def failed_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Alert:
    """Gives the alert for a failed run: the first step that failed, and how many more did."""
    found = causes(instance, run.run_id)
    step = next(iter(found), None)
    corpus = run.tags.get("dagster/partition")
    what = f"Bonito: corpus '{corpus}'" if corpus else f"Bonito: job {run.job_name}"
    where = f" at {step}" if step else ""
    more = f" (and {len(found) - 1} more steps)" if len(found) > 1 else ""
    cause = found[step] if step else "its worker is gone; the machine may be out of memory"
    return alert(
        "run_failed",
        f"{what} failed{where}{more}",
        cause,
        run.run_id,
        corpus=corpus,
        job=run.job_name,
        step=step,
    )


# Channels


def channels() -> dict[str, Channel]:
    """Gives the channels that the settings name; none means that nobody wants to hear.

    Raises ``SettingError`` for one that cannot work.
    """
    found: dict[str, Channel] = {}
    if webhook := settings.alert_webhook():
        found["webhook"] = lambda said: post(webhook, said)
    if mail := settings.alert_mail():
        found["e-mail"] = lambda said: mail_to(mail, said)
    return found


def post(webhook: str, said: Alert) -> None:
    """Sends `said` as JSON, with the field ``text`` that Slack, Mattermost and Teams show.

    The other fields are those of ``Alert``. Raises ``AlertNotSent``.
    """
    body = json.dumps({"text": said.text, **asdict(said)}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "bonito-assets"}
    try:
        request = urllib.request.Request(webhook, body, headers)
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=_TIMEOUT_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        error.close()
        raise AlertNotSent(f"the webhook answered with status {error.code}") from None
    except Exception as error:  # whatever it says may quote the address
        raise AlertNotSent(f"the webhook was not reached ({_kind(error)})") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nowhere: the message is meant for the address that was set."""

    def redirect_request(self, *_: Any) -> None:
        return None


def mail_to(mail: settings.Mail, said: Alert) -> None:
    """Sends `said` by e-mail. Raises ``AlertNotSent``.

    Nothing goes out in the clear with a password: ``smtp://`` must then offer STARTTLS.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail.sender, mail.to, said.title
    lines = [said.cause, "", *(f"{k}: {v}" for k, v in asdict(said).items() if v and k != "cause")]
    message.set_content("\n".join(lines))
    secure = ssl.create_default_context()
    try:
        server = urlsplit(mail.server)
        if server.scheme == "smtps":
            session = smtplib.SMTP_SSL(
                server.hostname, server.port or 465, timeout=_TIMEOUT_SECONDS, context=secure
            )
        else:
            session = smtplib.SMTP(server.hostname, server.port or 587, timeout=_TIMEOUT_SECONDS)
        with session:
            session.ehlo()
            if session.has_extn("starttls"):
                session.starttls(context=secure)
            elif server.scheme == "smtp" and server.password:
                raise AlertNotSent("the mail server offers no STARTTLS; use smtps://")
            if server.password:
                session.login(unquote(server.username or ""), unquote(server.password))
            session.send_message(message)
    except AlertNotSent:
        raise
    except smtplib.SMTPRecipientsRefused:
        raise AlertNotSent("the mail server refused everybody it was meant for") from None
    except smtplib.SMTPResponseException as error:
        raise AlertNotSent(f"the mail server answered with code {error.smtp_code}") from None
    except Exception as error:
        raise AlertNotSent(f"the mail server was not reached ({_kind(error)})") from None


def _kind(error: BaseException) -> str:
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, BaseException) else error).__name__


# Sending


def send(said: Alert, attempts: int = 3) -> list[str]:
    """Sends `said` through every channel; gives a sentence for each that did not take it.

    For a step that has something to tell: it waits one and two seconds between attempts and never
    raises.
    """
    problems = []
    for channel in channels().values():
        for attempt in range(1, attempts + 1):
            try:
                channel(said)
            except AlertNotSent as error:
                if attempt == attempts:
                    problems.append(f"alert not sent: {error}")
                else:
                    time.sleep(attempt)
            else:
                break
    return problems


@dataclass(frozen=True)
class Cursor:
    """How far the sensor is: the last failure dealt with, and what there is of the next one."""

    after: int
    sent: tuple[str, ...] = ()
    attempts: int = 0
    not_before: float = 0.0

    @classmethod
    def read(cls, text: str) -> Cursor:
        """Gives the cursor that ``written`` made."""
        values = json.loads(text)
        return cls(**{**values, "sent": tuple(values["sent"])})

    def written(self) -> str:
        """Gives the cursor as text."""
        return json.dumps(asdict(self))


def deliver(
    failures: Mapping[int, Callable[[], Alert]],
    cursor: Cursor,
    now: Callable[[], float],
    through: Mapping[str, Channel],
) -> tuple[Cursor, list[str]]:
    """Sends the alerts of `failures`, which rise by number; gives the new cursor and what to log.

    A channel that fails is asked again later, with growing pauses, and the alerts behind wait for
    it; one that took the alert is not asked again. After 120 attempts an alert is given up.
    """
    lines: list[str] = []
    began = now()
    if began < cursor.not_before:
        return cursor, lines
    for number, made in failures.items():
        if now() - began > _TICK_SECONDS:
            break
        said = made()
        problems = []
        for name, channel in through.items():
            if name in cursor.sent:
                continue
            try:
                channel(said)
                cursor = replace(cursor, sent=(*cursor.sent, name))
            except AlertNotSent as error:
                problems.append(str(error))
        attempts = cursor.attempts + 1
        if problems and attempts < _MOST_ATTEMPTS:
            pause = _PAUSES[min(attempts, len(_PAUSES)) - 1]
            lines.append(f"{'; '.join(problems)}: trying again in {pause} s")
            return replace(cursor, attempts=attempts, not_before=now() + pause), lines
        lines += [f"given up on an alert: {problem}" for problem in problems]
        cursor = Cursor(number)
    return cursor, lines


# Dagster's own run_failure_sensor counts an alert as done even when sending it failed, and does
# not see the runs of the command line.
@dg.sensor(
    name="alert_failed_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the webhook and the e-mail address of the settings of each failed run: "
    "corpus, step and cause. A run that is going to be retried is not told.",
)
def alert_failed_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Sends an alert for each run that failed since the last tick."""
    instance = context.instance
    if context.cursor is None:
        newest = instance.fetch_run_status_changes(dg.DagsterEventType.RUN_FAILURE, 1).records
        start = Cursor(newest[0].storage_id if newest else -1)
        context.update_cursor(start.written())
        return dg.SkipReason("from now on every failed run is told")
    cursor = Cursor.read(context.cursor)
    failed, passed_over = _failures(instance, cursor.after)
    new, lines = deliver(failed, cursor, time.time, channels())
    for line in lines:
        context.log.warning(line)
    if not failed and passed_over is not None:
        new = Cursor(passed_over)
    context.update_cursor(new.written())
    told = sum(number <= new.after for number in failed)
    waiting = len(failed) - told
    return dg.SkipReason(f"{told} failed runs told, {waiting} waiting" if failed else "no news")


def _failures(
    instance: dg.DagsterInstance, after: int
) -> tuple[dict[int, Callable[[], Alert]], int | None]:
    """Gives the alerts for failures past the number `after`, and the last number looked at."""
    asked = dg.RunStatusChangeRecordsFilter(
        event_type=dg.DagsterEventType.RUN_FAILURE, after_storage_id=after
    )
    records = instance.fetch_run_status_changes(asked, limit=_PAGE, ascending=True).records
    found: dict[int, Callable[[], Alert]] = {}
    for record in records:
        run = instance.get_run_by_id(record.event_log_entry.run_id)
        if run is not None and run.tags.get(WILL_RETRY_TAG) != "true":
            found[record.storage_id] = lambda run=run: failed_run(instance, run)
    return found, records[-1].storage_id if records else None


def sensors() -> list[dg.SensorDefinition]:
    """Gives the sensor where somebody is to be told, and nothing where nobody is."""
    return [alert_failed_runs] if channels() else []
