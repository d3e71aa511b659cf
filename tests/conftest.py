"""Options of the whole suite, its order, and the packages from npm that it uses."""

from __future__ import annotations

import gc
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable
from pathlib import Path

import npm
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ("pytest_demo", "pytest_processes", "pytest_suites")
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # jsonschema compiles its grammars, for seconds, on each import
CLIENTS = Path(__file__).parent / "clients"
STORE = "store"  # the parameter that names what the store lies in
ELSEWHERE = ("oxigraph", "virtuoso")
ARCHITECTURE = "tests/architecture/"
PUBLISHERS = "tests/publisher/"
FEEDS = f"{PUBLISHERS}feeds/"
DEMO = ("tests/snippets/test_snippets.py", "tests/runs/test_demo_command.py")
# Folders and files of tests that take long: whole runs, killed processes, databases, browsers,
# other programs as clients. All else is fast.
SLOW = {
    "chaos",
    "setup",
    "snippets",
    "support",
    "runs",
    "workers",
    "test_admin_alerts.py",
    "test_admin_api.py",
    "test_admin_auth.py",
    "test_admin_gaps.py",
    "test_admin_identity.py",
    "test_admin_languages.py",
    "test_admin_pages.py",
    "test_admin_served.py",
    "test_admin_sources.py",
    "test_admin_suggestions.py",
    "test_api_page.py",
    "test_audit.py",
    "test_bad_input.py",
    "test_budget.py",
    "test_class_names.py",
    "test_classifier.py",
    "test_clients.py",
    "test_clusters.py",
    "test_columns.py",
    "test_comments.py",
    "test_cuts.py",
    "test_damaged_files.py",
    "test_demo_lists.py",
    "test_demo_oai.py",
    "test_demo_process.py",
    "test_demo_publications.py",
    "test_dependencies.py",
    "test_documents.py",
    "test_editions.py",
    "test_elsewhere.py",
    "test_embeds.py",
    "test_engines_agree.py",
    "test_every_payload.py",
    "test_exports.py",
    "test_external_store_faults.py",
    "test_federated_instances.py",
    "test_feeds.py",
    "test_follow.py",
    "test_fork_server.py",
    "test_fuzz.py",
    "test_harvests.py",
    "test_headers.py",
    "test_home.py",
    "test_hostile_payloads.py",
    "test_inbox_sockets.py",
    "test_join.py",
    "test_journal_jena.py",
    "test_languages.py",
    "test_ldes.py",
    "test_ledger.py",
    "test_many_readers.py",
    "test_matching.py",
    "test_mcp.py",
    "test_mirror.py",
    "test_mirror_served.py",
    "test_moderation.py",
    "test_oai.py",
    "test_oai_recovery.py",
    "test_ontology_quality.py",
    "test_openapi.py",
    "test_packaging.py",
    "test_page_budget.py",
    "test_patterns.py",
    "test_pictures.py",
    "test_pool.py",
    "test_portal.py",
    "test_portal_browser.py",
    "test_prizes.py",
    "test_quality.py",
    "test_query_browser.py",
    "test_query_scripts.py",
    "test_real_feeds.py",
    "test_reasons.py",
    "test_reconcile.py",
    "test_release_making.py",
    "test_release_tables.py",
    "test_release_validators.py",
    "test_reminders.py",
    "test_report_browser.py",
    "test_representation.py",
    "test_runaways.py",
    "test_search.py",
    "test_search_feed.py",
    "test_search_labels.py",
    "test_shapes_cli.py",
    "test_shapes_examples.py",
    "test_sign_in.py",
    "test_slow_clients.py",
    "test_source_report.py",
    "test_start.py",
    "test_store_follows.py",
    "test_submission_api.py",
    "test_submission_browser.py",
    "test_submission_form.py",
    "test_submission_upload.py",
    "test_table_recipes.py",
    "test_tables_follow.py",
    "test_text_follows.py",
    "test_text_languages.py",
    "test_tokens_last.py",
    "test_transfers.py",
    "test_validate.py",
    "test_validate_many.py",
    "test_vocab_check.py",
    "test_vocab_describe.py",
    "test_vocab_release.py",
    "test_vocabulary_pages.py",
    "test_w3c_shacl.py",
    "test_web.py",
    "test_websub.py",
}
PUBLISHER = Path(__file__).parent / "publisher"
SERVERS = {"Process", "QueryService", "served"}  # names of what opens a store or starts a server
# parameters of a test of the publisher that `make check` runs at most: each is a request to a
# server
FAMILY = 6


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=8,
        help="points of a seed at which it is killed (tests/runs/test_kill_anywhere.py)",
    )
    parser.addoption("--kill-seed", type=int, default=1, help="what these points are chosen by")
    parser.addoption(
        "--by-store",
        action="store_true",
        help="report at the end how many tests of each route module passed over each store",
    )


