"""The online half of irgan: a service that answers ranking requests from published bundles.

Needs numpy, faiss, onnxruntime and fastapi; never torch and never the `training` package.
"""
