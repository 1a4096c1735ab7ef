"""Finished runs beside each other: what they measured, how far it differs, and pages that show it."""

from zoo.reports.finished import FinishedRun, finished_runs

__all__ = ["FinishedRun", "finished_runs"]
