# Two stages: what installs packages does not stay in what faces the internet.
FROM python:3.11-slim AS packages
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --no-deps -r requirements.txt

FROM python:3.11-slim
COPY --from=packages /venv /venv
WORKDIR /papo
COPY . .
RUN useradd --system --uid 10001 papo && mkdir -p var && chown papo var
USER papo

# Everything that is written lies in var/: a volume keeps the secrets, the spool and, without PostgreSQL, the shop.
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
ENV HOST=0.0.0.0 ENV_FILE=/papo/var/.env DATABASE_URL=sqlite:///var/db.sqlite3
VOLUME /papo/var
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s CMD ["python", "tools/healthcheck.py"]
CMD ["python", "manage.py", "serve"]
