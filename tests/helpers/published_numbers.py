"""The papers' numbers, as they are committed."""

from __future__ import annotations

from bench.core.layout import PUBLISHED
from bench.papers.published import read_numbers
from helpers.repository import REPOSITORY

NUMBERS = read_numbers(REPOSITORY / PUBLISHED)
