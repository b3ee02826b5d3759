"""Installs nao_jax, lanas_jax and what they share."""

import pathlib

import setuptools

ROOT = pathlib.Path(__file__).parent
COMMANDS = sorted(
    path.stem for path in (ROOT / "launch").glob("*.py") if "\ndef main(" in path.read_text(encoding="utf-8")
)

setuptools.setup(
    name="nao-lanas-jax",
    version="0.1.0",
    description="Neural architecture search in JAX: NAO and LaNAS",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=setuptools.find_packages(include=["common*", "lanas_jax*", "nao_jax*", "launch*"]),
    py_modules=["nao_lanas_jax"],
    entry_points={"console_scripts": [f"nas-{name.replace('_', '-')}=nao_lanas_jax:main" for name in COMMANDS]},
    package_data={"common.genotypes": ["*.json"], "common.tables": ["data/*"], "launch": ["flagfiles/*"]},
    install_requires=[
        "absl-py>=2.1",
        "array-record>=0.8",
        "chex>=0.1.91",
        "flatbuffers>=24.3",
        "flax>=0.12",
        "google-crc32c>=1.5",
        "grain>=0.2.12",
        "jax>=0.10,<0.12",
        "matplotlib>=3.10",
        "numpy>=2.0",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11.30",
        "pillow>=11",
        "rich>=13",
        "safetensors>=0.5",
        "scikit-learn>=1.5",
        "scipy>=1.14",
        "tensorboardX>=2.6",
        "tensorflow-datasets>=4.9.8",
    ],
    extras_require={
        **{device: [f"jax[{device}]>=0.10,<0.12"] for device in ("cuda12", "cuda13", "tpu")},
        "ray": ["ray>=2.40"],
        "test": ["hypothesis>=6.130", "pytest>=8.3", "pytest-xdist>=3.6", "ruff>=0.14"],
        "docs": ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10", "mkdocstrings[python]>=1.0,<2", "ruff>=0.14"],
        "bench": ["torch>=2.5"],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
