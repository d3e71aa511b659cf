"""The service manifest, which tells clients what the service can do and where.

Source: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/ section
3.1.
"""

from __future__ import annotations

from importlib.metadata import version

from publisher.apis.reconcile.batch import BATCH_SIZE
from publisher.apis.reconcile.model import TYPES, type_title
from vocab.iris import Iris
from web.branding import Branding

PREVIEW_WIDTH, PREVIEW_HEIGHT = 400, 200  # pixels of the frame in which a client shows a preview


def manifest(host: str, iris: Iris, branding: Branding, documented: bool) -> dict[str, object]:
    """Return the manifest of the service at the origin *host*; *documented*: the documentation is
    served there too.
    """
    content: dict[str, object] = {
        "versions": ["0.2"],
        "name": branding.name,
        "identifierSpace": iris.base,
        "schemaSpace": iris.ns,
        "defaultTypes": [{"id": name, "name": type_title(name)} for name in TYPES],
        "serviceVersion": version("stocktake"),
        "logo": host + branding.logo_url,
        "view": {"url": f"{host}/reconcile/view?id={{{{id}}}}"},
        "preview": {
            "url": f"{host}/reconcile/preview?id={{{{id}}}}",
            "width": PREVIEW_WIDTH,
            "height": PREVIEW_HEIGHT,
        },
        "suggest": {name: _suggest(host, name) for name in ("entity", "type", "property")},
        "extend": {
            "propose_properties": {"service_url": host, "service_path": "/reconcile/properties"},
            "property_settings": [],
        },
        "batchSize": BATCH_SIZE,
    }
    return (
        {**content, "documentation": f"{host}/docs/how-to/openrefine.html"}
        if documented
        else content
    )


def _suggest(host: str, name: str) -> dict[str, str]:
    return {
        "service_url": host,
        "service_path": f"/reconcile/suggest/{name}",
        "flyout_service_url": host,
        "flyout_service_path": f"/reconcile/flyout/{name}?id=${{id}}",
    }
