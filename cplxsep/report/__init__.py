"""What a command tells at its end: a table, JSON, CSV, a page, and the exit code."""

from cplxsep.report.plain import exit_code, table, to_json, write_csv

__all__ = ["exit_code", "table", "to_json", "write_csv"]
