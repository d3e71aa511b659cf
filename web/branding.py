"""The name, logo and contact of an installation, shown on its pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAME = "WSIS Stocktaking"
DEMO_NAME = "Stocktake demo"
NO_CONTACT = "no contact given"
LOGO = "/logo"  # where the logo is served
LARGEST_LOGO = 1 << 20  # bytes; the logo loads with the first page
LOGO_TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}


@dataclass(frozen=True, slots=True)
class Branding:
    """The branding of an installation: *logo* is an image file, None for the default; *demo* marks
    every page as demonstration data.
    """

    name: str = NAME
    contact: str = ""
    logo: Path | None = None
    demo: bool = False

    @property
    def logo_url(self) -> str:
        return LOGO if self.logo else "/static/icon.svg"

    @property
    def contact_url(self) -> str | None:
        """Return the contact as a URL that a browser opens, None if it is no URL or e-mail address.

        >>> Branding(contact="help@example.org").contact_url, Branding(contact="call the office").contact_url
        ('mailto:help@example.org', None)
        """
        if self.contact.startswith(("https://", "mailto:", "tel:")):
            return self.contact
        return f"mailto:{self.contact}" if "@" in self.contact and " " not in self.contact else None


PLAIN = Branding()


def check_logo(path: Path) -> None:
    """Raise ValueError if *path* is no image for pages."""
    if path.suffix.lower() not in LOGO_TYPES:
        raise ValueError(f"its name must end with one of {', '.join(LOGO_TYPES)}")
    if not path.is_file():
        raise ValueError("there is no such file")
    if path.stat().st_size > LARGEST_LOGO:
        raise ValueError(f"it has more than {LARGEST_LOGO:,} bytes")
