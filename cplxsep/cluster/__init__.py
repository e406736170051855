"""Work on the nodes of a Ray cluster: any `in_order` can be given its workers.

Ray (extra [cluster]) starts them and tells when one is gone. It is imported in this room alone, and
only when there is a cluster to work on.
"""

from cplxsep.cluster.executor import FEW, Cluster

__all__ = ["FEW", "Cluster"]
