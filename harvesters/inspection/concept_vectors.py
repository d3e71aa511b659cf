"""Read the shipped vectors of the names of our concepts; computing them takes half a minute."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np

from harvesters.mappings.topics.embedding import Vectors, check_model, embed, embed_query

SHIPPED = Path(__file__).with_name("concept_vectors.npz")
Embed = Callable[[Sequence[str]], Vectors]


def embed_names(names: Sequence[str]) -> Vectors:
    """Return a row for each name, as ``embed`` does; shipped ones are read. Raises HarvestError as
    ``check_model`` does.
    """
    return _embed(names, "name", embed)


def embed_words(words: Sequence[str]) -> Vectors:
    """Return a row for each word of a search, as ``embed_query`` does; shipped ones are read.
    Raises HarvestError as ``check_model`` does.
    """
    return _embed(words, "word", _embed_queries)


def write(names: Sequence[str], words: Sequence[str], file: Path) -> None:
    """Compute the vectors of *names* and *words*, and write them as compressed NumPy arrays with
    the version of the model.
    """
    keys = [*(_key("name", name) for name in names), *(_key("word", word) for word in words)]
    vectors = np.vstack([embed(names), _embed_queries(words)])
    content = io.BytesIO()
    np.savez_compressed(
        content,
        model=np.array(check_model()),
        keys=np.array(keys),
        vectors=vectors.astype(np.float16),
    )
    file.write_bytes(content.getvalue())


@lru_cache(maxsize=2)
def read(file: Path) -> dict[str, Vectors]:
    """Return the vectors in *file* by the keys of their texts; none if another version of the model
    wrote them.
    """
    with np.load(file, allow_pickle=False) as arrays:
        if str(arrays["model"]) != check_model():
            return {}
        vectors = arrays["vectors"].astype(np.float32)
        return dict(zip(map(str, arrays["keys"]), vectors, strict=True))


def _embed(texts: Sequence[str], kind: str, compute: Embed) -> Vectors:
    known = read(SHIPPED)
    missing = [text for text in texts if _key(kind, text) not in known]
    computed = dict(zip(missing, compute(missing), strict=True))
    rows = [computed[text] if text in computed else known[_key(kind, text)] for text in texts]
    return np.vstack(rows) if rows else embed([])


def _embed_queries(words: Sequence[str]) -> Vectors:
    return np.vstack([embed_query(word) for word in words]) if words else embed([])


def _key(kind: str, text: str) -> str:
    return blake2b(f"{kind} {text}".encode(), digest_size=8).hexdigest()
