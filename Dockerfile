# Two stages: the first builds a virtual environment, the second runs it as nobody in particular.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/hub
ENV PATH=/opt/hub/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock
COPY pyproject.toml alembic.ini README.md LICENSE ./
COPY alembic alembic
COPY src src
RUN pip install --no-deps .

FROM python:3.13-slim
RUN useradd --system --create-home --home-dir /var/lib/backend-hub hub
COPY --from=build /opt/hub /opt/hub
ENV PATH=/opt/hub/bin:$PATH PYTHONUNBUFFERED=1 HUB_ENVIRONMENT=production
USER hub
WORKDIR /var/lib/backend-hub
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/ready', timeout=2)"]
ENTRYPOINT ["backend-hub"]
CMD ["serve", "--host", "0.0.0.0", "--no-migrate", "--no-seed"]
