"""Proposals: what z is drawn from to estimate log p(x), where that is not the model's own q(z|x)."""

from zoo.proposals.amortised import Amortised
from zoo.proposals.base import Proposal, Proposing, check_proposal, proposed
from zoo.proposals.defensive import Defensive
from zoo.proposals.refitted import Refitted
from zoo.proposals.widened import Widened

__all__ = ["Amortised", "Defensive", "Proposal", "Proposing", "Refitted", "Widened", "check_proposal", "proposed"]
