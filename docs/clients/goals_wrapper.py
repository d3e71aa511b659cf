"""SPARQLWrapper: count initiatives by goal, and construct the record of one of them.

By hand: ``pip install sparqlwrapper``, then ``python goals_wrapper.py
http://127.0.0.1:8000/sparql``
"""

import sys

from SPARQLWrapper import JSON, POST, TURTLE, SPARQLWrapper

GOALS = """
PREFIX wsis: <https://w3id.org/wsis-stocktaking/ns#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
SELECT ?goal (COUNT(DISTINCT ?initiative) AS ?initiatives) {
  ?initiative a wsis:Initiative ; wsis:goal ?iri .
  ?iri skos:prefLabel ?goal FILTER(LANG(?goal) = "en")
}
GROUP BY ?goal ORDER BY DESC(?initiatives) ?goal LIMIT 5
"""
ONE = """
PREFIX wsis: <https://w3id.org/wsis-stocktaking/ns#>
PREFIX dct: <http://purl.org/dc/terms/>
CONSTRUCT { ?one a wsis:Initiative ; dct:title ?title ; wsis:goal ?goal } {
  { SELECT ?one { ?one a wsis:Initiative ; wsis:goal ?any } ORDER BY ?one LIMIT 1 }
  ?one dct:title ?title ; wsis:goal ?goal
}
"""

endpoint = SPARQLWrapper(sys.argv[1])
endpoint.setMethod(POST)

endpoint.setReturnFormat(JSON)
endpoint.setQuery(GOALS)
for row in endpoint.queryAndConvert()["results"]["bindings"]:
    print(f"{row['initiatives']['value']:>6}  {row['goal']['value']}")

endpoint.setReturnFormat(TURTLE)
endpoint.setQuery(ONE)
print(endpoint.queryAndConvert().decode())
