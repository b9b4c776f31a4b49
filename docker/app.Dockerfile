# The service, with reports of experiments and PostgreSQL: no torch, no compiler, no pip of its own.
# EXTRAS=postgres leaves out what only reports need, a quarter of what is installed.

# To the minor version and the release of Debian: what is below comes with the security fixes of both.
FROM python:3.12-slim-bookworm AS build
ARG EXTRAS=experiments,postgres
WORKDIR /source
COPY pyproject.toml README.md constraints.txt ./
COPY app app
COPY training training
COPY docker/slim.py docker/slim.py
RUN python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --no-compile --constraint constraints.txt ".[$EXTRAS]" \
    && /venv/bin/python -c "import importlib.util as u; assert u.find_spec('torch') is None" \
    && /venv/bin/python docker/slim.py

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --create-home irgan && install --directory --owner irgan /releases /store
COPY --from=build /venv /venv
# By number: Kubernetes must see that it is not root.
USER 10001
WORKDIR /store
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1 \
    IRGAN_RELEASES=/releases IRGAN_STORE=sqlite:////store/irgan.db IRGAN_HOST=0.0.0.0 IRGAN_PORT=8000
VOLUME ["/releases", "/store"]
EXPOSE 8000
# Live, not ready: what restarts unhealthy containers must not do so because nothing has been published yet.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-S", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"IRGAN_PORT\"]}/health/live', timeout=2)"]
ENTRYPOINT ["irgan"]
CMD ["serve"]
