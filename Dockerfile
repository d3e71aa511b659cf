# Three stages: the first bundles the scripts of the pages, the second builds and installs the wheel, the third has only what runs.
FROM node:22-trixie-slim AS scripts
WORKDIR /web
COPY publisher/web ./
RUN npm ci --no-progress && mkdir /bundle && npm run --silent build -- /bundle


FROM python:3.13-slim-trixie AS build
WORKDIR /build
RUN apt-get update --quiet=2 && apt-get install --quiet=2 --yes --no-install-recommends binutils

COPY requirements-build.lock requirements-run.lock ./
RUN python -m venv /tools \
    && /tools/bin/pip install --no-cache-dir --require-hashes --requirement requirements-build.lock \
    && python -m venv --without-pip /stocktake \
    && /tools/bin/pip --python /stocktake/bin/python install --no-cache-dir --require-hashes --requirement requirements-run.lock

COPY pyproject.toml hatch_build.py README.md LICENSE stocktake.py ./
COPY vocab vocab
COPY shapes shapes
COPY journal journal
COPY languages languages
COPY web web
COPY harvesters harvesters
COPY publisher publisher
COPY demo demo
COPY command_line command_line
COPY docs docs
COPY CHANGELOG.md ./
COPY --from=scripts /bundle publisher/static/query
# docs/generated.py imports the program, so that its packages must be on the path.
RUN PYTHONPATH=$(echo /stocktake/lib/python3.*/site-packages) /tools/bin/sphinx-build --fail-on-warning --keep-going --quiet --builder html --doctree-dir /tmp/doctrees docs publisher/static/docs
RUN /tools/bin/hatchling build --target wheel --directory dist \
    && /tools/bin/pip --python /stocktake/bin/python install --no-cache-dir --no-deps dist/*.whl

# What the image is made of, with the text of each licence: https://cyclonedx.org/. The wheel has the list of the scripts' packages.
RUN /tools/bin/cyclonedx-py environment --pyproject pyproject.toml --gather-license-texts --output-reproducible \
    --output-file /stocktake/sbom.cdx.json /stocktake/bin/python

# Debug symbols and the libraries' own tests are a tenth of what is installed. numpy.libs is left alone: stripping breaks it.
RUN find /stocktake -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} + \
    && find /stocktake/lib -type d -name tests -prune -exec rm -r {} +


FROM python:3.13-slim-trixie
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin stocktake \
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
