"""Asking arXiv, or a mirror, as it wants to be asked.

One connection at a time, a pause between any two requests, a name to be known by, and waiting where
the service says so. See arXiv's terms of use of its interfaces: https://info.arxiv.org/help/api/tou.html

The `arxiv` client library is not used for it. Release 4.0 asks without a time-out, retries without
regard to Retry-After, does not know of bodies that were cut short, and reads a feed that was cut in
the middle as one with fewer papers.
"""

from __future__ import annotations

import datetime
import email.utils
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from vicl.figures.arxiv.papers import HarvestError
from vicl.files import display, reason
from vicl.files.extras import version_of
from vicl.files.web import http_opener

ARXIV_DELAY: Final = 3.0
"""Seconds that arXiv wants between two requests, at least."""

ARXIV_HOSTS: Final = frozenset(("arxiv.org", "www.arxiv.org", "export.arxiv.org"))
"""Hosts of one service, which may redirect from one to another."""

LONGEST_WAIT: Final = 2 * 3600.0
"""Seconds that are waited where the service asks for it; for more, a later run is better."""

_LONGEST_PAUSE = 300.0
_LONGEST_ANSWER = 1800.0
_CHUNK = 1 << 18
_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
_REFUSED = frozenset((401, 403, 407))
_ABSENT = frozenset((404, 410))

_Taken = TypeVar("_Taken")


class TransientError(Exception):
    """An answer, or none, that may be better next time.

    Args:
        message: Why.
        after: Seconds to wait before, where the service said so.
        tries: How often in all an answer of this kind is asked for, where fewer do.
    """

    def __init__(
        self, message: str, *, after: float | None = None, tries: int | None = None
    ) -> None:
        super().__init__(message)
        self.after, self.tries = after, tries


class UnreachableError(HarvestError):
    """What could not be had after several tries, and may be later."""


class AbsentError(HarvestError):
    """What the service says that it does not have."""


@dataclass(frozen=True)
class Clock:
    """The time; tests give one of their own.

    Attributes:
        now: Seconds since some moment; never goes back.
        today: Seconds since 1970.
        sleep: Waits for seconds.
    """

    now: Callable[[], float] = time.monotonic
    today: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Manners:
    """How a service is asked.

    Attributes:
        delay: Seconds from the start of a request to that of the next.
        contact: An address by which the service can reach who asks; part of the user agent.
        timeout: Seconds without a byte after which a request is given up.
        attempts: Tries for one thing; the pauses between them double.
    """

    delay: float = ARXIV_DELAY
    contact: str = ""
    timeout: float = 60.0
    attempts: int = 8

    def __post_init__(self) -> None:
        """Check that the contact can be sent.

        Raises:
            HarvestError: If it cannot.
        """
        if not re.fullmatch(r"[!-~]{0,200}", self.contact):
            raise HarvestError(
                f"contact: got {self.contact[:60]!r}, expected an address without spaces, such as "
                "you@example.org"
            )

    @property
    def user_agent(self) -> str:
        """How requests name who asks."""
        contact = f"; {self.contact}" if self.contact else ""
        return f"vicl/{version_of('vicl')} (figures harvest{contact})"


