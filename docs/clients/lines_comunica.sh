#!/bin/sh
# Comunica: the endpoint joined, on one's own machine, with a document. By hand: npm install @comunica/query-sparql@4.5.0 (Node.js 20 or newer),
# then sh lines_comunica.sh http://127.0.0.1:8000 (COMUNICA names the command where it is not on the path).
set -eu
"${COMUNICA:-comunica-sparql}" "sparql@$1/sparql" "$1/scheme/action-line.ttl" -t "application/sparql-results+json" -q '
PREFIX wsis: <https://w3id.org/wsis-stocktaking/ns#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
SELECT ?line (COUNT(DISTINCT ?initiative) AS ?initiatives) {
  ?initiative wsis:actionLine ?concept .
  ?concept skos:notation ?line .
}
GROUP BY ?line ORDER BY DESC(?initiatives)'
