"""The containers: they cannot be started here, so all that their files name is looked up instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
import yaml

from stocktake import Settings, app

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
OURS = [name for name, service in SERVICES.items() if "build" in service]


def _instructions(word: str) -> Iterator[str]:
    return (line[len(word) :].strip() for line in DOCKERFILE.splitlines() if line.startswith(f"{word} "))


def _parse(command: list[str]) -> typer.Context:
    """Parse *command* as the program would, without running it; a wrong one raises click's own error."""
    group = typer.main.get_command(app)
    name, *rest = command[1:]
    return group.commands[name].make_context(name, rest)  # type: ignore[attr-defined]


def test_the_file_keeps_to_the_compose_specification():
    schema = json.loads(Path(__file__).with_name("compose.schema.json").read_text(encoding="utf-8"))

    errors = [f"{error.json_path}: {error.message}" for error in jsonschema.Draft202012Validator(schema).iter_errors(COMPOSE)]

    assert errors == []


def test_harvester_worker_publisher_and_ledger_start_and_virtuoso_only_when_asked():
    always = {name for name, service in SERVICES.items() if "profiles" not in service}

    assert always == {"harvester", "worker", "publisher", "postgresql"}
    assert SERVICES["virtuoso"]["profiles"] == ["virtuoso"]


@pytest.mark.parametrize("command", [*(SERVICES[name]["command"] for name in OURS), *map(json.loads, _instructions("CMD"))], ids=" ".join)
def test_every_command_is_one_of_the_programs(command):
    assert command[0] == "stocktake"
    assert _parse(command).command.name == command[1]


@pytest.mark.parametrize("file", ["docker-compose.yml", "Dockerfile", "Makefile", "README.md", "CONTRIBUTING.md"])
def test_every_variable_is_a_setting(file):
    named = set(re.findall(r"STOCKTAKE_[A-Z_]+", (ROOT / file).read_text(encoding="utf-8")))

    assert named - set(Settings.VARIABLES) == set()


def test_every_path_that_is_copied_or_mounted_exists():
    copied = [word for line in _instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]]
    mounted = [volume.split(":")[0] for name in OURS for volume in SERVICES[name]["volumes"] if volume.startswith("./")]

    missing = [path for path in [*copied, *mounted, *(SERVICES[name]["build"] for name in OURS)] if not (ROOT / path).exists()]

    assert missing == []


def test_the_builder_is_sent_all_that_it_copies():
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")]
    copied = [word for line in _instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]]

    assert [path for path in copied if not any(fnmatch(path, pattern) for pattern in allowed)] == []


@pytest.mark.parametrize("name", OURS)
def test_data_and_cards_are_where_the_settings_say(name):
    mounts = {volume.split(":")[1] for volume in SERVICES[name]["volumes"]}

    assert SERVICES[name]["environment"]["STOCKTAKE_DATA"] in mounts
    assert SERVICES[name]["environment"]["STOCKTAKE_SOURCES"] in mounts


def test_every_volume_and_service_that_is_named_is_declared():
    volumes = {volume.split(":")[0] for service in SERVICES.values() for volume in service["volumes"] if not volume.startswith("./")}
    awaited = {name for service in SERVICES.values() for name in service.get("depends_on", {})}

    assert volumes == set(COMPOSE["volumes"])
    assert awaited <= set(SERVICES)


def test_a_service_that_is_awaited_healthy_tells_its_health():
    awaited = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }

    assert [name for name in awaited if "test" not in SERVICES[name].get("healthcheck", {})] == []


def test_the_image_runs_as_nobody_special():
    (user,) = _instructions("USER")

    assert user not in {"root", "0"}


def test_no_password_stands_in_the_file():
    passwords = [value for service in SERVICES.values() for key, value in service["environment"].items() if key.endswith("PASSWORD")]

    assert passwords
    assert all(re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", value) for value in passwords)
