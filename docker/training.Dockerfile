# Training and its command line. TORCH_INDEX is a package index with the torch build that is wanted, for CPU or for a CUDA version, as
# pytorch.org lists them (the driver comes from the host); without it, torch comes from the usual index.
FROM python:3.12-slim AS build
ARG TORCH_INDEX=
WORKDIR /source
COPY pyproject.toml README.md constraints.txt ./
COPY app app
COPY training training
# The index of torch builds is asked for torch and what it needs; everything else comes from the usual one alone.
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch \
    && /venv/bin/pip install --no-cache-dir --constraint constraints.txt '.[postgres,train]'

FROM python:3.12-slim
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home irgan && install --directory --owner irgan /releases /data /work
COPY --from=build /venv /venv
USER irgan
WORKDIR /work
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 IRGAN_RELEASES=/releases IRGAN_CACHE_DIR=/data
VOLUME ["/releases", "/data", "/work"]
ENTRYPOINT ["irgan"]
CMD ["--help"]
