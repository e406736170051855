"""The page of `cplxsep eval --html`: one file to look at and to listen to."""

from cplxsep.report.html.page import write_page

__all__ = ["write_page"]
