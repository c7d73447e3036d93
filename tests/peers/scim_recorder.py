"""A SCIM server that takes down what it is asked: as much of one as a pushing provider needs to go on.

    scim_recorder.py <address> <port> <key.pem> <certificate.pem>

It prints `{"ready": true}`, then obeys one JSON request per line: `pushes` answers with the requests since the last one.
"""

import json
import re
import sys
import uuid

from scim2_models import EnterpriseUser
from scim2_models import Group
from scim2_models import ResourceType
from scim2_models import ServiceProviderConfig
from scim2_models import User

from lines import obey
from served import Answering
from served import serve

SUPPORT = {
    "documentationUri": "https://example.org",
    "patch": {"supported": True},
    "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
    "filter": {"supported": True, "maxResults": 200},
    "changePassword": {"supported": False},
    "sort": {"supported": False},
    "etag": {"supported": False},
    "authenticationSchemes": [{"type": "oauthbearertoken", "name": "Bearer", "description": "A token"}],
}
DISCOVERY = {
    "/ServiceProviderConfig": ServiceProviderConfig(**SUPPORT).model_dump(),
    "/ResourceTypes": [ResourceType.from_resource(kind).model_dump() for kind in (User[EnterpriseUser], Group)],
    "/Schemas": [kind.to_schema().model_dump() for kind in (User, Group, EnterpriseUser)],
}
resources = {"Users": {}, "Groups": {}}
pushes = []


class Handler(Answering):
    def tell(self, status, told=None):
        self.answer(status, "application/scim+json", b"" if told is None else json.dumps(told).encode())

    def do(self):
        body = understood(self.body().decode())
        pushes.append({"method": self.command, "path": self.path, "authorization": self.headers.get("Authorization"), "body": body})
        path, _, query = self.path.partition("?")
        if path in DISCOVERY:
            found = DISCOVERY[path]
            return self.tell(200, listed(found) if isinstance(found, list) else found)
        _, kind, *rest = path.split("/")
        if kind not in resources:
            return self.tell(404)
        return self.resource(kind, rest, query, body)

    def resource(self, kind, rest, query, body):
        kept = resources[kind]
        name = rest[0] if rest else None
        if name is not None and name not in kept:
            return self.tell(404)
        if self.command == "POST":
            name = str(uuid.uuid4())
        if self.command in ("POST", "PUT"):
            # A password is never told again (RFC 7643, section 4.1.1).
            kept[name] = {**body, "id": name}
            kept[name].pop("password", None)
            kept[name]["meta"] = {"resourceType": kind[:-1], "location": f"https://{address}:{port}/{kind}/{name}"}
            return self.tell(201 if self.command == "POST" else 200, kept[name])
        if self.command == "DELETE":
            kept.pop(name)
            return self.tell(204)
        return self.tell(200, kept[name] if name else listed(matching(kept, query)))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do


def understood(text):
    """JSON, or the text of whatever else came: a form, for one."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def matching(kept, query):
    # `filter=externalId eq "…"`, as it stands in a query.
    asked = re.search(r"filter=(\w+)(?:\+|%20)eq(?:\+|%20)%22([^%]+)%22", query)
    return [found for found in kept.values() if not asked or found.get(asked[1]) == asked[2]]


def listed(found):
    schema = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
    return {"schemas": [schema], "totalResults": len(found), "startIndex": 1, "itemsPerPage": len(found), "Resources": found}


def taken():
    took = pushes[:]
    del pushes[: len(took)]
    return {"pushes": took}


address, port, key, certificate = sys.argv[1:]
serve(Handler, address, port, key, certificate)
obey({"pushes": taken})
