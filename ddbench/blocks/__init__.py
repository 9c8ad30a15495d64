"""Parts that methods are built from; public.

Public: first-party methods use exactly these. Modules import torch, except ``catalog`` and ``params``.
"""
