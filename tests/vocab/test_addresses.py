"""The rule by which an IP address is of the public internet, and that both clients keep to it."""

from __future__ import annotations

from typing import Any

import httpcore
import httpx
import pytest
from rows import each

from harvesters.errors import RefusedError
from harvesters.network.ssrf_guard import safe_transport
from publisher.http.outbound_client import PrivateAddressError, create_client
from vocab.addresses import is_public

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::8.8.8.8",  # IPv4-compatible
    "::ffff:8.8.8.8",  # IPv4-mapped
    "::ffff:10.0.0.1",
    "::ffff:0:8.8.8.8",  # IPv4-translated
    "64:ff9b::8.8.8.8",  # NAT64
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",  # NAT64 of a network's own
    "100::1",  # discard only
    "100:0:0:1::1",  # dummy prefix
    "200::1",
    "1fff:ffff::1",
    "2001::1",  # Teredo
    "2001:2::1",  # benchmarking
    "2001:20::1",  # ORCHIDv2
    "2001:1ff::1",
    "2001:db8::1",
    "2002:808:808::1",  # 6to4
    "2620:4f:8000::1",
    "3ffe::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",  # segment routing
    "8000::1",
    "e000::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",  # site-local
    "ff02::1",
]
PUBLIC = [
    "8.8.8.8", "93.184.216.34", "2606:4700::1111", "2001:200::1", "2a00:1450:4001::1", "2c0f:fb50::1", "2001:db7::1", "3fff:1000::1",
]  # fmt: skip


@each("address", PRIVATE)
def test_address_off_the_public_internet_is_known(address: str) -> None:
    assert not is_public(address)


@each("address", PUBLIC)
def test_address_of_the_public_internet_is_known(address: str) -> None:
    assert is_public(address)


@each("address", PRIVATE)
def test_harvesters_do_not_connect_to_it(address: str) -> None:
    class Dial(httpcore.NetworkBackend):
        """A network that must not be used."""

    with (
        httpx.Client(
            transport=safe_transport(frozenset(), resolve=lambda host, port: [address], dial=Dial())
        ) as client,
        pytest.raises(RefusedError, match="has the private address"),
    ):
        client.get("http://registry.example/")


@each("address", PRIVATE)
async def test_publisher_does_not_connect_to_it(address: str) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    async with create_client(resolve=resolve) as client:
        with pytest.raises(
            (httpx.ConnectError, PrivateAddressError), match="STOCKTAKE_ALLOW_HOSTS"
        ):
            await client.get("http://hub.example/")


async def test_publisher_tries_the_next_address_of_a_host() -> None:
    tried = list[str]()

    class SilentNetwork(httpcore.AsyncNetworkBackend):
        """A network on which nobody answers."""

        async def connect_tcp(self, host: str, *_: object, **__: object) -> Any:
            tried.append(host)
            raise httpcore.ConnectError("nobody answers")

    async def resolve(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "2606:4700::1111"]

    async with create_client(resolve=resolve, dial=SilentNetwork()) as client:
        with pytest.raises(httpx.ConnectError, match="nobody answers"):
            await client.get("http://hub.example/")

    assert tried == ["93.184.216.34", "2606:4700::1111"]


async def test_host_name_that_cannot_be_encoded_has_no_address() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [host.encode("idna").decode()]

    async with create_client(resolve=resolve) as client:
        with pytest.raises(httpx.ConnectError, match="has no address"):
            await client.get(f"http://{'a' * 64}.example/")
