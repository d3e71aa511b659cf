"""Sign a person in with a provider of OpenID Connect: the code flow with PKCE, state and nonce; a
verified mail address is the identity.

Source: https://openid.net/specs/openid-connect-core-1_0.html,
https://openid.net/specs/openid-connect-discovery-1_0.html, https://www.rfc-editor.org/rfc/rfc7636
(PKCE), https://www.rfc-editor.org/rfc/rfc9207 (the issuer in the answer).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import structlog
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import ClaimError, JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import decode

from harvesters.errors import HarvestError, require
from harvesters.network.reply import read_body
from harvesters.participation.submitters import OpenIDProvider
from harvesters.site import InvalidValue, ProviderError
from vocab.addresses import is_mail_address
from web.outbound_client import Deadline, GuardedTransport, create_client

SCOPE = "openid email"
TIMEOUT_SECONDS = 15.0  # limit of all requests of one sign-in together
MAX_ANSWER = 262_144  # bytes
LEEWAY = 60  # seconds by which the clock of a provider may differ from ours
# The accepted signatures: by a key of the provider, not by the client's secret, and never missing.
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
# By the wrong claim, or by the reason that is not a claim.
FAULTS = {
    "iss": "The sign-in failed: the answer is of another provider.",
    "aud": "The sign-in failed: the provider's answer is for another site.",
    "azp": "The sign-in failed: the provider's answer is for another site.",
    "nonce": "The sign-in failed: the provider's answer belongs to another sign-in.",
    "exp": "The sign-in failed: the provider's answer has expired, or its clock is wrong.",
    "iat": "The sign-in failed: the provider's answer has expired, or its clock is wrong.",
    "nbf": "The sign-in failed: the provider's answer has expired, or its clock is wrong.",
    "silent": "The sign-in failed: the provider does not answer. Try again later, or ask for a link.",
    "person": "The sign-in failed: the provider's answer is about another person.",
    "": "The sign-in failed: the provider's answer cannot be read or verified. Ask for a link instead.",
}
_WRONG = FAULTS[""]
log = structlog.get_logger(component="submissions")


@dataclass(slots=True)
class SignIn:
    """One sign-in with *provider*. All that binds it to a browser is derived from *secret*, which
    its cookie has.
    """

    provider: OpenIDProvider
    secret: str
    redirect_uri: str

    def derive(self, what: str) -> str:
        """Return the state, nonce or verifier; none of them reveals another."""
        return sha256(f"{what}:{self.secret}".encode(errors="replace")).hexdigest()

    def address(self) -> str:
        """Return the address at the provider where the person signs in. Raises ProviderError."""
        with _open_client(self.provider) as client:
            metadata = _metadata(client, self.provider)
        query = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": SCOPE,
            "state": self.derive("state"),
            "nonce": self.derive("nonce"),
            "code_challenge": create_s256_code_challenge(self.derive("verifier")),
            "code_challenge_method": "S256",
        }
        endpoint = _endpoint(self.provider, metadata, "authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def mail(self, code: str, issuer: str | None, now: datetime) -> str:
        """Return the confirmed mail address of the person whom the provider sent back with *code*;
        *issuer* is its ``iss``.

        Raises ProviderError if the answer is missing or fails a check, InvalidValue if the provider
        has not confirmed an address.
        """
        require(issuer is None or issuer == self.provider.issuer, ProviderError(FAULTS["iss"]))
        with _open_client(self.provider) as client:
            metadata = _metadata(client, self.provider)
            token = self._exchange(client, metadata, code)
            keys = _ask(client, "GET", _endpoint(self.provider, metadata, "jwks_uri"))
            claims = self._claims(token, keys, now)
            if "email" not in claims and "userinfo_endpoint" in metadata:
                claims = self._user_info(client, metadata, token, claims)
        mail = claims.get("email")
        if (
            not isinstance(mail, str)
            or claims.get("email_verified") is not True
            or not is_mail_address(mail)
        ):
            raise InvalidValue(
                "The provider has not confirmed your e-mail address. Ask for a link instead."
            )
        return mail.strip().lower()

    def _exchange(
        self, client: httpx.Client, metadata: Mapping[str, Any], code: str
    ) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.derive("verifier"),
        }
        auth = (
            quote(self.provider.client_id, safe=""),
            quote(self.provider.client_secret, safe=""),
        )
        return _ask(
            client,
            "POST",
            _endpoint(self.provider, metadata, "token_endpoint"),
            data=form,
            auth=auth,
        )

    def _claims(
        self, token: Mapping[str, Any], keys: Mapping[str, Any], now: datetime
    ) -> Mapping[str, Any]:
        """Return the claims of the id token after all checks of OpenID Connect Core, section
        3.1.3.7.
        """
        options: dict[str, Any] = {
            "iss": {"essential": True, "value": self.provider.issuer},
            "aud": {"essential": True, "value": self.provider.client_id},
        }
        params = {
            "nonce": self.derive("nonce"),
            "client_id": self.provider.client_id,
            "access_token": token.get("access_token"),
        }
        try:
            decoded = decode(
                str(token.get("id_token", "")),
                KeySet.import_key_set(dict(keys)),  # type: ignore[arg-type]
                list(ALGORITHMS),
            )
            claims = CodeIDToken(decoded.claims, decoded.header, options, params)
            claims.validate(int(now.timestamp()), LEEWAY)
        except ClaimError as error:
            log.warning("sign-in refused", claim=error.claim, provider=self.provider.issuer)
            raise ProviderError(FAULTS.get(str(error.claim), _WRONG)) from error
        except (JoseError, ValueError, TypeError, KeyError) as error:
            log.warning(
                "sign-in refused", reason=type(error).__name__, provider=self.provider.issuer
            )
            raise ProviderError(_WRONG) from error
        return dict(claims)

    def _user_info(
        self,
        client: httpx.Client,
        metadata: Mapping[str, Any],
        token: Mapping[str, Any],
        claims: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        headers = {"Authorization": f"Bearer {token.get('access_token', '')}"}
        more = _ask(
            client, "GET", _endpoint(self.provider, metadata, "userinfo_endpoint"), headers=headers
        )
        require(more.get("sub") == claims["sub"], ProviderError(FAULTS["person"]))
        return more


def _open_client(provider: OpenIDProvider) -> httpx.Client:
    guarded = provider.transport or GuardedTransport(provider.allow, Deadline(TIMEOUT_SECONDS))
    return create_client(guarded, TIMEOUT_SECONDS)


def _metadata(client: httpx.Client, provider: OpenIDProvider) -> Mapping[str, Any]:
    """Return the provider's metadata; its issuer must be the one in the settings."""
    metadata = _ask(
        client, "GET", f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
    )
    require(metadata.get("issuer") == provider.issuer, ProviderError(FAULTS["iss"]))
    return metadata


