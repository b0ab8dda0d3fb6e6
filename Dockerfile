# The project with its environment, as docs/how-to/schedule.md runs it in Kubernetes: docker build -t hubspot .
FROM python:3.13-slim
WORKDIR /srv/hubspot
# A compiler for the parts in C; they more than halve the time of decoding.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY . .
RUN python -m venv .venv && .venv/bin/pip install --no-cache-dir uv && .venv/bin/uv sync --no-cache --no-dev --extra s3 \
  && useradd --create-home hubspot && chown -R hubspot /srv/hubspot
USER hubspot
CMD [".venv/bin/uv", "run", "--no-sync", "meltano", "--environment=prod", "run", "hubspot"]
