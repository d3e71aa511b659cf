from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from processes import free_port, started, wait_for_url
from rows import each

from harvesters.ledger import submissions
from harvesters.ledger.participation import SubmissionState
from harvesters.participation.submitters import OpenIDProvider, parse_provider

from .conftest import BROWSER, SubmissionWorld, codes, visiting
from .test_submission_form import ANSWERS, fill

ISSUER = "https://login.example"
KEY = RSAKey.generate_key(2048, {"kid": "1"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "1"})


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    port = free_port()
    with started(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true"]
    ) as process:
        wait_for_url(f"http://127.0.0.1:{port}/.well-known/openid-configuration", process)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def browser(world: SubmissionWorld, provider: str) -> AsyncIterator[httpx.AsyncClient]:
    world.context.provider = parse_provider(
        provider.replace("http://", "http://stocktake:s%40fe@"), frozenset({"127.0.0.1"})
    )
    # The provider uses the clock of the machine, so the application has to be at the same time.
    world.clock.advance(datetime.now(UTC) - world.clock.now())
    async with visiting(world, **BROWSER) as opened:
        yield opened


def link_of(page: httpx.Response) -> str:
    match = re.search(r'href="(https?://[^"]+authoriz[^"]*)"', page.text)
    assert match, page.text
    return match[1].replace("&amp;", "&")


def approved(address: str, provider: str, claims: dict[str, object], sub: str = "jane") -> str:
    """Sign in at the provider as a person with these claims; return the path that the provider
    sends the browser to.
    """
    with httpx.Client() as client:
        client.put(f"{provider}/users/{sub}", json=claims).raise_for_status()
        answer = client.post(address, data={"sub": sub})
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


SIGN_IN = "/submit/sign-in"
JANE: dict[str, object] = {"email": "Jane@example.org", "email_verified": True}


@pytest.mark.smoke
async def test_a_draft_is_sent_by_a_person_who_signed_in_and_is_found_by_the_same_address(
    world: SubmissionWorld, browser: httpx.AsyncClient, provider: str
) -> None:
    summary = await fill(browser, ANSWERS)
    world.clock.advance(timedelta(minutes=1))
    link = re.search(r'href="(/submit/sign-in\?draft=[^"]+)"', summary.text)
    assert link
    sign_in_page = await browser.get(link[1])
    path = approved(link_of(sign_in_page), provider, JANE)
    page = await browser.get(path)
    again = await browser.get(path)

    (item,) = submissions.in_states(world.ledger, [SubmissionState.SUBMITTED], 10)
    submitter = submissions.submitter_of(world.ledger, id=item.submitter)
    assert submitter
    assert submitter.mail == "jane@example.org"
    assert (codes(page, again), page.url.path) == ([200, 410], f"/submit/mine/{item.id}")
    assert "login" not in json.dumps(dict(item.content))
    assert world.mails() == []
    browser.cookies.clear()
    listed = await browser.get(approved(link_of(await browser.get(SIGN_IN)), provider, JANE))
    assert (listed.url.path, "Village telecentres" in listed.text) == ("/submit/mine", True)


async def test_who_declines_and_an_address_that_is_not_confirmed_are_refused(
    browser: httpx.AsyncClient, provider: str
) -> None:
    state = parse_qs(urlsplit(link_of(await browser.get(SIGN_IN))).query)["state"][0]
    answer = {"state": state, "error": "access_denied"}
    declined = await browser.get(f"{SIGN_IN}/answer", params=answer)
    assert declined.status_code == 422
    assert "You did not sign in at the provider" in declined.text

    claims = {"email": "jane@example.org", "email_verified": False}
    address = link_of(await browser.get(SIGN_IN))
    page = await browser.get(approved(address, provider, claims, "unverified"))

    assert page.status_code == 422
    assert "has not confirmed your e-mail address" in page.text
    assert "submitter" not in browser.cookies


async def test_a_sign_in_of_another_browser_or_an_old_one_is_refused(
    world: SubmissionWorld, browser: httpx.AsyncClient, provider: str
) -> None:
    path = approved(link_of(await browser.get("/submit/sign-in")), provider, JANE)
    mine = dict(browser.cookies)
    browser.cookies.clear()
    elsewhere = await browser.get(path)
    await browser.get("/submit/sign-in")
    mixed = await browser.get(path)
    browser.cookies.clear()
    browser.cookies.update(mine)
    world.clock.advance(timedelta(minutes=11))
    late = await browser.get(path)

    assert [page.status_code for page in (elsewhere, mixed, late)] == [410, 410, 410]
    assert "Sign in again" in late.text


@dataclass
class LyingProvider:
    """A provider that tests use as the network; *claims* and *metadata* replace those of an honest
    one.
    """

    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    key: RSAKey | OctKey = field(default_factory=lambda: KEY)
    algorithm: str = "RS256"
    nonce: str = ""
    now: int = 0
    raw: bytes | None = None

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("openid-configuration"):
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")
            endpoints = {name: f"{ISSUER}/{name}" for name in names}
            return httpx.Response(200, json={"issuer": ISSUER, **endpoints, **self.metadata})
        if request.url.path == "/jwks_uri":
            return httpx.Response(200, json={"keys": [KEY.as_dict(private=False)]})
        if request.url.path == "/userinfo_endpoint":
            return httpx.Response(200, json=self.info)
        if self.raw is not None:
            return httpx.Response(200, content=self.raw)
        honest = {
            "iss": ISSUER, "aud": "stocktake", "sub": "jane", "nonce": self.nonce, "iat": self.now, "exp": self.now + 600,
            "email": "jane@example.org", "email_verified": True,
        }  # fmt: skip
        claims = {
            name: value for name, value in {**honest, **self.claims}.items() if value is not None
        }
        token = jwt.encode(
            {"alg": self.algorithm, "kid": "1"}, claims, self.key, algorithms=[self.algorithm]
        )
        return httpx.Response(
            200, json={"access_token": "t", "token_type": "Bearer", "id_token": token}
        )


