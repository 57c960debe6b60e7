"""A toy server of Linearized Matrix that takes part in rooms of other servers: something to put a control API in front of.

It is no hub and keeps nothing on disk. What a product would offer its own clients is here the methods of `ToyServer`:
`join`, `leave`, `send`, and what it knows: `rooms` and `inboxes`. Nothing in it knows of a conformance suite.
"""

import json
import secrets
import socket
import ssl
import time
from urllib.parse import quote, unquote

import httpx
from hypercorn.asyncio import serve
from hypercorn.config import Config

from linearized import Key, Keys, Wrong, check, check_pdu, event_id, redact

FEDERATION = "/_matrix/federation"
# Questions about a room, which only its hub answers, or about an event: with how many segments they have.
ASKED = {
    "v1/make_join": 5, "v1/make_knock": 5, "v1/make_leave": 5, "v1/state": 4, "v1/state_ids": 4, "v2/backfill": 4, "v2/event": 4,
}


def segment(text):
    return quote(text, safe="")


def now():
    return int(time.time() * 1000)


class Refused(Exception):
    """Another server, or this one, refuses: a status and an error of Matrix."""

    def __init__(self, status, errcode, error):
        super().__init__(f"{status} {errcode}: {error}")
        self.status, self.errcode, self.error = status, errcode, error


class Room:
    """A room of another server."""

    def __init__(self, room_id, hub, state):
        self.id, self.hub, self.events = room_id, hub, []
        self.state = {(event["type"], event["state_key"]): event for event in state}

    def take(self, event):
        """Appends an event of the hub, once."""
        if all(event_id(known) != event_id(event) for known in self.events):
            self.events.append(event)
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event

    def members(self):
        """Users, and what they are in the room."""
        return {key: event["content"].get("membership") for (kind, key), event in self.state.items() if kind == "m.room.member"}


