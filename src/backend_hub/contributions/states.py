"""The life of a contribution: which verb leads from which state to which."""

from typing import Literal

from backend_hub.contributions.models import Contribution, ContributionState, Decision
from backend_hub.errors import Conflict

Verb = Literal["edit", "submit", "withdraw", "approve", "request_changes", "reject", "merge"]
State = ContributionState

TRANSITIONS: dict[ContributionState, dict[Verb, ContributionState]] = {
    State.draft: {
        "edit": State.draft,
        "submit": State.submitted,
        "withdraw": State.withdrawn,
    },
    State.submitted: {
        "edit": State.submitted,
        "withdraw": State.withdrawn,
        "approve": State.approved,
        "request_changes": State.changes_requested,
        "reject": State.rejected,
    },
    State.changes_requested: {
        "edit": State.changes_requested,
        "submit": State.submitted,
        "withdraw": State.withdrawn,
        "reject": State.rejected,
    },
    State.approved: {
        "edit": State.submitted,  # what was approved is not what stands there now
        "withdraw": State.withdrawn,
        "approve": State.approved,
        "request_changes": State.changes_requested,
        "reject": State.rejected,
        "merge": State.merged,
    },
    State.merged: {},
    State.rejected: {},
    State.withdrawn: {},
}

VERB_OF: dict[Decision, Verb] = {
    Decision.approve: "approve",
    Decision.request_changes: "request_changes",
    Decision.reject: "reject",
}


class WrongState(Conflict):
    """`state` and `verb` say which step was refused."""

    code, title = "wrong_state", "The contribution is in another state"


def move(contribution: Contribution, verb: Verb) -> None:
    """Take the contribution to its next state; raises WrongState."""
    state = State(contribution.state)
    if verb not in TRANSITIONS[state]:
        words = verb.replace("_", " ")
        raise WrongState(f"`{words}` is not possible while it is {state}", state=state, verb=verb)
    contribution.state = TRANSITIONS[state][verb]