@pytest.fixture
def liar(world: SubmissionWorld) -> LyingProvider:
    lying_provider = LyingProvider(now=int(world.clock.now().timestamp()))
    world.context.provider = OpenIDProvider(
        ISSUER, "stocktake", "secret", transport=httpx.MockTransport(lying_provider.answer)
    )
    return lying_provider


async def signed_in(world: SubmissionWorld, liar: LyingProvider, **more: str) -> httpx.Response:
    async with visiting(world, **BROWSER) as browser:
        sign_in_page = await browser.get("/submit/sign-in")
        if sign_in_page.status_code != 200:
            return sign_in_page
        query = parse_qs(urlsplit(link_of(sign_in_page)).query)
        liar.nonce = query["nonce"][0]
        answer = {"state": query["state"][0], "code": "c", **more}
        return await browser.get("/submit/sign-in/answer", params=answer)


@pytest.mark.parametrize(
    ("claims", "message"),
    [({"iss": "https://evil.example"}, "the answer is of another provider"), ({"iss": None}, "the answer is of another provider"),
     ({"aud": "another-site"}, "answer is for another site"),
     ({"aud": ["stocktake", "another-site"], "azp": "another-site"}, "answer is for another site"),
     ({"aud": ["stocktake", "another-site"]}, "answer is for another site"), ({"nonce": "0" * 64}, "belongs to another sign-in"),
     ({"nonce": None}, "belongs to another sign-in"), ({"exp": -61}, "has expired, or its clock is wrong"),
     ({"iat": 3_600}, "has expired, or its clock is wrong"), ({"nbf": 3_600}, "has expired, or its clock is wrong"),
     ({"exp": None}, "has expired, or its clock is wrong"), ({"sub": None}, "cannot be read or verified"),
     ({"at_hash": "wrong"}, "cannot be read or verified")],
)  # fmt: skip
async def test_a_provider_that_lies_signs_nobody_in(
    world: SubmissionWorld, liar: LyingProvider, claims: dict[str, Any], message: str
) -> None:
    times = {"exp", "iat", "nbf"}
    liar.claims = {
        name: liar.now + value if name in times and value is not None else value
        for name, value in claims.items()
    }

    page = await signed_in(world, liar)

    assert (page.status_code, message in page.text.replace("&#39;", "'")) == (502, True), page.text
    assert submissions.submitter_of(world.ledger, mail="jane@example.org") is None


UNTRUSTED: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"key": OTHER_KEY}, {}), ({"key": OctKey.import_key("secret" * 8), "algorithm": "HS256"}, {}),
    ({"metadata": {"issuer": "https://evil.example"}}, {}), ({}, {"iss": "https://evil.example"}), ({"raw": b"<html>"}, {}),
    ({"raw": b" " * 300_000}, {}), ({"metadata": {"jwks_uri": "http://login.example/jwks_uri"}}, {}),
    ({"claims": {"email": None}, "info": {"sub": "john", "email": "jane@example.org", "email_verified": True}}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lies", "more"),
    UNTRUSTED,
    ids=["key", "secret as key", "metadata", "iss", "no JSON", "large", "endpoint", "userinfo"],
)
async def test_an_answer_that_cannot_be_trusted_is_refused(
    world: SubmissionWorld, liar: LyingProvider, lies: dict[str, Any], more: dict[str, str]
) -> None:
    for name, lie in lies.items():
        setattr(liar, name, lie)

    page = await signed_in(world, liar, **more)

    assert page.status_code == 502
    assert "The sign-in failed" in page.text
    assert submissions.submitter_of(world.ledger, mail="jane@example.org") is None


async def test_an_honest_answer_and_one_with_an_address_of_the_user_information_sign_in(
    world: SubmissionWorld, liar: LyingProvider
) -> None:
    honest = await signed_in(world, liar, iss=ISSUER)
    liar.claims = {"email": None}
    liar.info = {"sub": "jane", "email": "jane@example.org", "email_verified": True}

    for page in (honest, await signed_in(world, liar)):
        assert (page.status_code, page.url.path) == (200, "/submit/mine")


async def test_a_site_without_a_provider_offers_none(world: SubmissionWorld) -> None:
    async with visiting(world, **BROWSER) as browser:
        assert "sign-in" not in (await browser.get("/submit/mine")).text
        assert (await browser.get("/submit/sign-in")).status_code == 404


async def test_another_sites_page_cannot_begin_a_sign_in(
    world: SubmissionWorld, liar: LyingProvider
) -> None:
    async with visiting(world, **BROWSER) as browser:
        page = await browser.get("/submit/sign-in", headers={"Sec-Fetch-Site": "cross-site"})
        assert page.status_code == 403


@each(
    "url",
    ["https://login.example", "https://a@login.example", "http://a:b@login.example", "https://a:b@login.example/?x=1", "login.example"],
)  # fmt: skip
def test_an_address_that_is_no_provider_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        parse_provider(url)
