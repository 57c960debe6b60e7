"""The control API in front of a toy server of Linearized Matrix, so that a conformance suite can drive it.

    python shim.py --ca ca.pem --certificate tls.pem --key tls-key.pem --port 8449

One line of JSON says when it is ready: {"server_name": "localhost:PORT", "control": "http://127.0.0.1:PORT"}. What the toy
server cannot do is answered with 501; it is a participant only, without devices, and it can neither knock nor invite.
"""

import argparse
import asyncio
import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

from linearized import Wrong, event_id
from toy_server import Refused, ToyServer, listen, run

PREFIX = "/control/v1"


class Shim:
    """What each call of the control API does to the toy server. All of it runs in the toy server's event loop."""

    def __init__(self, server):
        self.server = server

    async def answer(self, method, segments, query, body):
        """Finds the call. `segments` are those of the path, decoded."""
        match method, segments:
            case "GET", ["rooms", room]:
                return self.show(self.room(room))
            case "GET", ["rooms", room, "state"]:
                return {"events": list(self.room(room).state.values())}
            case "GET", ["rooms", room, "events"]:
                return self.events(self.room(room), int(query.get("from", 0)), int(query.get("limit", 1000)))
            case "POST", ["rooms", room, "events"]:
                return await self.send(self.user(body["sender"]), room, body["type"], body["content"], body.get("state_key"))
            case "POST", ["rooms", room, "membership"]:
                return await self.membership(room, body)
            case "GET", ["users", user, "inbox"]:
                return {"items": self.server.inboxes.get(self.user(user), [])[int(query.get("from", 0)):], "next": None}
            case "POST", ["rooms"]:
                raise cannot("be a hub")
            case _, ["devices", *_] | ["users", _, "claim" | "devices" | "to-device", *_]:
                raise cannot("publish devices or ask for them")
        raise cannot(f"do anything for {method} /{'/'.join(segments)}")

    def user(self, name):
        """A user's whole id, of that or of a localpart. Users need not be made: every localpart is one."""
        return name if name.startswith("@") else f"@{name}:{self.server.name}"

    def room(self, room_id):
        if room_id not in self.server.rooms:
            raise Refused(404, "M_NOT_FOUND", "this server is not in the room")
        return self.server.rooms[room_id]

    def show(self, room):
        head = event_id(room.events[-1])
        return {"room_id": room.id, "hub": room.hub, "head": head, "length": len(room.events), "members": room.members()}

    def events(self, room, start, limit):
        end = start + limit
        return {"events": room.events[start:end], "next": end if end < len(room.events) else None}

    async def send(self, *event):
        return {"event_id": None, "lpdu_id": event_id(await self.asked(self.server.send(*event)))}

    async def membership(self, room_id, body):
        sender, target, membership = self.user(body["sender"]), self.user(body["target"]), body["membership"]
        if membership == "invite":
            raise cannot("invite")
        # A server without a user in a room hears nothing of it any more, so it has to come back by a handshake.
        if not self.takes_part(room_id) and sender == target:
            via = self.via(sender, room_id, body)
            if membership == "join":
                return {"event_id": event_id(await self.asked(self.server.join(sender, room_id, via))), "lpdu_id": None}
            if membership == "leave":
                return {"event_id": None, "lpdu_id": event_id(await self.asked(self.server.leave(sender, room_id, via)))}
            raise cannot(f"{membership} on a room that it is not in")
        content = {"membership": membership}
        if body.get("reason") is not None:
            content["reason"] = body["reason"]
        return await self.send(sender, room_id, "m.room.member", content, target)

    async def asked(self, call):
        """Waits for what another server has a part in: if its answer makes no sense, that is no fault of the caller's."""
        try:
            return await call
        except (Wrong, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(502, "M_UNKNOWN", f"another server's answer is wrong: {error!r}") from None

    def takes_part(self, room_id):
        room = self.server.rooms.get(room_id)
        return room is not None and any(
            membership == "join" and user.endswith(":" + self.server.name) for user, membership in room.members().items()
        )

    def via(self, user, room_id, body):
        """The server to ask: the first one named, or else the one of who invited the user."""
        if body.get("via"):
            return body["via"][0]
        for item in reversed(self.server.inboxes.get(user, [])):
            if item["room_id"] == room_id:
                return item["event"]["sender"].split(":", 1)[1]
        raise Refused(404, "M_NOT_FOUND", "this server is not in the room, and `via` names none that is")


def cannot(what):
    return Refused(501, "M_UNRECOGNIZED", f"the toy server cannot {what}")


def handler(shim, loop):
    """The class that http.server wants: threads of its own that hand each request to the toy server's loop."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body of an answer leave together. Otherwise Nagle's algorithm may hold the body back.
        wbufsize = -1

        def answer(self):
            # The body is read even if nobody wants it: the next request on the connection follows it.
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            try:
                if not url.path.startswith(PREFIX + "/"):
                    raise Refused(404, "M_UNRECOGNIZED", f"everything is below {PREFIX}")
                segments = [unquote(part) for part in url.path.removeprefix(PREFIX + "/").split("/")]
                call = shim.answer(self.command, segments, dict(parse_qsl(url.query)), json.loads(body or b"{}"))
                status, answer = 200, asyncio.run_coroutine_threadsafe(call, loop).result()
            except Refused as refused:
                status, answer = refused.status, {"errcode": refused.errcode, "error": refused.error}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                status, answer = 400, {"errcode": "M_BAD_JSON", "error": repr(error)}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = answer

        def log_message(self, *arguments):
            """Standard error is for what goes wrong."""

    return Handler


async def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ca", metavar="PEM", required=True, help="the authority of the other servers' certificates")
    parser.add_argument("--certificate", metavar="PEM", required=True, help="the server's own, for localhost")
    parser.add_argument("--key", metavar="PEM", required=True, help="the key of the certificate")
    parser.add_argument("--port", type=int, default=0, help="the control API's; 0 takes a free one")
    arguments = parser.parse_args()
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in [signal.SIGINT, signal.SIGTERM]:
        loop.add_signal_handler(number, stop.set)
    listener, name = listen()
    server = ToyServer(name, arguments.ca)
    control = ThreadingHTTPServer(("127.0.0.1", arguments.port), handler(Shim(server), loop))
    threading.Thread(target=control.serve_forever, daemon=True).start()
    print(json.dumps({"server_name": name, "control": f"http://127.0.0.1:{control.server_address[1]}"}), flush=True)
    await run(server, listener, arguments.certificate, arguments.key, stop.wait)


if __name__ == "__main__":
    asyncio.run(main())
