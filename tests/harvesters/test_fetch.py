from collections.abc import Callable
from typing import Any

import httpx
import pytest
import stamina
from fetch_client import fetch_with
from rows import each
from stamina.instrumentation import set_on_retry_hooks
from structlog.testing import capture_logs

from harvesters.errors import (
    FetchError,
    ForbiddenError,
    RefusedError,
    TemporaryFetchError,
    TooLargeError,
)
from harvesters.network.fetch import (
    Fetch,
    LocalRateLimiter,
    NetworkSettings,
    RetryPolicy,
    install_retry_logging,
)
from harvesters.network.reply import Reply
from harvesters.page_model import Validator

URL = "https://registry.example/records"
Handler = Callable[[httpx.Request], httpx.Response]


@pytest.fixture(autouse=True)
def _no_waiting() -> object:
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


def open_client(handler: Handler, **settings: Any) -> Fetch:
    given = {
        "pause": 0, "robots": False, "rate_limiter": LocalRateLimiter(sleep=lambda _: None), **settings,
    }  # fmt: skip
    return fetch_with(httpx.MockTransport(handler), **given)


def answers(*replies: httpx.Response) -> tuple[Handler, list[httpx.Request]]:
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return replies[min(len(requests), len(replies)) - 1]

    return handler, requests


def get(handler: Handler, url: str = URL, **settings: Any) -> Reply:
    with open_client(handler, **settings) as fetch:
        return fetch.get(url)


def redirect(location: str) -> httpx.Response:
    return httpx.Response(302, headers={"Location": location})


def test_the_user_agent_names_us_and_the_contact_and_parameters_join_the_address() -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    handler, requests = answers(httpx.Response(200, content=b"{}", headers=headers))

    with open_client(handler, contact="operator@example.org") as fetch:
        reply = fetch.get(URL + "?format=json", {"page": "2"})

    assert (reply.status, reply.content, reply.media_type) == (200, b"{}", "application/json")
    assert requests[0].headers["user-agent"].startswith("Stocktake/")
    assert "operator@example.org" in requests[0].headers["user-agent"]
    assert str(requests[0].url) == URL + "?format=json&page=2"


def test_a_503_is_asked_again_and_a_redirect_followed() -> None:
    moved = httpx.Response(301, headers={"Location": "/new"})
    for first in (httpx.Response(503, headers={"Retry-After": "1"}), moved):
        handler, requests = answers(first, httpx.Response(200, content=b"there"))

        reply = get(handler)

        assert (reply.content, len(requests)) == (b"there", 2)
    assert reply.url == "https://registry.example/new"


@each(
    "response, error, message, requests",
    [(httpx.Response(503), TemporaryFetchError, f"{URL}: answered 503", 3),
     *((httpx.Response(status), ForbiddenError, f"answered {status}; correct the source", 1) for status in (401, 403, 404, 410)),
     (httpx.Response(200, content=b"x" * 101), TooLargeError, "than 100 bytes", 1), (redirect(URL), FetchError, "more than 5 redirects", 6),
     (redirect("file:///etc/passwd"), RefusedError, "not a web address", 1)],
)  # fmt: skip
def test_a_response_that_is_no_answer_is_an_error_and_only_outages_are_tried_again(
    response: httpx.Response, error: type[Exception], message: str, requests: int
) -> None:
    handler, request_log = answers(response)

    with pytest.raises(error, match=message):
        get(handler, retry_policy=RetryPolicy(max_bytes=100))

    assert len(request_log) == requests


@each(
    "address",
    ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://10.0.0.1/", "http://169.254.169.254/"],
)  # fmt: skip
def test_a_private_address_is_refused(address: str) -> None:
    with Fetch(pause=0) as fetch, pytest.raises(RefusedError, match="has the private address"):
        fetch.get(address)


def test_a_private_address_is_asked_when_the_operator_allows_its_host() -> None:
    with (
        Fetch(NetworkSettings(allow=frozenset({"127.0.0.1"})), pause=0) as fetch,
        pytest.raises(TemporaryFetchError, match=r"127\.0\.0\.1:1 "),
    ):
        fetch.get("http://127.0.0.1:1/")


CHECK = "check that the registry is running, and that the source's url is right"
EXPIRED = "certificate verify failed: certificate has expired (_ssl.c:1000)"


@each(
    "error, message",
    [(httpx.ConnectError("[Errno 111] Connection refused"),
      f"could not connect to registry.example:443 (Connection refused); {CHECK}"),
     (httpx.ConnectTimeout("timed out"), f"could not connect to registry.example:443 (no answer in time); {CHECK}"),
     (httpx.ConnectError(f"[SSL: CERTIFICATE_VERIFY_FAILED] {EXPIRED}"),
      f"registry.example:443: the server's certificate is not valid ({EXPIRED}); report this to the registry"),
     (httpx.ReadError(""), "registry.example:443: the connection broke before a response began (no reason is known); try again later"),
     (httpx.ReadError("connection reset"),
      "registry.example:443: the connection broke before a response began (connection reset); try again later")],
)  # fmt: skip
def test_a_failed_connection_names_the_server_the_cause_and_the_remedy(
    error: httpx.TransportError, message: str
) -> None:
    def handler(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(TemporaryFetchError) as caught:
        get(handler, "https://registry.example/list?page=1")

    assert str(caught.value) == message


def test_what_is_known_is_asked_for_conditionally_and_validators_are_gathered() -> None:
    handler, requests = answers(httpx.Response(304))
    known = {URL: Validator('"v1"', "Mon, 01 Jan 2024 00:00:00 GMT")}

    with open_client(handler, validators=known) as fetch:
        reply = fetch.get(URL, conditional=True)

    assert (reply.not_modified, fetch.seen) == (True, known)
    assert requests[0].headers["if-none-match"] == '"v1"'
    assert requests[0].headers["if-modified-since"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    with open_client(answers(httpx.Response(200, headers={"ETag": '"v2"'}))[0]) as fetch:
        fetch.get(URL)
    assert fetch.seen == {URL: Validator('"v2"', None)}


def test_a_new_try_is_reported_with_its_reason() -> None:
    handler, _ = answers(httpx.Response(503, headers={"Retry-After": "2"}), httpx.Response(200))
    install_retry_logging()

    with capture_logs() as logs, open_client(handler) as fetch:
        fetch.get(URL)

    set_on_retry_hooks(None)
    why = f"{URL}: answered 503 and asks to retry in 2 seconds"
    assert [(log["event"], log["reason"], log["retry"]) for log in logs] == [
        ("retrying request", why, 1)
    ]
