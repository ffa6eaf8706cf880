"""
Quantising: a model in fewer bits, and what that cost.

    card = quantize("model.pth", "model.gguf", "q4_k_m")
"""

from __future__ import annotations
