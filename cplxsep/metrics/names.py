"""Names of the metrics. Importing this loads nothing: the help shows them."""

PACKAGES = {"pesq": "pesq", "pesq-nb": "pesq", "pesq-wb": "pesq", "stoi": "pystoi"}
"""Metrics that another package computes."""

ISOLATION = "isolation"
BSS_METRICS = ("sdr", "sir", "sar")
METRICS = (*BSS_METRICS, "si-sdr", ISOLATION, *PACKAGES)
DEFAULT_METRICS = (*BSS_METRICS, "si-sdr")
