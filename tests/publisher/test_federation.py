"""SERVICE is found wherever the engine would find it, and nowhere else."""

from __future__ import annotations

import time

from pyoxigraph import Store
from rows import each

from publisher.store.workers.query_request import uses_service

HERE = "<http://127.0.0.1:9/>"
REAL = [
    f"SELECT * {{ SERVICE {HERE} {{ ?s ?p ?o }} }}", f"SELECT * {{ service silent{HERE}{{ ?s ?p ?o }} }}",
    f"SELECT * {{ ?a ?b 1service{HERE}{{ ?s ?p ?o }} }}", f"SELECT * {{ FILTER(true)service{HERE}{{ ?s ?p ?o }} }}",
    f"SELECT * {{ service# {{\n{HERE}# {{\n{{ ?s ?p ?o }} }}", "PREFIX x: <http://127.0.0.1:9/> SELECT * { servicex:y{ ?s ?p ?o } }",
    "PREFIX x: <http://127.0.0.1:9/> SELECT * { servicesilentx:y{ ?s ?p ?o } }",
    "PREFIX service: <http://127.0.0.1:9/> PREFIX : <http://127.0.0.1:9/> SELECT * { service:y{ ?s ?p ?o } }",
    f"SELECT * {{ ?a ?b ?c FILTER(?a<'>') service{HERE}{{ ?s ?p ?o }} FILTER(?b<'>') }}",
    f"SELECT * {{ ?a ?b ?c FILTER(?a<?b#>'''\n) service{HERE}{{ ?s ?p ?o }} #'''\n }}",
    "SELECT * { VALUES ?x { <http://127.0.0.1:9/> } SERVICE ?x { ?s ?p ?o } }",
    f"SELECT * {{ ?a ?b 'it\\'s' . SERVICE {HERE} {{ ?s ?p ?o }} }}", f"SELECT * {{ OPTIONAL {{ SERVICE\t{HERE}\t{{ ?s ?p ?o }} }} }}",
    f"ASK {{ {{ SELECT * {{ SERVICE {HERE} {{ }} }} }} }}",
]  # fmt: skip
HARMLESS = [
    "SELECT * { ?s a <http://example.org/SERVICE> }", "SELECT * { ?service ?p ?o . $SERVICE ?p ?service }",
    "PREFIX service: <http://example.org/> SELECT * { service:x a service:y . GRAPH service:g { ?s ?p service:o } }",
    "PREFIX service: <http://example.org/> SELECT * FROM service:x FROM NAMED service:y { ?s ?p ?o }",
    "PREFIX service: <http://example.org/> DESCRIBE service:x { ?s ?p ?o }",
    "PREFIX x: <http://example.org/> SELECT * { ?s x:service ?o { ?a ?b ?c } }",
    "# SERVICE <http://example.org/> { ?s ?p ?o }\nSELECT * { ?s ?p ?o }", "SELECT * { ?s ?p 'SERVICE <http://example.org/> {' }",
    "SELECT * { ?s ?p '''it's\nSERVICE <http://example.org/> {''' }", 'SELECT * { ?s ?p "a service", "at your SERVICE" }',
    "SELECT * { ?s <http://example.org/#a> 'SERVICE <http://example.org/> {' }",
    "SELECT (COUNT(*) AS ?services) { ?s ?p ?o VALUES ?service { 1 } }", "SELECT * { ?s ?p 'x'@en-service }",
]  # fmt: skip


@each("query", REAL)
def test_a_service_clause_is_found(query: str) -> None:
    assert uses_service(query)


@each("query", HARMLESS)
def test_what_only_looks_like_one_is_let_pass(query: str) -> None:
    Store().query(query)  # The query must be valid.

    assert not uses_service(query)


@each(
    "part",
    ["service", "service ", "service#", "service<", "service#\n", "service'", "service\\", "service:{", "silent "],
)  # fmt: skip
def test_the_search_takes_time_in_proportion_to_the_query(part: str) -> None:
    query = part * (256 * 1024 // len(part))
    began = time.process_time()

    uses_service(query)

    assert time.process_time() - began < 2
