"""pandas: a query's answer as a table, counted further on one's own machine.

By hand: ``pip install pandas``, then ``python countries_pandas.py http://127.0.0.1:8000/sparql``
"""

import sys
from urllib.parse import urlencode

import pandas

LINES = """
PREFIX wsis: <https://w3id.org/wsis-stocktaking/ns#>
PREFIX dct: <http://purl.org/dc/terms/>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
SELECT ?initiative ?country ?line {
  ?initiative a wsis:Initiative ; dct:spatial ?area ; wsis:actionLine ?concept .
  ?area skos:prefLabel ?country FILTER(LANG(?country) = "en")
  ?concept skos:notation ?line
}
"""

table = pandas.read_csv(f"{sys.argv[1]}?{urlencode({'query': LINES, 'format': 'csv'})}")
print(
    f"{len(table)} rows, {table['initiative'].nunique()} initiatives in {table['country'].nunique()} countries"
)
counts = (
    table.groupby(["country", "line"])["initiative"]
    .nunique()
    .sort_values(ascending=False, kind="stable")
)
print(counts.head(5).to_string())
