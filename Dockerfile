# cass in a container: docs/docker.md. `docker build --target cpu .` or `--target cuda .`, the default.
# The versions of PyTorch and of what else constraints.txt names are those that CI ran.
ARG PYTHON=3.12
ARG EXTRAS=dicom,heic,nifti,hdf5,slides,onnx,tensorboard

# ---- the wheel of this checkout
FROM python:${PYTHON}-slim AS wheel
WORKDIR /build
COPY constraints.txt ./
RUN pip install --no-cache-dir -c constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY presets presets
COPY experiments experiments
COPY cass_cli cass_cli
RUN python -m hatchling build -t wheel -d /wheel

# ---- what both have: a user who is not root, and folders that any user may write to (`docker run --user`)
FROM python:${PYTHON}-slim AS base
ENV VIRTUAL_ENV=/venv \
    PATH=/venv/bin:$PATH \
    HOME=/cass \
    CASS_CACHE=/cache \
    CASS_WEIGHTS=/weights \
    XDG_CACHE_HOME=/cache \
    XDG_CONFIG_HOME=/cache \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/cache/matplotlib \
    TORCHINDUCTOR_CACHE_DIR=/cache/inductor \
    TRITON_CACHE_DIR=/cache/triton
RUN python -m venv "$VIRTUAL_ENV" \
    && useradd --uid 1000 --home-dir /cass --no-create-home cass \
    && mkdir -m 1777 /cache /weights /cass \
    && mkdir /data
COPY constraints.txt /constraints.txt
WORKDIR /cass
VOLUME ["/cache", "/weights", "/cass"]

# ---- PyTorch for the CPU alone where TORCH_INDEX names an index that has it, else the usual one, which has CUDA
FROM base AS cpu
ARG TORCH_INDEX=
RUN pip install --no-cache-dir -c /constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch torchvision
ARG EXTRAS
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-cache-dir -c /constraints.txt "$(echo /wheel/*.whl)[$EXTRAS]"
USER cass
ENTRYPOINT ["cass"]
CMD ["--help"]

# ---- PyTorch brings CUDA's libraries itself, the driver is the host's; torch.compile needs a compiler
FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir -c /constraints.txt torch torchvision
ARG EXTRAS
RUN --mount=type=bind,from=wheel,source=/wheel,target=/wheel \
    pip install --no-cache-dir -c /constraints.txt "$(echo /wheel/*.whl)[$EXTRAS]"
USER cass
ENTRYPOINT ["cass"]
CMD ["--help"]
