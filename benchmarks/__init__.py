"""Measures the service beside other ways to run one command in a container made for it alone.

Nothing here judges a figure: sections measure, `report` prints, `plot` draws. An answer is checked
for correctness before its time counts.
"""
