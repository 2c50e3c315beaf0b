"""Keeps secrets out of text: they come from the environment and go to the server they are for.

Whatever is stored or shown passes through ``scrub``: URLs lose their passwords, and the values of
environment variables whose names say that they are secret become ``***``. A catalogue names a
secret as ``${VARIABLE}`` inside a URL; ``expand`` puts the value in where the URL is opened, and
``fold`` takes it out of what the opened place calls itself.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import sys
import traceback
from functools import lru_cache
from types import TracebackType
from urllib.parse import quote, unquote

MASK = "***"

# What a catalogue named as ${VARIABLE}, and the logins it is part of: secret, whatever its name.
_used: set[str] = set()

# A shorter value is a word such as "true" or "key": to mask it would only garble messages.
_LEAST_CHARACTERS = 6
_SECRET_NAME = re.compile(
    r"SECRET|TOKEN(?!IZ)|PASSW|PASSPHRASE|CREDENTIAL|WEBHOOK|SMTP|API_?KEY|PRIVATE_?KEY"
    r"|(?:^|_)(?:KEY|KEYS|DSN|AUTH|PAT)(?:_|$)",
    re.IGNORECASE,
)
# Name and password before the host. A bare name is a secret in web URLs only (a token); elsewhere
# it may be an account or, as in abfs://container@account, the place itself. It begins with the
# slashes: a search for any scheme goes over a long word once for each of its letters.
_LOGIN = re.compile(
    r"""(://)(?:[^\s/@:'"<>]*:[^\s/@'"<>]*|(?<=http://|ttps://)[^\s/@:'"<>]+)@""",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"""://([^\s/@'"<>]+)@""")
# Presigned and SAS URLs, and whatever else an address may carry. What Dagster stores is scrubbed as
# JSON, where a backslash belongs to the quote behind it and not to the secret before.
_QUERY = re.compile(
    r"""([?&](?:[\w.-]*[_-])?(?:token|sig|signature|(?:aws)?(?:access)?key(?:id)?|apikey|secret"""
    r"""|password|credential|auth)=)([^\s&#'"<>\\]+)""",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"""(authorization\\*['"]?\s*[:=]\s*\\*['"]?(?:bearer|basic|token)\s+)[^\s'",\\]+""",
    re.IGNORECASE,
)
_BEFORE_HOST = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/@]*@", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class SecretMissing(ValueError):
    """A URL names an environment variable that is not set; the message names both."""


def scrub(text: str) -> str:
    """Gives `text` with ``***`` for every secret of this process's environment and of URLs.

    Secrets are the values, of six characters or more, of variables whose names hold a word such as
    token, key, secret, password, credential, DSN, webhook or SMTP, and the passwords of variables
    that hold URLs. In URLs, what stands before the host goes, and query values with such names.
    """
    for value in _values(tuple(os.environ.items()), frozenset(_used)):
        if value in text:
            text = text.replace(value, MASK)
    if "://" in text:
        text = _LOGIN.sub(rf"\g<1>{MASK}@", text)
        text = _QUERY.sub(rf"\g<1>{MASK}", text)
    return _HEADER.sub(rf"\g<1>{MASK}", text)


def has_secret(url: str) -> bool:
    """Tells whether `url` itself holds a password or token, and not a ``${VARIABLE}`` for it.

    A name before the host is one, too, where it stands without a password, as tokens do.
    """
    for match in _LOGIN.finditer(_VARIABLE.sub("\0", url)):
        name, _, password = match.group().partition("://")[2].rstrip("@").partition(":")
        if (password or name) not in ("", "\0"):
            return True
    return bool(_QUERY.search(_VARIABLE.sub("", url)))


def without_login(url: str) -> str:
    """Gives `url` without what stands before its host."""
    return _BEFORE_HOST.sub(r"\1", url)


def expand(url: str) -> str:
    """Gives `url` with the environment's values for each ``${VARIABLE}`` in its login and query.

    Values are percent-encoded. Raises ``SecretMissing`` for a variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match.group(1))
        if not found:
            raise SecretMissing(
                f"'{url}' names {match.group()}, and there is no such variable; set it in the "
                "environment or in .env"
            )
        _used.add(found)
        return quote(found, safe="")

    login, place, query = _parts(url)
    opened = _VARIABLE.sub(value, login)
    if opened != login:
        _used.add(unquote(opened.partition("://")[2].removesuffix("@")))
    return opened + place + _VARIABLE.sub(value, query)


def fold(opened: str, url: str) -> str:
    """Gives the address `opened`, found under ``expand(url)``, as it may be stored and shown.

    It has no login, and the query as `url` has it: it stays as it is when the secret changes.
    """
    query = _parts(url)[2]
    if "${" not in url:
        return opened
    return without_login(opened.partition("?")[0] + query if query else opened)


def _parts(url: str) -> tuple[str, str, str]:
    """Gives the three parts of `url`: up to the host, place, and a query that names a variable."""
    before = _BEFORE_HOST.match(url)
    login = before.group() if before else ""
    place, mark, query = url[len(login) :].partition("?")
    # In a pattern a question mark stands for any character.
    return (login, place, mark + query) if "${" in query else (login, place + mark + query, "")


def guard_process() -> None:
    """Scrubs what this process logs, and the traceback of an error that ends it."""
    inner = logging.getLogRecordFactory()
    if getattr(inner, "scrubs", False):
        return

    def record(*args: object, **kwargs: object) -> logging.LogRecord:
        made = inner(*args, **kwargs)
        try:
            said = made.getMessage()
        except Exception:  # the message does not fit its arguments, which logging reports itself
            return made
        if (clean := scrub(said)) != said:
            made.msg, made.args = clean, ()
        if made.exc_info and made.exc_info[0] is not None:
            # Formatters take this text where it is there, and make their own where it is not.
            made.exc_text = scrub("".join(traceback.format_exception(*made.exc_info))).rstrip()
        return made

    record.scrubs = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(record)

    def last_words(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        sys.stderr.write(scrub("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = last_words


@lru_cache(maxsize=1)  # asked for every line that is logged, and hardly ever another environment
def _values(environment: tuple[tuple[str, str], ...], used: frozenset[str]) -> list[str]:
    """Gives every text that stands for a secret of `environment`, long ones first."""
    secrets = set(used)
    for name, value in environment:
        if _SECRET_NAME.search(name) and not _is_place(value):
            secrets.add(value)
        if "://" in value:
            for login in _PASSWORD.findall(value):
                _, colon, password = login.partition(":")
                web = re.match("https?://", value, re.IGNORECASE)
                secrets.update({login, password} if colon else {login} if web else ())
    forms = {form for value in secrets if len(value) >= _LEAST_CHARACTERS for form in _forms(value)}
    return sorted(forms, key=lambda form: (-len(form), form))


def _is_place(value: str) -> bool:
    """Tells whether a variable holds the path of a secret, which may be shown, and not the secret.

    Keys in base64 may begin with a slash, so the file must be there.
    """
    return value.startswith(("/", "./", "~")) and os.path.exists(os.path.expanduser(value))  # noqa: PTH110, PTH111


def _forms(value: str) -> set[str]:
    """Gives `value` as it may stand in a text: plain, in a URL, in JSON, in a header."""
    plain = {value, unquote(value)}
    written = {quote(form, safe="") for form in plain} | {quote(form) for form in plain}
    escaped = {json.dumps(form)[1:-1] for form in plain}
    header = {base64.b64encode(form.encode()).decode() for form in plain if ":" in form}
    return plain | written | escaped | header
