"""The first tables."""

from __future__ import annotations
