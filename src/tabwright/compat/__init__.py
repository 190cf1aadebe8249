"""Scripts written for other AutoML systems, with only their import lines changed: h2o, tpot, autosklearn, and so on.

What a parameter becomes stands in one table for each system, which the classes and ``docs/migrate`` both read: used, or
accepted with one warning because it has no meaning here, or refused because accepting it would mislead.
"""
