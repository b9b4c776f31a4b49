# The service alone: no torch, no training extras.
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md constraints.txt ./
COPY app app
COPY training training
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --constraint constraints.txt '.[experiments,postgres]' \
    && /venv/bin/python -c "import importlib.util as u; assert u.find_spec('torch') is None"

FROM python:3.12-slim
# faiss is built with OpenMP.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home irgan && install --directory --owner irgan /releases /store
COPY --from=build /venv /venv
USER irgan
WORKDIR /home/irgan
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 IRGAN_RELEASES=/releases IRGAN_STORE=sqlite:////store/irgan.db IRGAN_HOST=0.0.0.0 IRGAN_PORT=8000
VOLUME ["/releases", "/store"]
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"IRGAN_PORT\"]}/health/ready', timeout=2)"]
ENTRYPOINT ["irgan"]
CMD ["serve"]