def _endpoint(provider: OpenIDProvider, metadata: Mapping[str, Any], name: str) -> str:
    """Return an address of the provider, without TLS only if its issuer is an address without TLS,
    which is on this machine.
    """
    address = str(metadata.get(name, ""))
    if (
        urlsplit(address).scheme not in ("https", urlsplit(provider.issuer).scheme)
        or not urlsplit(address).netloc
    ):
        raise ProviderError(_WRONG)
    return address


def _ask(client: httpx.Client, method: str, address: str, **more: Any) -> Mapping[str, Any]:
    """Return the JSON object in the provider's response. Raises ProviderError."""
    deadline = Deadline(TIMEOUT_SECONDS)
    try:
        with client.stream(method, address, **more) as response:
            (body, _), status = read_body(response, MAX_ANSWER, deadline), response.status_code
        answer = json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, HarvestError) as error:
        log.warning(
            "provider does not answer", address=address, reason=str(error) or type(error).__name__
        )
        raise ProviderError(FAULTS["silent"]) from error
    except (ValueError, RecursionError) as error:
        raise ProviderError(_WRONG) from error
    if status != httpx.codes.OK or not isinstance(answer, dict):
        log.warning("sign-in provider refused the request", address=address, status=status)
        raise ProviderError(_WRONG)
    return answer