class _ByStore(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Keep the tests of a file in one process, those over a store elsewhere, so that each store is
    started once, those of the program's text, so that each file is parsed once, those of the feeds,
    so that their world is served once, and those of the demo, which is started once. The fast tests
    of the publisher stay together too: one server is enough for them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, rest = nodeid.partition("::")
        if file.startswith(ARCHITECTURE):
            return ARCHITECTURE
        if file in DEMO:
            return DEMO[0]
        if _leaves_out_slow(self.config) and file.startswith(PUBLISHERS):
            return PUBLISHERS
        shared = FEEDS if file.startswith(FEEDS) else file
        return next((part for part in re.split(r"[][-]", rest) if part in ELSEWHERE), shared)


def _leaves_out_slow(config: pytest.Config) -> bool:
    return "not slow" in str(config.getoption("markexpr"))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Keep `make check` from importing the modules that it leaves out."""
    return True if _leaves_out_slow(config) and collection_path.name in SLOW else None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: is left out of `make check` (set by this file)")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _ByStore(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector from the objects of thousands of tests: they stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests and put them first, so that no process works alone at the end; note the
    store of each test in its report.
    """
    for item in items:
        if _store(item) in ELSEWHERE or SLOW & {*item.path.parts} or _opens_server(item):
            item.add_marker("slow")
    items.sort(key=_comes_late)
    _mark_families(items)
    for item in items:
        if store := _store(item):
            item.user_properties.append((STORE, store))


def _comes_late(item: pytest.Item) -> bool:
    """Return whether *item* is neither slow nor a test of the publisher: those stay together, since
    their servers end with the last of them.
    """
    return item.get_closest_marker("slow") is None and PUBLISHER not in item.path.parents


def _opens_server(item: pytest.Item) -> bool:
    """Return whether the module of *item*, a test of the publisher, opens a store or a server of
    its own: seconds before its first test.
    """
    return (
        PUBLISHER in item.path.parents
        and isinstance(item, pytest.Function)
        and bool(SERVERS & vars(item.module).keys())
    )


def _mark_families(items: Iterable[pytest.Item]) -> None:
    """Mark as slow, of each test of the publisher with many parameters, all but FAMILY that are
    spread evenly over them.
    """
    families = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        if PUBLISHER in item.path.parents:
            families[item.nodeid.partition("[")[0]].append(item)
    for family in families.values():
        step = -(-len(family) // FAMILY)
        for number, item in enumerate(family):
            if number % step:
                item.add_marker("slow")


def _store(item: pytest.Item) -> str | None:
    store = (
        item.callspec.params.get(STORE)
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else None
    )
    return str(store) if store else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Report by file and store how many tests passed, and of how many."""
    if not config.getoption("--by-store"):
        return
    passed, all_ = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, store in getattr(report, "user_properties", ()):
                if name == STORE:
                    key = (Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_"), store)
                    all_[key] += 1
                    passed[key] += outcome == "passed"
    stores = sorted({store for _, store in all_}, key=["own", *ELSEWHERE].index)
    terminalreporter.section("passed, by route module and store")
    terminalreporter.write_line(" | ".join(["route module", *stores]))
    for module in sorted({module for module, _ in all_}):
        counts = [f"{passed[module, store]} of {all_[module, store]}" for store in stores]
        terminalreporter.write_line(" | ".join([module, *counts]))


@pytest.fixture(scope="session")
def packages() -> Path:
    """Return the folder of the packages from npm that tests use, installed once for each lock into
    a folder that is kept.
    """
    return npm.install(CLIENTS) / "node_modules"
