"""Operations written for XLA's CPU compiler; GPU and TPU run XLA's own.

Each module names the jax version and the measured gain. When a new XLA makes its own operation as fast, delete the
kernel: `tests/contracts/kernel_contract_test.py` holds each one to the operation of `jax.lax` that it replaces.
"""
