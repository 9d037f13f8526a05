# docker build -t labbook .                               for CPUs
# docker build -t labbook --build-arg TORCH=cuda .        for NVIDIA GPUs
# docker run --rm -v "$PWD/logs:/home/labbook/labbook/logs" labbook make train ARGS="model=lenet5"
ARG PYTHON=3.12
FROM python:${PYTHON}-slim AS base
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git graphviz make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 labbook \
    && install -d -o 1000 -g 1000 /home/labbook/labbook
USER 1000

FROM base
ARG TORCH=cpu
WORKDIR /home/labbook/labbook
# What the setup reads, so that other changes of the code do not install the packages again.
COPY --chown=1000 Makefile pyproject.toml setup.py MANIFEST.in README.md LICENSE requirements*.lock ./
COPY --chown=1000 scripts/make.py scripts/
COPY --chown=1000 configs configs
COPY --chown=1000 src/labbook/__init__.py src/labbook/installation.py src/labbook/setup.py src/labbook/
RUN make setup TORCH="$TORCH" && rm -rf /home/labbook/.cache
COPY --chown=1000 . .
CMD ["make", "train"]
