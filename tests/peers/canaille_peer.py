"""Canaille, an identity server in Python that also pushes users and groups to its clients by SCIM.

    canaille_peer.py <configuration.json>

Everything is in memory. It prints `{"ready": true}`, then obeys one JSON request per line: see `commands`.
"""

import asyncio
import datetime
import json
import sys
import threading

import canaille
import canaille.scim.client
from asgiref.wsgi import WsgiToAsgi
from canaille.app import models
from canaille.backends import Backend
from canaille.oidc.jose import make_default_okp_jwk
from canaille.oidc.jose import make_default_rsa_jwk
from hypercorn.asyncio import serve
from hypercorn.config import Config

from lines import obey

with open(sys.argv[1]) as file:
    config = json.load(file)

app = canaille.create_app(
    config={
        "SECRET_KEY": "a key for the cookies of a test",
        "SERVER_NAME": config["authority"],
        "PREFERRED_URL_SCHEME": "https",
        "CANAILLE": {
            "DATABASE": "memory",
            "HTMX": False,
            "JAVASCRIPT": False,
            "CAPTCHA_ENABLED": False,
            "SMTP": None,
        },
        "CANAILLE_OIDC": {"TRUSTED_DOMAINS": config["trusted"]},
        "CANAILLE_SCIM": {"ENABLE_SERVER": True, "ENABLE_CLIENT": True},
    },
    env_file="/dev/null",
)
forever = 10 * 365 * 24 * 3600


def in_app(command):
    """Runs a command with the server's storage at hand."""

    def inside(**arguments):
        with app.app_context(), app.backend.session():
            return command(**arguments)

    return inside


def saved(found, values):
    for name, value in values.items():
        setattr(found, name, value)
    Backend.instance.save(found)
    return {"id": found.id}


def named(model, **key):
    return Backend.instance.get(model, **key) or model(**key)


def client(client_id, scim_token=None, **values):
    """A client, which is told of changes below `client_uri` with the token, if it has one."""
    values.setdefault("grant_types", ["authorization_code", "refresh_token"])
    values.setdefault("response_types", ["code"])
    values.setdefault("token_endpoint_auth_method", "client_secret_basic")
    values.setdefault("scope", ["openid", "profile", "email", "groups"])
    values.setdefault("client_name", client_id)
    # Null: the strongest that its key can do, which is RS512.
    values.setdefault("id_token_signed_response_alg", "RS256")
    # Its own site: canaille trusts those (below), shows no page of consent, and tells the client of all users.
    values.setdefault("client_uri", values["redirect_uris"][0])
    found = named(models.Client, client_id=client_id)
    saved(found, {"client_id_issued_at": now(), "client_secret_expires_at": None, **values})
    found.audience = [found]
    Backend.instance.save(found)
    if scim_token:
        token = models.Token(
            token_id=f"scim-{client_id}", access_token=scim_token, subject=None, audience=[found], client=found,
            refresh_token=f"no-refresh-{client_id}", scope=["openid", "profile"], issue_date=now(), lifetime=forever,
        )
        Backend.instance.save(token)
    return {"id": found.id}


def token_of_its_own(client):
    """The token that a client was given for SCIM. Canaille asks its storage for one without a subject, which in memory also
    answers with those of people, so that after a login it may push with one of theirs, and be refused."""
    return Backend.instance.get(models.Token, token_id=f"scim-{client.client_id}")


canaille.scim.client.get_or_create_token = token_of_its_own


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def user(user_name, new_name=None, groups=None, **values):
    """Adds a user, or changes one: `emails`, `password`, `given_name`, `family_name`, `formatted_name`,
    `display_name`, `locked`; `groups` by name are left alone unless given."""
    if "locked" in values:
        values["lock_date"] = now() if values.pop("locked") else None
    if new_name:
        values["user_name"] = new_name
    if groups is not None:
        values["groups"] = [Backend.instance.get(models.Group, display_name=name) for name in groups]
    return saved(named(models.User, user_name=user_name), values)


def group(display_name, new_name=None, members=()):
    """Adds a group, or changes one, to have these users. A group without members is not pushed."""
    members = [Backend.instance.get(models.User, user_name=name) for name in members]
    values = {"members": members, **({"display_name": new_name} if new_name else {})}
    return saved(named(models.Group, display_name=display_name), values)


def delete_user(user_name):
    Backend.instance.delete(Backend.instance.get(models.User, user_name=user_name))


def delete_group(display_name):
    Backend.instance.delete(Backend.instance.get(models.Group, display_name=display_name))


def rotate():
    """Signs with new keys from now on; the old ones stay published."""
    settings = app.config["CANAILLE_OIDC"]
    settings["INACTIVE_JWKS"] = (settings.get("ACTIVE_JWKS") or []) + (settings.get("INACTIVE_JWKS") or [])
    fresh = make_default_rsa_jwk(), make_default_okp_jwk(str(now()))
    settings["ACTIVE_JWKS"] = [key.as_dict(private=True) for key in fresh]
    return {"kids": [key["kid"] for key in settings["ACTIVE_JWKS"] + settings["INACTIVE_JWKS"]]}


def start():
    """Serves on a thread of its own; returns when the socket listens."""
    files = {"certfile": config["certificate"], "keyfile": config["key"]}
    hypercorn = Config.from_mapping(bind=[config["authority"]], errorlog="-", loglevel="WARNING", **files)
    sockets = hypercorn.create_sockets()
    for socket in sockets.secure_sockets:
        socket.listen()
    hypercorn.create_sockets = lambda: sockets

    def run():
        asyncio.run(serve(WsgiToAsgi(app), hypercorn, shutdown_trigger=lambda: asyncio.Event().wait()))

    threading.Thread(target=run, daemon=True).start()


for given in config["clients"]:
    in_app(client)(**given)
for given in config["users"]:
    in_app(user)(**given)
for given in config["groups"]:
    in_app(group)(**given)
start()
commands = {command.__name__: in_app(command) for command in (user, group, delete_user, delete_group, rotate)}
obey(commands)
