"""A server that takes part in a room of another server, made of other people's HTTP and its own signing.

It fetches the hub's keys, joins a public room, says something, and reads the room's state and history back. Everything it
is sent is checked by what the draft says. It ends with 0 and one line of JSON, or with 1 and what was wrong.

Requests go out by `httpx` or by `curl`; `hypercorn` takes those of the hub.
"""

import argparse
import asyncio
import json
import socket
import ssl
import subprocess
import sys
import time
from urllib.parse import quote

import httpx
from hypercorn.asyncio import serve
from hypercorn.config import Config

from linearized import Key, Keys, Wrong, check, check_pdu, event_id

# How long anything may take that does happen, in seconds.
PATIENCE = 60


def segment(text):
    return quote(text, safe="")


class Httpx:
    """Requests by `httpx`."""

    def __init__(self, ca):
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.client = httpx.AsyncClient(http1=False, http2=True, verify=context, timeout=PATIENCE, trust_env=False)

    async def request(self, method, url, headers, body):
        answer = await self.client.request(method, url, headers=headers, content=body)
        check(answer.http_version == "HTTP/2", f"{url} is answered over {answer.http_version}")
        return answer.status_code, answer.headers.get("content-type"), answer.content


class Curl:
    """Requests by `curl`."""

    def __init__(self, ca):
        self.common = [
            "curl", "--silent", "--show-error", "--http2", "--tlsv1.3", "--cacert", ca, "--noproxy", "*",
            "--max-time", str(PATIENCE), "--path-as-is", "--write-out",
            "\n%{http_version} %{http_code} %{content_type}",
        ]

    async def request(self, method, url, headers, body):
        arguments = self.common + ["--request", method]
        for name, value in headers.items():
            arguments += ["--header", f"{name}: {value}"]
        if body is not None:
            arguments += ["--data-binary", "@-"]
        process = await asyncio.create_subprocess_exec(
            *arguments, url, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, error = await process.communicate(body)
        check(process.returncode == 0, f"curl: {error.decode()}")
        content, _, words = out.rpartition(b"\n")
        version, status, *kind = words.decode().split(" ", 2)
        check(version == "2", f"{url} is answered over HTTP/{version}")
        return int(status), kind[0] if kind else None, content


class Participant:
    """The server."""

    def __init__(self, arguments, port):
        self.name = f"localhost:{port}"
        self.hub, self.hub_address, self.room = arguments.hub, arguments.hub_address, arguments.room
        self.key, self.http = Key(self.name), {"httpx": Httpx, "curl": Curl}[arguments.http](arguments.ca)
        self.user = f"@guido:{self.name}"
        self.own_keys = Keys(self.name, self.key.published(2**52), 0)
        self.hub_keys, self.heard, self.failure, self.news = None, [], None, asyncio.Condition()

    # What the hub asks.

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        body = b""
        while (part := await receive())["type"] == "http.request":
            body += part.get("body", b"")
            if not part.get("more_body"):
                break
        status, answer = 500, {"errcode": "M_UNKNOWN"}
        try:
            status, answer = await self.answer(scope, body)
        except Exception as error:
            async with self.news:
                self.failure = f"{scope['method']} {scope['path']}: {error!r}"
                self.news.notify_all()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def answer(self, scope, body):
        method, path = scope["method"], scope["raw_path"].decode()
        if (method, path) == ("GET", "/_matrix/key/v2/server"):
            return 200, self.key.published(int(time.time() * 1000) + 12 * 3600 * 1000)
        if method != "PUT" or "/send/" not in path:
            return 404, {"errcode": "M_UNRECOGNIZED"}
        transaction = json.loads(body)
        target = path + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
        headers = [value.decode() for name, value in scope["headers"] if name == b"authorization"]
        check(scope["http_version"] == "2", f"the hub speaks HTTP/{scope['http_version']}")
        check(headers, "the hub's request has no signature")
        for header in headers:
            self.hub_keys.verify_request(method, target, header, self.name, transaction)
        pdus = transaction.get("pdus", [])
        check(len(pdus) <= 50, f"a transaction with {len(pdus)} events")
        for pdu in pdus:
            check_pdu(pdu, self.hub_keys, self.own_keys)
        async with self.news:
            self.heard += pdus
            self.news.notify_all()
        return 200, {"failed_pdus": {}}

    async def until_heard(self, lpdu):
        """The event that the hub made of an LPDU, as it sends it to everybody."""
        def echo():
            made_of_it = [pdu for pdu in self.heard if pdu["hashes"].get("lpdu") == lpdu["hashes"]["lpdu"]]
            return self.failure or made_of_it

        async with self.news:
            await asyncio.wait_for(self.news.wait_for(echo), PATIENCE)
        check(not self.failure, self.failure)
        return echo()[0]

    # What it asks the hub.

    async def ask(self, method, target, body=None):
        headers = {"Authorization": self.key.authorization(method, target, self.hub, body)}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        status, answer = await self.raw(method, target, headers, content)
        check(status == 200, f"{method} {target} is answered {status} {answer}")
        return answer

    async def raw(self, method, target, headers, content=None):
        url = f"https://{self.hub_address}{target}"
        status, kind, answer = await self.http.request(method, url, headers, content)
        check(kind == "application/json", f"{method} {target} is answered with {kind}")
        return status, json.loads(answer)

    def draft(self, kind, content, **more):
        return {
            "room_id": self.room, "type": kind, "sender": self.user, "content": content, "hub_server": self.hub,
            "origin_server_ts": int(time.time() * 1000),
        } | more

    async def take_part(self):
        # The hub's keys (section 12.4.1.2).
        status, answer = await self.raw("GET", "/_matrix/key/v2/server", {})
        check(status == 200, f"the keys are answered {status}")
        self.hub_keys = Keys(self.hub, answer, int(time.time() * 1000))

        # A request that proves nothing is refused (section 12.4).
        make_join = f"/_matrix/federation/v1/make_join/{segment(self.room)}/{segment(self.user)}?ver=I.1"
        header = self.key.authorization("GET", make_join + "&ver=I.2", self.hub, None)
        status, answer = await self.raw("GET", make_join, {"Authorization": header})
        check((status, answer["errcode"]) == (401, "M_FORBIDDEN"), f"a wrong signature is answered {status} {answer}")

        # Joining (sections 12.7.3.1 and 12.7.3.2).
        template = await self.ask("GET", make_join)
        check(template["content"] == {"membership": "join"}, f"a template for {template['content']}")
        check(template["sender"] == template["state_key"] == self.user, f"a template for {template['sender']}")
        join = self.key.lpdu(self.draft(template["type"], template["content"], state_key=template["state_key"]))
        joined = await self.ask("POST", f"/_matrix/federation/v3/send_join/{segment(event_id(join))}", join)
        check_pdu(joined["event"], self.hub_keys, self.own_keys)
        state = {check_pdu(pdu, self.hub_keys) for pdu in joined["state"]}
        chain = {check_pdu(pdu, self.hub_keys) for pdu in joined["auth_chain"]}
        check(set(joined["event"]["auth_events"]) <= state, "the join cites what is not in the state")
        cited = {cited for pdu in joined["state"] + joined["auth_chain"] for cited in pdu["auth_events"]}
        check(cited <= chain, "the auth chain is not whole")
        check(event_id(await self.until_heard(join)) == event_id(joined["event"]), "the join is sent as another event")

        # Saying something (section 12.5.1), twice under one id, and hearing it from the hub once.
        words = "Grüße, und 你好 \U0001f40d \"\\\u0007"
        message = self.key.lpdu(self.draft("m.room.message", {"body": words, "n": -1, "empty": {}}))
        send = f"/_matrix/federation/v2/send/{segment(event_id(message))}"
        for _ in range(2):
            answer = await self.ask("PUT", send, {"pdus": [message]})
            check(answer == {"failed_pdus": {}}, f"the message is refused: {answer}")
        said = await self.until_heard(message)
        said_id = event_id(said)

        # What is not allowed is refused, by the id of what was sent (section 12.5.1).
        name = self.key.lpdu(self.draft("m.room.name", {"name": "mine"}, state_key=""))
        answer = await self.ask("PUT", f"/_matrix/federation/v2/send/{segment(event_id(name))}", {"pdus": [name]})
        check(list(answer["failed_pdus"]) == [event_id(name)], f"a forbidden event is answered {answer}")

        # The event by itself (section 12.6.1), on the final and on the unstable path.
        unstable = "/_matrix/federation/unstable/org.matrix.i-d.ralston-mimi-linearized-matrix.02"
        for prefix in ["/_matrix/federation/v2", unstable]:
            served = await self.ask("GET", f"{prefix}/event/{segment(said_id)}")
            check(served == said, "the event is served as another one")

        # The state at it (sections 12.6.2 and 12.6.3).
        where = f"{segment(self.room)}?event_id={segment(said_id)}"
        state = await self.ask("GET", f"/_matrix/federation/v1/state/{where}")
        ids = await self.ask("GET", f"/_matrix/federation/v1/state_ids/{where}")
        for events, listed in [("pdus", "pdu_ids"), ("auth_chain", "auth_chain_ids")]:
            found = {check_pdu(pdu, self.hub_keys, self.own_keys) for pdu in state[events]}
            check(found == set(ids[listed]) and len(found) == len(ids[listed]), f"`{listed}` and `{events}` differ")
        check(event_id(joined["event"]) in ids["pdu_ids"], "the state does not have the join")
        members = {pdu["state_key"]: pdu["content"] for pdu in state["pdus"] if pdu["type"] == "m.room.member"}
        check(members[self.user]["membership"] == "join", "the state does not have the user")

        # Everything up to it (section 12.6.4).
        page = await self.ask("GET", f"/_matrix/federation/v2/backfill/{segment(self.room)}?v={segment(said_id)}&limit=100")
        history = [check_pdu(pdu, self.hub_keys, self.own_keys) for pdu in page["pdus"]]
        check(history[-1] == said_id and history.count(said_id) == 1, "the history does not end with the message")
        check(page["pdus"][0]["type"] == "m.room.create", "the history does not begin with the room's creation")
        follows = [pdu["prev_events"] for pdu in page["pdus"][1:]]
        check(follows == [[one] for one in history[:-1]], "the history has gaps")
        return {"message": said_id, "history": len(history), "state": len(state["pdus"])}


async def run(arguments):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    participant = Participant(arguments, listener.getsockname()[1])
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.certfile, config.keyfile = arguments.certificate, arguments.key
    config.alpn_protocols, config.errorlog, config.accesslog = ["h2"], None, None
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(participant, config, mode="asgi", shutdown_trigger=stop.wait))
    try:
        done = await participant.take_part()
        check(not participant.failure, participant.failure)
        print(json.dumps(done))
    finally:
        stop.set()
        await serving


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--hub", required=True, help="the hub's server name")
    parser.add_argument("--hub-address", required=True, metavar="HOST:PORT", help="where the hub is")
    parser.add_argument("--room", required=True, help="a public room of the hub")
    parser.add_argument("--ca", required=True, help="a PEM file that verifies the hub's certificate")
    parser.add_argument("--certificate", required=True, help="a certificate for localhost that the hub trusts")
    parser.add_argument("--key", required=True, help="its private key")
    parser.add_argument("--http", choices=["httpx", "curl"], default="httpx", help="what sends requests")
    try:
        asyncio.run(run(parser.parse_args()))
    except Wrong as wrong:
        sys.exit(f"participant.py: {wrong}")


if __name__ == "__main__":
    main()