class ToyServer:
    """The server."""

    def __init__(self, name, ca):
        self.name, self.key = name, Key(name)
        context = ssl.create_default_context(cafile=ca)
        self.http = httpx.AsyncClient(http1=False, http2=True, verify=context, timeout=30, trust_env=False)
        self.known_keys, self.answers = {}, {}
        # By room id, and by user id.
        self.rooms, self.inboxes = {}, {}

    # What a product would offer its own clients.

    async def join(self, user, room_id, via):
        """Has a user join a room by way of its hub. Returns the join."""
        make = f"{FEDERATION}/v1/make_join/{segment(room_id)}/{segment(user)}?ver=I.1"
        template = await self.template(via, make)
        draft = {"room_id": room_id, "type": "m.room.member", "sender": user, "state_key": user, "content": template["content"]}
        lpdu = self.lpdu(template["hub_server"], draft)
        joined = await self.ask(via, "POST", f"{FEDERATION}/v3/send_join/{segment(event_id(lpdu))}", lpdu)
        keys = await self.keys_of(via)
        for event in joined["state"] + joined["auth_chain"] + [joined["event"]]:
            check_pdu(event, keys)
        room = self.rooms.setdefault(room_id, Room(room_id, via, joined["state"]))
        room.take(joined["event"])
        return joined["event"]

    async def leave(self, user, room_id, via):
        """Turns an invite down, for a user of a server that is not in the room."""
        make = f"{FEDERATION}/v1/make_leave/{segment(room_id)}/{segment(user)}"
        template = await self.template(via, make)
        draft = {"room_id": room_id, "type": "m.room.member", "sender": user, "state_key": user, "content": template["content"]}
        lpdu = self.lpdu(template["hub_server"], draft)
        await self.ask(via, "POST", f"{FEDERATION}/v3/send_leave/{segment(event_id(lpdu))}", lpdu)
        return lpdu

    async def send(self, user, room_id, kind, content, state_key=None):
        """Proposes an event to the hub of a room that this server is in. Returns what was sent."""
        room = self.rooms.get(room_id)
        if room is None:
            raise Refused(404, "M_NOT_FOUND", "this server is not in the room")
        draft = {"room_id": room_id, "type": kind, "sender": user, "content": content}
        if state_key is not None:
            draft["state_key"] = state_key
        lpdu = self.lpdu(room.hub, draft)
        path = f"{FEDERATION}/v2/send/{secrets.token_urlsafe(12)}"
        answer = await self.ask(room.hub, "PUT", path, {"pdus": [lpdu]})
        for failed in answer.get("failed_pdus", {}).values():
            raise Refused(403, "M_FORBIDDEN", failed.get("error", "the hub refuses it"))
        return lpdu

    # What it does with other servers.

    def lpdu(self, hub, draft):
        return self.key.lpdu(draft | {"hub_server": hub, "origin_server_ts": now()})

    async def ask(self, server, method, target, body=None):
        headers = {"Authorization": self.key.authorization(method, target, server, body)}
        return await self.raw(server, method, target, headers, body)

    async def template(self, server, make):
        """A hub's template, which stands at the top of the answer or under `event` (reading R22)."""
        answer = await self.ask(server, "GET", make)
        return answer.get("event", answer)

    async def raw(self, server, method, target, headers, body=None):
        content = None
        if body is not None:
            headers, content = headers | {"Content-Type": "application/json"}, json.dumps(body).encode()
        try:
            answer = await self.http.request(method, f"https://{server}{target}", headers=headers, content=content)
            parsed = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Refused(502, "M_UNKNOWN", f"{server} cannot be asked: {error!r}") from None
        if answer.status_code != 200:
            raise Refused(answer.status_code, parsed.get("errcode", "M_UNKNOWN"), parsed.get("error", ""))
        return parsed

    async def keys_of(self, server):
        """Another server's keys, fetched when it is first heard of."""
        if server == self.name:
            return Keys(server, self.key.published(now() + 1000), now())
        if server not in self.known_keys:
            answer = await self.raw(server, "GET", "/_matrix/key/v2/server", {})
            self.known_keys[server] = Keys(server, answer, now())
        return self.known_keys[server]

    # What other servers ask.

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        try:
            status, answer = 200, await self.answer(scope, body)
        except Refused as refused:
            status, answer = refused.status, {"errcode": refused.errcode, "error": refused.error}
        except (Wrong, ValueError, KeyError, TypeError, AttributeError) as error:
            status, answer = 400, {"errcode": "M_BAD_JSON", "error": repr(error)}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def answer(self, scope, body):
        method, path = scope["method"], scope["raw_path"].decode()
        if (method, path) == ("GET", "/_matrix/key/v2/server"):
            return self.key.published(now() + 12 * 3600 * 1000)
        if not path.startswith(FEDERATION + "/"):
            raise Refused(404, "M_UNRECOGNIZED", "the toy server has no such endpoint")
        try:
            request = {} if method == "GET" else json.loads(body)
        except ValueError:
            raise Refused(400, "M_NOT_JSON", "the body is no JSON") from None
        # Who asks comes first: whoever cannot say so learns nothing of what there is.
        origin = await self.authenticate(method, path, scope, request)
        parts = path.removeprefix(FEDERATION).split("/")
        if method == "GET" and len(parts) == ASKED.get("/".join(parts[1:3])):
            # The toy is the hub of no room, and gives no events away.
            if unquote(parts[3]) in self.rooms:
                raise Refused(400, "M_WRONG_SERVER", "the toy server is not the room's hub")
            raise Refused(404, "M_NOT_FOUND", "the toy server does not know that")
        if len(parts) != 4 or (method, parts[2]) not in [("PUT", "send"), ("POST", "invite")]:
            raise Refused(404, "M_UNRECOGNIZED", "the toy server has no such endpoint")
        handler = {"send": self.transaction, "invite": self.invited}[parts[2]]
        if (origin, path) not in self.answers:
            self.answers[origin, path] = await handler(origin, request)
        return self.answers[origin, path]

    async def authenticate(self, method, path, scope, request):
        target = path + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
        headers = [value.decode() for name, value in scope["headers"] if name == b"authorization"]
        try:
            check(headers, "the request is not signed")
            origins = {part.strip().split("=", 1)[1].strip('"') for header in headers
                       for part in header.partition(" ")[2].split(",") if part.strip().lower().startswith("origin=")}
            check(len(origins) == 1, "the request has no origin")
            origin = origins.pop()
            keys = await self.keys_of(origin)
            for header in headers:
                keys.verify_request(method, target, header, self.name, request)
        except (Wrong, Refused, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(401, "M_FORBIDDEN", str(error)) from None
        return origin

    async def transaction(self, origin, request):
        pdus, edus = request.get("pdus", []), request.get("edus", [])
        check(isinstance(pdus, list) and len(pdus) <= 50, "a transaction has a list of at most 50 events")
        check(isinstance(edus, list) and len(edus) <= 100, "a transaction has a list of at most 100 EDUs")
        for pdu in pdus:
            room = self.rooms.get(pdu["room_id"])
            if room is not None and room.hub == origin:
                keys = await self.keys_of(origin)
                try:
                    check_pdu(pdu, keys)
                except (Wrong, ValueError, KeyError, TypeError, AttributeError):
                    # It is dropped: the events beside it are none the worse for it.
                    continue
                room.take(pdu)
        return {"failed_pdus": {}}

    async def invited(self, origin, request):
        event = request["event"]
        check_pdu(event, await self.keys_of(origin))
        if request["room_version"] != "I.1":
            raise Refused(400, "M_INCOMPATIBLE_ROOM_VERSION", "the toy server knows I.1 only")
        check(event["type"] == "m.room.member" and event["content"]["membership"] == "invite", "the event is no invite")
        user = event["state_key"]
        if not user.endswith(":" + self.name):
            raise Refused(403, "M_FORBIDDEN", f"{user} is no user of this server")
        self.inboxes.setdefault(user, []).append({
            "type": "invite", "room_id": event["room_id"], "event": event, "room_version": request["room_version"],
            "invite_room_state": request.get("invite_room_state", []),
        })
        signed = event["signatures"] | {self.name: {self.key.id: self.key.signature(redact(event))}}
        return {"pdu": event | {"signatures": signed}}


async def run(server, listener, certificate, key, stop):
    """Serves other servers until `stop` is done."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile, config.keyfile = certificate, key
    config.alpn_protocols, config.errorlog, config.accesslog = ["h2"], None, None
    await serve(server, config, mode="asgi", shutdown_trigger=stop)


def listen():
    """A free port on loopback, and the name of a server there."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener, f"localhost:{listener.getsockname()[1]}"
