"""The inference form of a network: made once at load, equal in its results, several times faster.

Kernels are stacked, constants folded, weights in the working precision; norm, activation, residual
sums, interpolation and the extractor's products take as few passes over memory as they can.
"""
