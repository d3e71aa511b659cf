"""Send mail by SMTP, with TLS unless the setting says otherwise.

Source: https://www.rfc-editor.org/rfc/rfc5321 (SMTP), https://www.rfc-editor.org/rfc/rfc8314 (TLS).
"""

from __future__ import annotations

import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from harvesters.errors import DeliveryError
from harvesters.ledger.models import QueuedMessage
from vocab.addresses import is_mail_address

Tls = Literal["starttls", "implicit", "none"]
TIMEOUT_SECONDS = 20.0  # of each reply of the server
_PORTS = {"starttls": 587, "implicit": 465, "none": 25}
_REFUSED = range(500, 600)  # reply codes that a second attempt does not change


@dataclass(frozen=True, slots=True)
class MailServer:
    """How to reach the mail server; *sender* is the address that messages come from."""

    host: str
    port: int
    tls: Tls
    sender: str
    user: str = ""
    password: str = ""


def parse_mail_server(url: str) -> MailServer:
    """Parse the URL of a mail server; raise ValueError with what is wrong.

    ``smtp:`` uses STARTTLS (``tls=none`` turns it off), ``smtps:`` TLS from the start.

    >>> parse_mail_server("smtp://ann:s%40fe@mail.example?from=alerts@example.org")
    MailServer(host='mail.example', port=587, tls='starttls', sender='alerts@example.org', user='ann', password='s@fe')
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    sender = query.get("from", [""])[0]
    tls: Tls = "implicit" if parts.scheme == "smtps" else "starttls"
    if query.get("tls") == ["none"] and parts.scheme == "smtp":
        tls = "none"
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or set(query) - {"from", "tls"}:
        raise ValueError("use smtp://USER:PASSWORD@HOST:PORT?from=ADDRESS, or smtps:")
    if not is_mail_address(sender):
        raise ValueError("add the address that mail comes from: ?from=alerts@example.org")
    if query.get("tls", ["none"]) != ["none"] or ("tls" in query and tls != "none"):
        raise ValueError("tls has one value, none, with smtp: only")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MailServer(parts.hostname, parts.port or _PORTS[tls], tls, sender, user, password)


class MailSender:
    """A connection to the mail server, opened at the first message."""

    def __init__(self, server: MailServer, name: str) -> None:
        self._server, self._name = server, name
        self._connection: smtplib.SMTP | None = None

    def send(self, queued: QueuedMessage) -> None:
        """Send one message; raise DeliveryError. Its Message-ID is the same at each attempt."""
        message = self._compose(queued)
        try:
            self._connect().send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise DeliveryError(_answer(code, text), is_permanent=code in _REFUSED) from error
        except smtplib.SMTPDataError as error:
            permanent = error.smtp_code in _REFUSED
            raise DeliveryError(
                _answer(error.smtp_code, error.smtp_error), is_permanent=permanent
            ) from error
        # These are replies to the connection, the sign-in or the sender.
        except smtplib.SMTPResponseException as error:
            raise self._unreachable(_answer(error.smtp_code, error.smtp_error)) from error
        except (smtplib.SMTPException, OSError) as error:
            raise self._unreachable(str(error) or type(error).__name__) from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(smtplib.SMTPException, OSError):
                connection.quit()

    def _unreachable(self, text: str) -> DeliveryError:
        self.close()
        return DeliveryError(
            f"mail server {self._server.host}:{self._server.port}: {text}", is_unreachable=True
        )

    def _connect(self) -> smtplib.SMTP:
        if self._connection is not None:
            return self._connection
        server, context = self._server, ssl.create_default_context()
        if server.tls == "implicit":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
        self._connection = connection
        if server.tls == "starttls":
            connection.starttls(context=context)
        if server.user:
            connection.login(server.user, server.password)
        return connection

    def _compose(self, queued: QueuedMessage) -> EmailMessage:
        message, sender = EmailMessage(), self._server.sender
        message["From"] = Address(self._name, addr_spec=sender)
        message["To"] = queued.message.address
        message["Subject"] = " ".join(queued.message.subject.split())
        message["Date"] = format_datetime(queued.created)
        domain = sender.rpartition("@")[2]
        message["Message-ID"] = f"<{queued.id}.{queued.created:%Y%m%dT%H%M%S}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
        # Mail programs end a subscription with one click: https://www.rfc-editor.org/rfc/rfc8058
        if unsubscribe := queued.message.data.get("unsubscribe"):
            message["List-Unsubscribe"] = f"<{unsubscribe}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(queued.message.text)
        return message


def _answer(code: int, text: bytes | str) -> str:
    answer = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(answer.split())}"[:500]
