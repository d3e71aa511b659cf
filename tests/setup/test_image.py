"""Build the image and run the compose file with podman, where it is installed and the base images
are present.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from waiting import wait_until

ROOT = Path(__file__).parents[2]
BASES = sorted(
    set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
)
PORT = 18000
START = 600.0  # seconds until every container has started
# The variable names an image that was built before, e.g. with a company's certificates.
BUILT = os.environ.get("TEST_IMAGE")

pytestmark = pytest.mark.timeout(1800)


def _run(*command: str, environment: dict[str, str] | None = None, within: float = 1200) -> str:
    process = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=within
    )
    output = f"{process.stdout[-3000:]}{process.stderr[-3000:]}"
    assert process.returncode == 0, (
        f"{' '.join(command)} exited with {process.returncode}:\n{output}"
    )
    return process.stdout


@pytest.fixture(scope="module", autouse=True)
def podman() -> None:
    """Skip if podman or a base image is missing, since tests pull no images."""
    if not shutil.which("podman") or not shutil.which("podman-compose"):
        pytest.skip("podman and podman-compose are not installed")
    for image in ["postgres:17", *(["stocktake"] if BUILT else BASES)]:
        if subprocess.run(
            ["podman", "image", "exists", image], capture_output=True, timeout=60
        ).returncode:
            pytest.skip(f"the base image is not here: podman pull {image}")
    reachable = [
        "podman", "run", "--rm", "docker.io/library/python:3.13-slim-trixie", "pip", "download", "--no-deps", "--dest=/tmp", "pluggy",
    ]  # fmt: skip
    if not BUILT and subprocess.run(reachable, capture_output=True, timeout=300).returncode:
        pytest.skip(
            "containers reach no package index here; name an image that was built before: TEST_IMAGE=stocktake"
        )


@pytest.fixture(scope="module")
def demo(podman: None) -> Iterator[dict[str, str]]:
    """Start the compose file with its demo profile from a newly built image, and yield
    its environment.
    """
    settings = dict(
        line.split("=", 1)
        for line in (ROOT / "compose/demo.env").read_text().splitlines()
        if line and line[0] != "#"
    )
    environment = {**os.environ, **settings, "PORT": str(PORT)}
    if not BUILT:
        _run("podman", "build", "--pull=never", "--format", "docker", "--tag", "stocktake", ".")
    compose = ["podman-compose", "--project-name", "stocktake-test", "--profile", "demo"]
    try:
        starting = subprocess.Popen(
            [*compose, "up", "--detach", "--no-build"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL,
        )  # fmt: skip

        def started() -> bool:
            _check_health()
            return starting.poll() is not None

        wait_until(started, "the containers to start", START, pause=2)  # fmt: skip
        assert starting.returncode == 0, _run("podman", "ps", "--all")
        yield environment
    finally:
        subprocess.run(
            [*compose, "down", "--volumes", "--timeout", "5"], cwd=ROOT, env=environment, capture_output=True,
            timeout=300,
        )  # fmt: skip


def _check_health() -> None:
    """Run each container's health check, which without systemd nothing else does."""
    for container in _run("podman", "ps", "--quiet").split():
        subprocess.run(["podman", "healthcheck", "run", container], capture_output=True, timeout=60)


def _get(path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=30) as response:
        content: bytes = response.read()
    return content


def _records() -> int:
    query = (
        "/sparql?query=SELECT(COUNT(DISTINCT%20?g)%20AS%20?n){GRAPH%20?g{?s%20a%20?c}}&format=json"
    )
    try:
        return int(orjson.loads(_get(query))["results"]["bindings"][0]["n"]["value"])
    except OSError:
        return 0


def test_the_image_runs_as_an_ordinary_user_and_is_whole(demo: dict[str, str]) -> None:
    modules = (
        "import s3fs, distributed, psycopg, procrastinate, publisher; import os; print(os.getuid())"
    )

    assert (
        _run(
            "podman", "run", "--rm", "--network", "none", "stocktake", "python", "-c", modules
        ).strip()
        == "10001"
    )
    assert "0.1" in _run(
        "podman", "run", "--rm", "--network", "none", "stocktake", "stocktake", "--version"
    )


def test_the_simulated_registries_are_harvested_and_served_with_the_query_editor(
    demo: dict[str, str],
) -> None:
    wait_until(lambda: _records() > 3000, "3,000 published records")

    assert len(_get("/static/query/query.js")) > 100_000


def test_a_killed_worker_is_started_again(demo: dict[str, str]) -> None:
    def started() -> str:
        return _run(
            "podman",
            "inspect",
            "--format",
            "{{.State.Pid}} {{.State.Running}}",
            "stocktake-test_worker_1",
        ).strip()

    before = started()
    _run("kill", "-9", before.split()[0])

    wait_until(
        lambda: started() != before and started().endswith("true"), "the worker to be started again"
    )
