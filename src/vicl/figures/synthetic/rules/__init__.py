"""Rules: what the output of a row is, given its scene; one file per group."""

from vicl.figures.synthetic.rules.mixture import HELD_OUT_RULES, TRAINING_MIXTURE
from vicl.figures.synthetic.rules.rule import RULES, Pair, Rule, Values

__all__ = ["HELD_OUT_RULES", "RULES", "TRAINING_MIXTURE", "Pair", "Rule", "Values"]
