from __future__ import annotations

from typing import Any

import httpcore
import httpx
import pytest
from rows import each

from vocab.addresses import is_public
from web.outbound_client import GuardedTransport, PrivateAddressError, create_client

ADDRESSES = """
127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 198.18.0.1 0.0.0.0 224.0.0.1 240.0.0.1 255.255.255.255
:: ::1 200::1 1fff:ffff::1 2001:1ff::1 2001:db8::1 2620:4f:8000::1 3ffe::1 3fff::1 3fff:fff::1 4000::1 8000::1 e000::1 fc00::1
fd12:3456::1 fe80::1 fe80::1%eth0 ff02::1
::8.8.8.8 ::ffff:8.8.8.8 ::ffff:10.0.0.1 ::ffff:0:8.8.8.8 64:ff9b::8.8.8.8 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:808:808::1 2001::1
100::1 100:0:0:1::1 2001:2::1 2001:20::1 5f00::1 fec0::1
"""
# The fourth line has IPv4-compatible, -mapped and -translated addresses, NAT64, 6to4 and Teredo.
# The last has discard-only, dummy prefix, benchmarking, ORCHIDv2, segment routing and site-local
# ones.
PRIVATE = ADDRESSES.split()


PUBLIC = [
    "8.8.8.8", "93.184.216.34", "2606:4700::1111", "2001:200::1", "2a00:1450:4001::1", "2c0f:fb50::1", "2001:db7::1", "3fff:1000::1",
]  # fmt: skip


@each("address", [*PRIVATE, *PUBLIC])
def test_only_an_address_of_the_public_internet_is_public(address: str) -> None:
    assert is_public(address) == (address in PUBLIC)


class SilentNetwork(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self.tried: list[str] = []

    def connect_tcp(self, host: str, *_: object, **__: object) -> Any:
        self.tried.append(host)
        raise httpcore.ConnectError("nobody answers")


def request(*addresses: str) -> tuple[httpx.ConnectError, list[str]]:
    """Return the error of a request to a host with *addresses*, and those that were dialled."""
    network = SilentNetwork()
    transport = GuardedTransport(resolve=lambda host, port: [*addresses], dial=network)
    with create_client(transport) as client, pytest.raises(httpx.ConnectError) as caught:
        client.get("http://registry.example/")
    return caught.value, network.tried


@each("address", PRIVATE)
def test_nobody_connects_to_a_private_address(address: str) -> None:
    error, tried = request("93.184.216.34", address)

    assert isinstance(error.__cause__, PrivateAddressError)
    assert "STOCKTAKE_ALLOW_HOSTS=registry.example" in str(error)
    assert tried == []


def test_the_next_address_of_a_host_is_tried() -> None:
    error, tried = request("93.184.216.34", "2606:4700::1111")

    assert (str(error), tried) == ("nobody answers", ["93.184.216.34", "2606:4700::1111"])


def test_host_name_that_cannot_be_encoded_has_no_address() -> None:
    transport = GuardedTransport(resolve=lambda host, port: [host.encode("idna").decode()])

    with (
        create_client(transport) as client,
        pytest.raises(httpx.ConnectError, match="has no address"),
    ):
        client.get(f"http://{'a' * 64}.example/")
