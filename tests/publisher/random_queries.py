"""Random data and random SPARQL queries, the same for the same seed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random

from pyoxigraph import BlankNode, Literal, NamedNode, Quad

from publisher.rdf import TermKind, term_row

XSD = "http://www.w3.org/2001/XMLSchema#"
GRAPHS = [NamedNode(f"http://example.org/g{number}") for number in range(3)]
NODES = [NamedNode(f"http://example.org/n{number}") for number in range(12)]
PREDICATES = [NamedNode(f"http://example.org/p{number}") for number in range(7)]
OUTERMOST = 2  # The depth of the outermost group.
# It separates the values in GROUP_CONCAT, so that a test can sort them: SPARQL defines no order.
SEPARATOR = "~"
# A path that may have no step: pyoxigraph finds no such path from a constant that is no node.
_OPTIONAL_STEP = re.compile(r"[>)][*?]")
BLANK = [BlankNode(f"b{number}") for number in range(3)]


def typed(value: str, datatype: str) -> Literal:
    """Return a literal of a datatype of XML Schema."""
    return Literal(value, datatype=NamedNode(XSD + datatype))


TEXTS = [
    *(Literal(text) for text in ("", "a", "b", "Kenya", "KENYA e-health", 'say "hi"\n\tback\\slash', "Ünï", "10")),
    *(Literal(text, language=tag) for text in ("a", "Kenya", "Élan") for tag in ("en", "fr", "en-GB")),
]  # fmt: skip
INTEGERS = [
    typed(text, "integer") for text in ("0", "1", "2", "-3", "10", "007", "123456789012345678")
]
DECIMALS = [
    typed(text, "decimal")
    for text in ("0.5", "1.5", "-2.25", "10.50", "3", "0.000001", "99999999999.75")
]
DATES = [typed(text, "date") for text in ("2020-01-01", "2021-12-31", "1999-05-05")]
INSTANTS = [typed(text, "dateTime") for text in ("2020-01-01T00:00:00Z", "2021-12-31T23:59:59Z")]
ODD = [
    typed("1.5", "decimal"), typed("1.0", "decimal"), typed("1.0E0", "double"), typed("NaN", "double"), typed("-0.0", "double"),
    typed("abc", "integer"), typed("2020-13-45", "date"), typed("2020-01-01+02:00", "date"), typed("2020-01-01T00:00:00.5Z", "dateTime"),
    typed("2020-01-01T00:00:00", "dateTime"), typed("0000-01-01", "date"), typed("true", "boolean"), typed("1", "boolean"),
    typed("5", "byte"), Literal("x", datatype=NamedNode("http://example.org/type")),
]  # fmt: skip
# Arguments of the right types for each function whose result is a boolean, and for each other one.
TESTS: dict[str, Sequence[tuple[str, ...]]] = {
    "BOUND": [("?{}",)],
    "CONTAINS": [("LCASE(?{})", '"kenya"'), ("LCASE(?{})", '"é"'), ("?{}", '""'), ("?{}", '"a"')],
    "LANGMATCHES": [("LANG(?{})", tag) for tag in ('"en"', '"*"', '"EN-gb"')],
    "REGEX": [
        ("STR(?{})", '"^https?://(example[.]org|x)/n1"'),
        ("STR(?{})", '"^(K|a)[a-z]*$"'),
        ("STR(?{})", '"[0-9-]+$"'),
        *(("?{}", f'"{pattern}"', flags) for pattern in ("Ken", "ken") for flags in ('"i"', '""')),
        ("?{}", '"a"'),
    ],
    "STRENDS": [("?{}", '"a"'), ("STR(?{})", '""')],
    "STRSTARTS": [("STR(?{})", '"http://example.org/n1"'), ("STR(?{})", '"K"'), ("?{}", '""')],
    **{name: [("?{}",)] for name in ("isIRI", "isURI", "isBLANK", "isLITERAL")},
}
CALLS: dict[str, Sequence[tuple[str, ...]]] = {
    "COALESCE": [("?{}", "?{}"), ("?{}", '"none"'), ("STR(?{})", "LANG(?{})")],
    "CONCAT": [("STR(?{})", '"-"', "LANG(?{})"), ("?{}", '"x"')],
    "IF": [("?{} = ?{}", '"same"', '"other"'), ("BOUND(?{})", "1", "YEAR(?{})"), ("isIRI(?{})", "STR(?{})", "LANG(?{})")],
    **{name: [("STR(?{})", '"a"'), ("LANG(?{})", '"-"')] for name in ("STRAFTER", "STRBEFORE")},
    "SUBSTR": [("STR(?{})", "2"), ("STR(?{})", "1", "3")], "LCASE": [("STR(?{})",), ("LANG(?{})",)],
    **{name: [("?{}",)] for name in ("STR", "LANG", "YEAR", "MONTH", "DAY")},
    f"<{XSD}integer>": [("?{}",), ("STR(?{})",)],
}  # fmt: skip
UNBOUND = "?i"  # Its name is also a flag of REGEX.
EXPRESSIONS = [
    "?{}", "IF(isIRI(?{0}), STR(?{0}), LANG(?{0}))", "COALESCE(?{}, ?{})", "STR(COALESCE(?{}, ?{}))",
    "IF(?{} > 1, true, BOUND(?{}))", 'IF(BOUND(?{}), "x", STR(?{}))', "IF(?{} = ?{}, 1, 0)",
]  # fmt: skip
ORDERS = [f"DESC(<{XSD}integer>(?{{}}))", "LCASE(?{})", "DESC(LCASE(STR(?{})))", "YEAR(?{})"]
# Most predicates have values of one kind, as real data have.
TERMS: tuple[Sequence[NamedNode | Literal], ...] = (
    *(NODES, TEXTS, INTEGERS, DECIMALS, DATES, ODD),
)
VALUES: dict[NamedNode, Sequence[NamedNode | BlankNode | Literal]] = {
    PREDICATES[0]: NODES, PREDICATES[1]: [*NODES, *BLANK], PREDICATES[2]: TEXTS, PREDICATES[3]: INTEGERS,
    PREDICATES[4]: [*DATES, *INSTANTS], PREDICATES[6]: [*DECIMALS, *DECIMALS, INTEGERS[1], INTEGERS[4]],
    PREDICATES[5]: [*NODES, *TEXTS, *INTEGERS, *DATES, *ODD, *BLANK],
}  # fmt: skip


def random_quads(random: Random, number: int = 250) -> list[Quad]:
    """Return quads in named graphs; some triples are in several graphs.

    Every node is in every graph, since pyoxigraph finds no path without a step from a node that is
    absent. In half of the cases the values of a predicate are of one kind, and no node is blank.
    """
    quads = [Quad(node, PREDICATES[0], NODES[0], graph) for node in NODES for graph in GRAPHS]
    subjects: list[NamedNode | BlankNode] = [*NODES, *NODES, *BLANK]
    values = VALUES
    if random.random() < 0.5:
        subjects = [*NODES]
        kinds = {
            name: term_row(random.choice([*VALUES[name][:1], *VALUES[name]])).kind
            for name in VALUES
        }
        kinds |= dict.fromkeys(PREDICATES[:2], TermKind.IRI)
        values = {
            name: [term for term in terms if term_row(term).kind is kinds[name]]
            for name, terms in VALUES.items()
        }
    for _ in range(number):
        predicate = random.choice(PREDICATES)
        subject = random.choice(subjects)
        value: NamedNode | BlankNode | Literal = random.choice(values[predicate])
        quads += [
            Quad(subject, predicate, value, graph)
            for graph in random.sample(GRAPHS, random.choice([1, 1, 2]))
        ]
    return quads


def variables_in(text: str) -> set[str]:
    """Return the names of the variables in *text*."""
    return set(re.findall(r"\?(\w+)", text))


def within(part: str, variables: set[str]) -> str:
    """Return *part* of a group, with no variables in EXISTS but the group's *variables* and ?z.

    pyoxigraph lets EXISTS in a group see variables that are bound outside the group, which SPARQL
    does not: see test_existence_in_a_group_does_not_see_what_is_outside.
    """
    if "EXISTS" not in part or not part.startswith(("FILTER", "BIND")):
        return part
    return re.sub(r"\?([a-d])\b", lambda name: name[0] if name[1] in variables else "?z", part)


class QueryGenerator:
    """A writer of random queries, most of which are SELECT."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._names = ["a", "b", "c", "d"]

    def query(self) -> str:
        """Return a query with modifiers."""
        random = self._random
        dataset, group = self._dataset(), self._group(OUTERMOST)
        if dataset.startswith("FROM NAMED") and _OPTIONAL_STEP.search(group):
            dataset = ""  # With FROM NAMED alone, no node is in the default graph.
        pattern = dataset + group
        shape = random.choice(
            [
                *["plain", "distinct", "count", "group", "group", "order", "nested", "projected", "having"] * 2,
                *["concatenated", "ask", "construct", "describe"],
            ]
        )  # fmt: skip
        one, two = random.sample(self._names, 2)
        computed = sorted(name for name in variables_in(pattern) if name[0] in "xy")
        if computed and random.random() < 0.6:
            two = random.choice(computed)
        if shape == "ask":
            return f"ASK {pattern}"
        if shape == "construct":
            template = random.choice(
                [
                    f"?{one} <x:p> ?{two}",
                    f"?{one} <x:p> ?{two} . ?{two} ?{one} 5",
                    f'<x:s> <x:p> ?{one} , "a"@en',
                ]
            )
            return f"CONSTRUCT {{ {template} }} {pattern}"
        if shape == "describe":
            return f"DESCRIBE ?{one} ?{two} {pattern}"
        if shape == "concatenated":
            values = random.choice([f"STR(?{two})", f"DISTINCT STR(?{two})", f"?{two}"])
            return f'SELECT ?{one} (GROUP_CONCAT({values}; SEPARATOR="{SEPARATOR}") AS ?n) {pattern} GROUP BY ?{one}'
        if shape == "distinct":
            return f"SELECT DISTINCT ?{one} ?{two} {pattern}"
        if shape == "count":
            counted = random.choice(["*", f"?{one}", f"DISTINCT ?{one}"])
            return f"SELECT (COUNT({counted}) AS ?n) {pattern}"
        if shape == "group":
            having = random.choice(["", "", " HAVING (COUNT(*) > 1)"])
            end = self._order([one, "n"]) or random.choice(["", "", " LIMIT 40", " LIMIT 3"])
            return f"SELECT ?{one} ({self._aggregate(two)} AS ?n) {pattern} GROUP BY ?{one}{having}{end}"
        if shape == "projected":
            value = random.choice([self._chosen(), self._expression(one, two)])
            return f"SELECT DISTINCT ?{one} ({value} AS ?n) {pattern}"
        if shape == "having":
            value = random.choice([self._chosen(), self._expression(one, two)])
            having = random.choice([self._chosen(), self._condition(1)])
            selected = f"?{one} (COUNT(?{two}) AS ?n) ({value} AS ?m)"
            return f"SELECT {selected} {pattern} GROUP BY ?{one} HAVING ({having})"
        if shape == "order":
            return f"SELECT ?{one} ?{two} {pattern}{self._order([one, two], always=True)}"
        if shape == "nested":
            inner = f"{{ SELECT ?{one} (COUNT(?{two}) AS ?m) {self._group(1)} GROUP BY ?{one} }}"
            return f"SELECT * {{ {inner} {random.choice([self._triple(), 'FILTER(?m > 1)', ''])} }}"
        return f"SELECT ?{one} ?{two} {pattern}"

    def _order(self, names: list[str], *, always: bool = False) -> str:
        random = self._random
        if not always and random.random() < 0.5:
            return ""
        random.shuffle(names)
        keys = " ".join(random.choice([f"?{name}", f"DESC(?{name})"]) for name in names)
        if random.random() < 0.3:
            keys = f"{random.choice(ORDERS).format(names[0])} {keys}"
        limit = random.choice(
            ["", f" LIMIT {random.randrange(6)}", f" LIMIT 4 OFFSET {random.randrange(5)}"]
        )
        return f" ORDER BY {keys}{limit}"

    def _aggregate(self, name: str) -> str:
        of_name = [
            f"{function}(?{name})" for function in ("COUNT", "MIN", "MAX", "SUM", "SAMPLE", "AVG")
        ]
        value = f"<{XSD}integer>(?{name})"
        computed = [f"{function}({value})" for function in ("COUNT", "MIN", "MAX", "SUM", "AVG")]
        distinct = [f"COUNT(DISTINCT ?{name})", f"SUM(DISTINCT {value})", f"AVG(DISTINCT {value})"]
        return self._random.choice(
            ["COUNT(*)", "COUNT(DISTINCT *)", *distinct, *of_name, *computed]
        )

    def _dataset(self) -> str:
        """Return clauses of FROM and FROM NAMED, or in most cases none."""
        one, two, three = GRAPHS
        some = [
            f"FROM {one}",
            f"FROM {one} FROM {two}",
            f"FROM {one} FROM NAMED {three}",
            f"FROM NAMED {two} FROM NAMED {three}",
        ]
        return f"{self._random.choice(some)} " if self._random.random() < 0.06 else ""

    def _group(self, depth: int) -> str:
        random = self._random
        parts = [self._triple() for _ in range(random.choice([1, 1, 2, 3]))]
        is_outermost = depth == OUTERMOST
        variables = set(self._names) if is_outermost else variables_in(" ".join(parts))
        for _ in range(random.choice([0, 1, 1, 2])):
            parts.append(within(self._part(depth), variables))
        if random.random() < 0.2 and (is_outermost or "EXISTS" not in " ".join(parts)):
            random.shuffle(parts)
        return "{ " + " ".join(parts) + " }"

    def _part(self, depth: int) -> str:
        random = self._random
        kinds = ["filter", "filter", "filter", "bind", "computed", "values", "exists", "graph"] * 2
        kinds += [*["optional", "optional", "union", "group"] * 2, "minus"] if depth else []
        match random.choice(kinds):
            case "optional":
                return f"OPTIONAL {self._group(depth - 1)}"
            case "union":
                return f"{self._group(depth - 1)} UNION {self._group(depth - 1)}"
            case "minus":
                return f"MINUS {self._group(depth - 1)}"
            case "group":
                return self._group(depth - 1)
            case "exists":
                union = f"{{ {self._triple()} }} UNION {{ {self._triple()} }}"
                optional = f"OPTIONAL {{ {self._triple()} }}"
                filtered = f"FILTER({self._condition(1)})"
                more = random.choice(["", self._triple(), filtered, filtered, union, optional])
                exists = f"{random.choice(['', 'NOT '])}EXISTS {{ {self._triple()} {more} }}"
                if random.random() < 0.2:
                    return f"FILTER({exists} || {self._condition(1)})"
                return f"FILTER {exists}"
            case "graph":
                graph = random.choice(["?g", str(random.choice(GRAPHS))])
                first = self._triple()
                more = random.choice(["", self._triple(), *self._of_graph()])
                return f"GRAPH {graph} {{ {first} {within(more, variables_in(first))} }}"
            case "bind":
                if random.random() < 0.25:
                    return f"BIND({self._chosen()} AS ?x{random.randrange(9)})"
                return f"BIND({self._expression(self._name(), self._name())} AS ?x{random.randrange(9)})"
            case "computed":
                return self._computed()
            case "values":
                rows = " ".join(
                    f"({random.choice(['UNDEF', self._term(), self._term()])} {self._term()})"
                    for _ in range(2)
                )
                return f"VALUES (?{random.choice(['a', 'b'])} ?{random.choice(['c', 'd'])}) {{ {rows} }}"
        return f"FILTER({self._condition(2)})"

    def _of_graph(self) -> list[str]:
        """Return what a GRAPH may have after a triple."""
        filtered = f"FILTER({self._condition(1)})"
        return [
            filtered,
            f"OPTIONAL {{ {self._triple()} {self._random.choice(['', filtered])} }}",
            f"{{ {self._triple()} }} UNION {{ {self._triple()} {filtered} }}",
            f"FILTER {self._random.choice(['', 'NOT '])}EXISTS {{ {self._triple()} }}",
            f"BIND({self._chosen()} AS ?y{self._random.randrange(9)})",
            f"MINUS {{ {self._triple()} }}",
            f"VALUES ?{self._name()} {{ UNDEF {self._term()} {self._term()} }}",
            f"{{ SELECT ?a (COUNT(?b) AS ?m{self._random.randrange(99)}) {{ {self._triple()} }} GROUP BY ?a }}",
            f"{{ SELECT DISTINCT ?c {{ {self._triple()} }} }}",
        ]

    def _computed(self) -> str:
        """Return a BIND and what uses its value."""
        random = self._random
        name, other = f"x{random.randrange(9)}", self._name()
        value = self._expression(self._name(), self._name())
        sign = random.choice(["=", "!=", "<", ">", "<=", ">="])
        use = random.choice(
            [
                f"FILTER(?{name} {sign} {self._term()})",
                f"FILTER(?{name} {sign} ?{other})",
                f"FILTER({self._condition(0).replace(f'?{self._name()}', f'?{name}')})",
                f"BIND({self._expression(name, other)} AS ?y{random.randrange(9)})",
                f"BIND({self._expression(other, name)} AS ?y{random.randrange(9)})",
                f"OPTIONAL {{ {self._triple()} FILTER(?{name} {sign} ?{other}) }}",
            ]
        )
        return f"BIND({value} AS ?{name}) {use}"

    def _expression(self, *names: str) -> str:
        """Return an expression that mostly uses the variables *names*."""
        if self._random.random() < 0.3:
            return self._random.choice(EXPRESSIONS).format(*names)
        return self._call(self._random.choice([TESTS, CALLS, CALLS, CALLS]), names)

    def _call(
        self, functions: Mapping[str, Sequence[tuple[str, ...]]], names: Sequence[str]
    ) -> str:
        """Return the call of one of *functions*, in which an argument may be of a wrong type."""
        random = self._random
        function = random.choice(list(functions))
        arguments = [
            argument.format(*random.choices(names, k=2))
            for argument in random.choice(functions[function])
        ]
        if random.random() < 0.5 and function != "BOUND":
            arguments[random.randrange(len(arguments))] = self._argument()
        return f"{function}({', '.join(arguments)})"

    def _argument(self) -> str:
        """Return an argument of any type, or one that is unbound or has an error."""
        random, name = self._random, self._name()
        parts = [UNBOUND, f"?{name}", f"LANG(?{name})", f"YEAR(?{name})", f"BOUND(?{name})"]
        text = random.choice(['"i"', '"en"', '"a"', '"2"', f'"{XSD}string"'])
        parts += [f"{text}@en", f"{text}^^<{XSD}string>", f"STR({text})", self._term()]
        return random.choice([*parts, text, *(self._term() for _ in range(6))])

    def _chosen(self) -> str:
        """Return an expression that chooses a term, or depends on what exists."""
        exists = f"EXISTS {{ {self._triple()} }}"
        one, two = self._name(), self._name()
        return self._random.choice(
            [
                exists, f"NOT {exists}", f"IF({exists}, 0, 1)", f"IF({self._condition(1)}, STR(?{one}), LANG(?{two}))",
            ]
        )  # fmt: skip

    def _condition(self, depth: int) -> str:
        random, name = self._random, self._name()
        choices = [
            f"?{name} {random.choice(['=', '!=', '<', '>', '<=', '>='])} {self._term()}",
            f"?{name} {random.choice(['=', '!=', '<'])} ?{self._name()}",
            f"?{name} {random.choice(['IN', 'NOT IN'])} ({self._term()}, {self._term()})", *(self._call(TESTS, [name]) for _ in range(8)),
            f"{self._call(CALLS, [name])} {random.choice(['=', '!=', '<'])} {self._term()}",
            f'LANG(?{name}) = "{random.choice(["en", "fr", ""])}"',
            f"YEAR(?{name}) > 2020", f"STR(?{name}) = STR(?{self._name()})", f"STR(?{name}) < STR(?{self._name()})",
        ]  # fmt: skip
        if depth and random.random() < 0.4:
            one, two = self._condition(depth - 1), self._condition(depth - 1)
            return random.choice([f"({one}) && ({two})", f"({one}) || ({two})", f"!({one})"])
        return random.choice(choices)

    def _name(self) -> str:
        return self._random.choice(self._names)

    def _term(self) -> str:
        random = self._random
        return str(random.choice(random.choice(TERMS)))

    def _triple(self) -> str:
        random = self._random
        subject = random.choice(["?a", "?a", "?b", "?c", "[]", str(random.choice(NODES))])
        if random.random() < 0.12:
            return f"{subject} ?{random.choice(['b', 'd'])} ?{random.choice(['c', 'd'])} ."
        one, two = random.sample(PREDICATES, 2)
        paths = [
            f"{one}/{two}",
            f"^{one}",
            f"({one}/^{two})",
            f"({one}|{two})",
            f"{one}+",
            f"{one}/{two}*",
        ]
        others = [
            f"({one}|^{two})",
            f"!({one}|{two})",
            f"({one}|{one}/{two})",
            f"{one}*",
            f"{one}?",
            f"({one}/{two})+",
            f"(^{one})+",
        ]
        predicate = random.choice([str(one)] * 20 + paths + random.sample(others, 1))
        constants: Sequence[NamedNode | BlankNode | Literal]
        constants = NODES if predicate in others else VALUES[one]  # random_quads says why.
        value = random.choice(["?b", "?c", "?d", "?d", str(random.choice(constants))])
        return f"{subject} {predicate} {'?d' if value.startswith('_:') else value} ."
