"""Parts that method authors build with: augmentation, matching losses, sampling, shared features.

Public: first-party methods use exactly these. Modules import torch, except ``catalog`` and ``params``.
"""
