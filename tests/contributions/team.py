"""A proposer, a reviewer, and contributions in every state."""

from dataclasses import dataclass
from typing import Any

import httpx

from backend_hub.users.models import Role
from tests.hub import Hub, Person, link

WAY_TO: dict[str, list[str]] = {
    "draft": [],
    "submitted": ["submit"],
    "changes_requested": ["submit", "request_changes"],
    "approved": ["submit", "approve"],
    "merged": ["submit", "approve", "merge"],
    "rejected": ["submit", "reject"],
    "withdrawn": ["submit", "withdraw"],
}
"""The verbs that lead from a new draft to each state."""


def proposal_of(resource: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A contribution to send: a new link, or with a resource a change to it."""
    form: dict[str, Any] = {"title": "A better text", "body": "Because *it is*."}
    if resource is None:
        return {**form, "proposal": link("A proposed guide"), **fields}
    return {**form, "resource_id": resource["id"], "changes": {"level": "beginner"}, **fields}


@dataclass
class Team:
    """Ann proposes, Rita reviews."""

    ann: Person
    rita: Person

    async def propose(self, resource: dict[str, Any] | None = None, **fields: Any) -> str:
        """The path of a new draft of Ann's."""
        created = await self.ann.create("/contributions", proposal_of(resource, **fields))
        return f"/contributions/{created['id']}"

    async def act(self, verb: str, path: str, by: Person | None = None) -> httpx.Response:
        """Do it as the person who may, or as somebody else."""
        if verb == "edit":
            return await (by or self.ann).patch(path, {"title": "Another title"})
        if verb in {"submit", "withdraw"}:
            return await (by or self.ann).post(f"{path}/{verb}")
        if verb == "merge":
            return await (by or self.rita).post(f"{path}/merge")
        return await review(by or self.rita, path, verb)

    async def bring(self, path: str, state: str) -> dict[str, Any]:
        """Lead a draft to a state; returns the contribution as Ann then sees it."""
        for verb in WAY_TO[state]:
            response = await self.act(verb, path)
            assert response.status_code in {200, 201}, response.text
        found = await self.ann.read(path)
        assert found["state"] == state
        return found


async def review(
    reviewer: Person, path: str, decision: str, if_match: str = "*", body: str = "Look at it."
) -> httpx.Response:
    form = {"decision": decision, "body": body}
    return await reviewer.post(f"{path}/reviews", form, headers={"If-Match": if_match})


async def team(hub: Hub) -> Team:
    return Team(await hub.person("ann"), await hub.person("rita", Role.reviewer))
