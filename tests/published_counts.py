"""Parameter counts of every published network (SPEC section 1), exactly.

Network, start maps, residual blocks k, transformations C, real parameters.
"""

ROWS = [
    ("real", 64, 1, 0, 8_452_092),
    ("real", 64, 2, 0, 14_764_380),
    ("complex", 32, 1, 0, 4_235_727),
    ("complex", 32, 1, 10, 4_296_641),
    ("complex", 32, 2, 0, 7_397_847),
    ("complex", 40, 2, 0, 11_550_323),
    ("complex", 40, 2, 5, 11_573_549),
    ("complex", 40, 2, 10, 11_615_209),
    ("complex", 40, 2, 15, 11_674_869),
    ("complex", 44, 2, 0, 13_972_041),
    ("complex", 44, 2, 5, 13_996_337),
    ("complex", 44, 2, 10, 14_039_077),
    ("complex", 44, 2, 15, 14_099_817),
]
