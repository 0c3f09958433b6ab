# The image of a server: docker build --tag todo_api .
# On Alpine: docker build --build-arg PYTHON=python:3.13-alpine --tag todo_api .
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
COPY requirements-server.txt /
RUN python -m venv --without-pip /opt/todo_api \
    && python -m pip --python /opt/todo_api/bin/python install --no-cache-dir -r /requirements-server.txt
COPY alembic.ini /opt/todo_api/
COPY migrations /opt/todo_api/migrations
COPY todo_api /opt/todo_api/todo_api
RUN python -m compileall -q /opt/todo_api/todo_api /opt/todo_api/migrations
RUN mkdir /data && chown 10001:10001 /data

FROM ${PYTHON}
COPY --from=build /opt/todo_api /opt/todo_api
COPY --from=build /data /data
ENV PATH=/opt/todo_api/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# DATABASE_URL counts least: TODO_DATABASE_URL and TODO_DATABASE_URL_FILE replace it.
ENV TODO_AUTH=token TODO_HOST=0.0.0.0 DATABASE_URL=sqlite:////data/todo.db
WORKDIR /opt/todo_api
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('TODO_PORT', '8000') + '/livez', timeout=3)"]
ENTRYPOINT ["python", "-m", "todo_api"]
