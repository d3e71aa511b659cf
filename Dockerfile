# Two stages: the first has the tools and builds, the second has what runs.
FROM python:3.13-slim-trixie AS build
WORKDIR /build

COPY requirements.lock requirements-run.lock ./
RUN python -m venv /tools \
    && /tools/bin/pip install --no-cache-dir --require-hashes --requirement requirements.lock \
    && python -m venv /stocktake \
    && /stocktake/bin/pip install --no-cache-dir --require-hashes --requirement requirements-run.lock

COPY pyproject.toml README.md LICENSE stocktake.py ./
COPY vocab vocab
COPY shapes shapes
COPY journal journal
COPY harvesters harvesters
COPY publisher publisher
RUN /tools/bin/hatchling build --target wheel --directory dist \
    && /stocktake/bin/pip install --no-cache-dir --no-deps dist/*.whl


FROM python:3.13-slim-trixie
RUN useradd --system --uid 10001 --user-group --no-create-home stocktake \
    && install --directory --owner stocktake --group stocktake /data /sources
COPY --from=build /stocktake /stocktake
COPY sources /sources

ENV PATH=/stocktake/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STOCKTAKE_DATA=/data \
    STOCKTAKE_SOURCES=/sources
USER stocktake
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["stocktake", "serve", "--host", "0.0.0.0", "--port", "8000"]
