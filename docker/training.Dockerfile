# Training and its command line. For a GPU (its driver comes from the host):
#   docker build -f docker/training.Dockerfile --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126 --build-arg FAISS=gpu .

# To the minor version and the release of Debian: what is below comes with the security fixes of both.
FROM python:3.12-slim-bookworm AS build
# The index of the torch builds that are wanted, for CPUs or for a version of CUDA, as pytorch.org lists them; empty for the usual index.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# cpu, or gpu for the FAISS that knows GPUs (CUDA 12), in the version that is pinned for CPUs.
ARG FAISS=cpu
# s3 or gcs besides, where releases are in an object store.
ARG EXTRAS=postgres
WORKDIR /source
COPY pyproject.toml README.md constraints.txt ./
COPY app app
COPY training training
# The index of torch builds is asked for torch and what it needs; everything else comes from the usual one alone.
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --constraint constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch \
    && python -m pip --python /venv/bin/python install --no-cache-dir --constraint constraints.txt ".[$EXTRAS,train]"
# Both are the module faiss, so one has to go first.
RUN case "$FAISS" in \
        cpu) ;; \
        gpu) python -m pip --python /venv/bin/python uninstall --yes faiss-cpu \
             && python -m pip --python /venv/bin/python install --no-cache-dir --constraint constraints.txt "faiss-gpu==$(sed -n 's/^faiss-cpu==//p' constraints.txt)" ;; \
        *) echo "FAISS is $FAISS; expected cpu or gpu" >&2; exit 1 ;; \
    esac \
    && /venv/bin/python -c "import faiss, torch; print('faiss', faiss.__version__, 'torch', torch.__version__)"

FROM python:3.12-slim-bookworm
# LightGBM needs OpenMP. Its version is Debian's: old ones vanish from the mirrors, so a pin would break the build.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home irgan && install --directory --owner irgan /releases /store /data /work
COPY --from=build /venv /venv
# By number: Kubernetes must see that it is not root.
USER 10001
WORKDIR /work
# What libraries keep for themselves goes to /tmp, the one place besides the volumes that can be written where the root is read-only.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MPLCONFIGDIR=/tmp/matplotlib XDG_CACHE_HOME=/tmp/cache \
    IRGAN_RELEASES=/releases IRGAN_STORE=sqlite:////store/irgan.db IRGAN_CACHE_DIR=/data
VOLUME ["/releases", "/store", "/data", "/work"]
ENTRYPOINT ["irgan"]
CMD ["--help"]