class Answer:
    """A whole answer on its way.

    Attributes:
        media_type: As its header says, in small letters: `application/pdf`.
        length: Its bytes; None where the header does not say.
    """

    def __init__(self, raw: Any, clock: Clock) -> None:
        self._raw, self._clock = raw, clock
        self.media_type: str = raw.headers.get_content_type().lower()
        told = raw.headers.get("Content-Length", "")
        self.length = int(told) if re.fullmatch(r"[0-9]{1,18}", told) else None

    def chunks(self) -> Iterator[bytes]:
        """Read it to its end.

        Raises:
            TransientError: If it ends early, stalls or drips.
        """
        done, start = 0, self._clock.now()
        while True:
            try:
                piece = self._raw.read1(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise TransientError(f"the connection broke ({reason(error)})") from error
            if not piece:
                break
            done += len(piece)
            yield piece
            if self._clock.now() - start > _LONGEST_ANSWER:
                raise TransientError(f"it took more than {_LONGEST_ANSWER / 60:.0f} minutes")
        if self.length is not None and done < self.length:
            raise TransientError(f"the connection ended after {done:,} of {self.length:,} bytes")

    def read(self, most: int) -> bytes:
        """All of it.

        Raises:
            HarvestError: If it has more than `most` bytes.
            TransientError: As of :meth:`chunks`.
        """
        parts, size = [], 0
        for piece in self.chunks():
            size += len(piece)
            if size > most:
                raise HarvestError(f"an answer has more than {most >> 20} MiB, and was not read")
            parts.append(piece)
        return b"".join(parts)


class Visitor:
    """Asks for one thing after the other, with manners.

    Args:
        manners: How.
        clock: See :class:`Clock`.

    Attributes:
        manners: As given.
        requests: How many were sent, also those that redirections led to.
        retries: How many of these were for what had failed before.
    """

    def __init__(self, manners: Manners, clock: Clock | None = None) -> None:
        self.manners, self.requests, self.retries = manners, 0, 0
        self._clock = clock or Clock()
        self._last: float | None = None
        self._opener = http_opener(_Redirects(self._wait))

    def ask(self, url: str, take: Callable[[Answer], _Taken]) -> _Taken:
        """Get an answer, again and again where it may help.

        Args:
            url: http or https.
            take: Reads the answer; a TransientError of it is one of the answer's.

        Returns:
            What `take` makes of it.

        Raises:
            AbsentError: If there is no such thing.
            UnreachableError: If no try brought a whole answer.
            HarvestError: If the service refuses, and would refuse everything else too.
        """
        attempt = 1
        while True:
            self._wait()
            try:
                return self._once(url, take)
            except TransientError as error:
                self._pause(url, attempt, error)
            attempt += 1
            self.retries += 1

    def _wait(self) -> None:
        """Let the time pass that has to be between two requests."""
        now = self._clock.now()
        if self._last is not None and (rest := self._last + self.manners.delay - now) > 0:
            self._clock.sleep(rest)
        self._last = self._clock.now()
        self.requests += 1

    def _pause(self, url: str, attempt: int, error: TransientError) -> None:
        """Wait before another try, or give up."""
        most = min(self.manners.attempts, error.tries or self.manners.attempts)
        if error.after is not None and error.after > LONGEST_WAIT:
            raise HarvestError(
                f"{display(url)}: {error}, and asks to come back in {error.after / 3600:.1f} "
                "hours; start again then, to go on"
            ) from error
        if attempt >= most:
            raise UnreachableError(f"{display(url)}: {error}, {attempt} times") from error
        pause = min(self.manners.delay * 2 ** (attempt - 1), _LONGEST_PAUSE)
        self._clock.sleep(pause if error.after is None else max(error.after, pause))

    def _once(self, url: str, take: Callable[[Answer], _Taken]) -> _Taken:
        # Sources come compressed as they are; nothing is to be compressed on the way.
        headers = {"User-Agent": self.manners.user_agent, "Accept-Encoding": "identity"}
        if self.manners.contact:
            headers["From"] = self.manners.contact
        try:
            request = urllib.request.Request(url, headers=headers)
            raw = self._opener.open(request, timeout=self.manners.timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise self._told(url, error) from error
        except HarvestError:
            raise
        except ValueError as error:
            raise HarvestError(f"{display(url)}: is no address ({reason(error)})") from error
        except (OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            words = reason(cause) if isinstance(cause, BaseException) else str(cause)
            raise TransientError(f"it cannot be reached ({words})") from error
        with raw:
            if raw.status != 200:
                raise TransientError(f"the service says {raw.status}")
            return take(Answer(raw, self._clock))

    def _told(self, url: str, error: urllib.error.HTTPError) -> Exception:
        """What an answer that is none means."""
        says = f"the service says {error.code} {reason(error)}".rstrip()
        if error.code in _TRANSIENT:
            after = retry_after(error.headers.get("Retry-After"), self._clock.today())
            return TransientError(says, after=after)
        if error.code in _REFUSED:
            return HarvestError(
                f"{display(url)}: {says}: it does not want to be asked by this program or from "
                "this address. Stop for some hours; name yourself by --contact; or use a mirror"
            )
        if error.code < 400:
            return HarvestError(f"{display(url)}: redirects in a way that is not followed ({says})")
        if error.code in _ABSENT:
            return AbsentError(says)
        return TransientError(says, tries=1)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirections within one service, each of them a request like any other."""

    max_redirections = 5

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        same = old.netloc == new.netloc or {old.hostname, new.hostname} <= ARXIV_HOSTS
        if not same or (old.scheme, new.scheme) == ("https", "http"):
            raise HarvestError(
                f"{display(req.full_url)}: redirects to {display(newurl)}, which is another "
                "service; if you trust that one, give its address"
            )
        self._wait()
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_service(*urls: str, delay: float) -> None:
    """Refuse addresses that are none, and haste at arXiv.

    Raises:
        HarvestError: If one is neither http nor https, or of arXiv while the delay is too short.
    """
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HarvestError(f"{display(url)}: is no address; expected http:// or https://")
        ours = parts.hostname == "arxiv.org" or parts.hostname.endswith(".arxiv.org")
        if ours and delay < ARXIV_DELAY:
            raise HarvestError(
                f"delay: got {delay:g} s, expected at least {ARXIV_DELAY:g} s, which arXiv asks for"
            )


def retry_after(header: str | None, today: float) -> float | None:
    """The seconds to wait by a Retry-After header, which has seconds or a date.

    Args:
        header: Its value; None if there is none.
        today: The time, in seconds since 1970.

    Returns:
        At least 0; None where it says nothing that can be understood.
    """
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, date.timestamp() - today)
