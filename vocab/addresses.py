"""Rules for addresses: which IP addresses belong to the public internet, and which texts are mail
addresses. All clients use them.

Sources: https://www.iana.org/assignments/iana-ipv4-special-registry/,
https://www.iana.org/assignments/iana-ipv6-special-registry/ and
https://www.iana.org/assignments/ipv6-unicast-address-assignments/.
"""

from __future__ import annotations

import re
from email.errors import MessageError
from email.headerregistry import Address
from ipaddress import IPv4Address, IPv6Network, ip_address

# The only range from which addresses are assigned to hosts of the public internet.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_SPECIAL = (
    # IETF protocol assignments, among them Teredo, benchmarking and ORCHID
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4, which wraps an IPv4 address
    IPv6Network("2620:4f:8000::/48"),  # AS112, which answers for private addresses
    IPv6Network("3ffe::/16"),  # 6bone, returned
    IPv6Network("3fff::/20"),  # documentation
)
# Hosts that are numbers, and encoded words and line breaks, which a mail server may decode.
_NO_MAIL = re.compile(r"[ \[]|=\?|%0[ad]|\.[0-9]+\Z", re.IGNORECASE)


def is_mail_address(text: str) -> bool:
    r"""Return whether *text* is one mail address, without a name or white space.

    >>> is_mail_address("ops@example.org"), is_mail_address("ops@example.org\nBcc: x@y"), is_mail_address("ops")
    (True, False, False)
    >>> is_mail_address("a@[127.0.0.1]"), is_mail_address("a=?utf-8?q?=0A?=@b.org"), is_mail_address("a%0Ab@c.org")
    (False, False, False)
    """
    try:
        parsed = Address(addr_spec=text)
    except (MessageError, ValueError, IndexError):
        return False
    is_named = bool(parsed.username and "." in parsed.domain)
    return is_named and text.isprintable() and not _NO_MAIL.search(text)


def is_public(address: str) -> bool:
    """Return whether an IP address, with or without a zone, belongs to the public internet.

    IPv4: globally reachable by the IANA registry, and not multicast. IPv6: global unicast without
    its special ranges, so that no wrapped IPv4 address (mapped, 6to4, NAT64) is public. Raises
    ValueError if *address* is not an IP address.

    >>> is_public("10.0.0.1"), is_public("1.1.1.1"), is_public("::ffff:1.1.1.1"), is_public("2606:4700::1111")
    (False, True, False, True)
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    return ip in _GLOBAL_UNICAST and ip.is_global and not any(ip in network for network in _SPECIAL)
