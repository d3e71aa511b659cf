"""What changes a store may be cut off anywhere and done again."""

from __future__ import annotations

from collections.abc import Sequence

from pyoxigraph import Literal, NamedNode, Quad, Store

from publisher.store.follow import apply, replace_graph

GRAPH = NamedNode("https://x.example/status")
OLD, NEW, SHARED = (
    Quad(NamedNode("https://x.example/s"), NamedNode("https://x.example/p"), Literal(text), GRAPH)
    for text in ("old", "new", "shared")
)


class Killed(BaseException):
    """The process ends here."""


class KilledStore:
    """A store whose process is killed before its removal number *at*."""

    def __init__(self, store: Store, at: int) -> None:
        self._store, self._left = store, at

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def __contains__(self, quad: Quad) -> bool:
        return quad in self._store

    def remove(self, quad: Quad) -> None:
        self._left -= 1
        if not self._left:
            raise Killed
        self._store.remove(quad)


def shared_is_stated(rows: Sequence[bytes]) -> set[int]:
    return {place for place, row in enumerate(rows) if str(SHARED.object).encode() in row}


def filled() -> Store:
    store = Store()
    replace_graph(store, GRAPH, [OLD, SHARED], shared_is_stated)
    return store


def cut_off(store: Store, at: int) -> bool:
    try:
        replace_graph(KilledStore(store, at), GRAPH, [NEW], shared_is_stated)  # type: ignore[arg-type]
    except Killed:
        return True
    return False


def test_a_graph_whose_replacement_was_cut_off_is_replaced_whole_and_so_is_the_merge() -> None:
    whole = filled()
    replace_graph(whole, GRAPH, [NEW], shared_is_stated)
    ends, at = [], 1

    while cut_off(store := filled(), at):
        replace_graph(store, GRAPH, [NEW], shared_is_stated)
        ends.append(set(store))
        at += 1

    assert len(ends) >= 3
    assert [end for end in ends if end != set(whole)] == []
    assert {Quad(*SHARED.triple), Quad(*NEW.triple), NEW} == set(whole)


def test_a_triple_stays_in_the_merge_while_another_graph_states_it() -> None:
    store = filled()

    apply(store, [f"D {SHARED} .\n".encode(), f"D {OLD} .\n".encode()], shared_is_stated)

    assert Quad(*SHARED.triple) in store
    assert Quad(*OLD.triple) not in store
