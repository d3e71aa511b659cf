"""Check everything that the container files name; tests/setup/test_image.py builds and runs them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest
import typer
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from typer.core import TyperGroup

from command_line.settings import Settings
from stocktake import app

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
BUNDLE = ROOT / "publisher/static/query"
OURS = [name for name, service in SERVICES.items() if "build" in service]


def _instructions(word: str) -> Iterator[str]:
    return (
        line[len(word) :].strip() for line in DOCKERFILE.splitlines() if line.startswith(f"{word} ")
    )


def _copied() -> list[str]:
    lines = (line.split() for line in _instructions("COPY") if not line.startswith("--from"))
    return [word for words in lines for word in words[:-1]]


def _mounts(name: str) -> list[list[str]]:
    return [volume.split(":") for volume in SERVICES[name]["volumes"]]


def _parse(command: list[str]) -> str | None:
    """Parse *command* as the program would, without running it, and return its name; a wrong
    command raises an error of click.
    """
    group = typer.main.get_command(app)
    name, *rest = command[1:]
    assert isinstance(group, TyperGroup)
    return group.commands[name].make_context(name, rest).command.name


def test_the_file_keeps_to_the_compose_specification() -> None:
    schema = json.loads(Path(__file__).with_name("compose.schema.json").read_text(encoding="utf-8"))

    errors = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft202012Validator(schema).iter_errors(COMPOSE)
    ]

    assert errors == []


def test_no_key_is_written_twice() -> None:
    def check(node: yaml.Node) -> None:
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            assert [key for key in set(keys) if keys.count(key) > 1] == []
        for child in node.value if isinstance(node.value, list) else []:
            for part in child if isinstance(child, tuple) else (child,):
                check(part)

    document = yaml.compose((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert document is not None
    check(document)


def test_virtuoso_and_simulated_registries_start_only_with_their_profile() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}

    assert {name for name, of_service in profiles.items() if not of_service} == {
        "harvester", "worker", "publisher", "releases", "postgresql",
    }  # fmt: skip
    assert {name for name, of_service in profiles.items() if of_service == ["virtuoso"]} == {
        "virtuoso"
    }
    assert {name for name, of_service in profiles.items() if of_service == ["demo"]} == {
        "registries",
        "first-harvest",
    }


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" in SERVICES[name]])
def test_every_setting_is_passed_on(name: Any) -> None:
    missing = set(Settings.VARIABLES) - {"STOCKTAKE_DATA"} - set(SERVICES[name]["environment"])

    assert missing == set()


@pytest.mark.parametrize(
    "file", sorted((ROOT / "compose").glob("*.env")), ids=lambda file: file.name
)
def test_an_environment_file_sets_only_what_the_compose_file_reads(file: Any) -> None:
    names = {
        line.partition("=")[0]
        for line in file.read_text(encoding="utf-8").splitlines()
        if line and line[0] != "#"
    }

    read = set(SERVICES["publisher"]["environment"]) | set(
        re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    )
    assert names
    assert names <= read


def test_the_virtuoso_profile_is_the_publishers_store() -> None:
    text = (ROOT / "compose/virtuoso.env").read_text(encoding="utf-8")
    hosts = re.findall(r"^STOCKTAKE_\w+=http://(?:[^@\n]+@)?([^:/\n]+)", text, re.MULTILINE)

    assert hosts == ["virtuoso"] * 3


@pytest.mark.parametrize(
    "command",
    [*(c for c in (SERVICES[name]["command"] for name in OURS) if c[0] != "python"), *map(json.loads, _instructions("CMD"))],
    ids=" ".join,
)  # fmt: skip
def test_every_command_is_one_of_the_programs(command: Any) -> None:
    assert command[0] == "stocktake"
    assert _parse(command) == command[1]


@pytest.mark.parametrize(
    "file", ["docker-compose.yml", "Dockerfile", "Makefile", "README.md", "CONTRIBUTING.md"]
)
def test_every_variable_is_a_setting(file: str) -> None:
    named = set(re.findall(r"STOCKTAKE_[A-Z_]+", (ROOT / file).read_text(encoding="utf-8")))

    assert named - set(Settings.VARIABLES) == set()


def test_every_path_that_is_copied_or_mounted_exists() -> None:
    mounted = [mount[0] for name in OURS for mount in _mounts(name) if mount[0].startswith("./")]

    paths = [*_copied(), *mounted, *(SERVICES[name]["build"] for name in OURS)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def _is_sent(path: str, patterns: list[str]) -> bool:
    """Return whether .dockerignore lets *path* through: the last pattern that matches it or one of
    its parents decides.
    """
    parents = [
        str(PurePosixPath(*PurePosixPath(path).parts[: n + 1]))
        for n in range(len(PurePosixPath(path).parts))
    ]
    sent = True
    for pattern in patterns:
        if any(
            fnmatchcase(part, name)
            for part in parents
            for name in (pattern.lstrip("!"), pattern.lstrip("!").removeprefix("**/"))
        ):
            sent = pattern.startswith("!")
    return sent


def _context() -> list[str]:
    """List the files of this checkout, the bundled scripts included, that .dockerignore sends to
    the builder.
    """
    patterns = [
        line
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line and line[0] != "#"
    ]
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    bundle = [str(file.relative_to(ROOT)) for file in BUNDLE.glob("*")]
    return [
        path
        for path in [*filter(None, tracked.stdout.split("\0")), *bundle]
        if (ROOT / path).is_file() and _is_sent(path, patterns)
    ]


def test_every_path_that_is_copied_is_sent_to_the_builder() -> None:
    context = _context()
    sent = {*context, *(str(folder) for path in context for folder in PurePosixPath(path).parents)}

    assert [path for path in _copied() if path.rstrip("/") not in sent] == []


@pytest.mark.smoke
def test_the_builder_receives_no_bundle_and_no_tests() -> None:
    context, hidden = _context(), ("publisher/static/query/", "tests/", ".git/", "data/")

    assert "hatch_build.py" in context
    assert [path for path in context if path.startswith(hidden)] == []


def test_the_wheel_built_from_the_builders_files_has_the_query_editor(tmp_path: Path) -> None:
    if not BUNDLE.exists():
        pytest.skip(
            "the scripts are not bundled here: npm was missing when the project was installed"
        )
    copied = _copied()
    for path in _context():
        if any(path == word or path.startswith(f"{word}/") for word in copied):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, tmp_path / path)
    (from_scripts,) = (
        line.split()[-1] for line in _instructions("COPY") if line.startswith("--from=scripts")
    )
    shutil.copytree(BUNDLE, tmp_path / from_scripts)  # the stage with Node.js builds it

    command = [
        sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", "dist",
    ]  # fmt: skip
    subprocess.run(
        command, cwd=tmp_path, env={"PATH": "/nonexistent"}, check=True, capture_output=True, timeout=120,
    )  # fmt: skip

    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (materials,) = (
            archive.read(name) for name in names if name.endswith(".dist-info/sboms/sbom.cdx.json")
        )
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(materials.decode()) is None
    assert {part["name"] for part in json.loads(materials)["components"]} >= {
        "@zazuko/yasgui",
        "d3-geo",
        "swagger-ui-dist",
    }
    assert {
        "publisher/static/query/query.js",
        "publisher/static/query/query.css",
        "publisher/static/query/world.json",
    } <= set(names)
    assert "stocktake.py" in names


@pytest.mark.parametrize("name", OURS)
def test_data_and_definitions_are_where_the_settings_say(name: str) -> None:
    (defaults,) = _instructions("ENV")

    named = set(re.findall(r"STOCKTAKE_\w+=(\S+)", defaults))
    assert named == {mount[1] for mount in _mounts(name)}


def test_every_volume_and_service_that_is_named_is_declared() -> None:
    volumes = {mount[0] for name in SERVICES for mount in _mounts(name)}
    awaited = {name for service in SERVICES.values() for name in service.get("depends_on", {})}

    assert {name for name in volumes if not name.startswith("./")} == set(COMPOSE["volumes"])
    assert awaited <= set(SERVICES)


def test_a_service_that_is_awaited_healthy_states_its_health() -> None:
    awaited = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }

    assert [name for name in awaited if "test" not in SERVICES[name].get("healthcheck", {})] == []


def test_the_image_runs_as_nobody_special() -> None:
    (user,) = _instructions("USER")

    assert user not in {"root", "0"}


@pytest.mark.parametrize("name", OURS)
def test_a_container_cannot_take_all_memory_nor_write_outside_its_volumes(name: str) -> None:
    assert (SERVICES[name]["mem_limit"], SERVICES[name]["read_only"]) == (
        "${MEMORY_LIMIT:-4g}",
        True,
    )


def test_no_password_stands_in_the_file() -> None:
    passwords = [
        value
        for service in SERVICES.values()
        for key, value in service["environment"].items()
        if key.endswith("PASSWORD")
    ]

    assert passwords
    assert all(re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", value) for value in passwords)
