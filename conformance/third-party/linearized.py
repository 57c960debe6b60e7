"""Events, hashes and signatures of draft-ralston-mimi-linearized-matrix-04, written from the draft alone.

Of other people's code there is `cryptography` for Ed25519 and the standard library for SHA-256, base64 and JSON.
"""

import base64
import hashlib
import json
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

# What redaction leaves of an event (section 8).
TOP_LEVEL = {
    "type", "room_id", "sender", "state_key", "content", "origin_server_ts", "hashes", "signatures", "prev_events",
    "auth_events", "hub_server",
}
CONTENT = {
    "m.room.member": {"membership"},
    "m.room.join_rules": {"join_rule"},
    "m.room.power_levels": {
        "ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default", "invite",
    },
    "m.room.history_visibility": {"history_visibility"},
}


class Wrong(Exception):
    """What a server sent is not what the draft says."""


def check(condition, what):
    if not condition:
        raise Wrong(what)


def canonical(value):
    """Canonical JSON (section 7, RFC 8785), as far as this program needs it: no fractions."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        check(abs(value) < 2**53, f"{value} is too large for a number of JSON")
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(element) for element in value) + "]"
    check(isinstance(value, dict), f"{value!r} has no canonical form here")
    # RFC 8785 sorts by UTF-16 code units.
    keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
    return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"


def encode(data):
    """Unpadded base64 (section 10)."""
    return base64.b64encode(data).decode().rstrip("=")


def decode(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def without(value, *keys):
    return {key: member for key, member in value.items() if key not in keys}


def redact(event):
    """Section 8."""
    redacted = {key: member for key, member in event.items() if key in TOP_LEVEL}
    if event["type"] != "m.room.create":
        kept = CONTENT.get(event["type"], set())
        redacted["content"] = {key: member for key, member in event["content"].items() if key in kept}
    return redacted


def sha256(value):
    return hashlib.sha256(canonical(value).encode()).digest()


def event_id(event):
    """The reference hash behind a sigil (sections 3.5 and 9.2)."""
    reference = sha256(without(redact(event), "signatures"))
    return "$" + base64.urlsafe_b64encode(reference).decode().rstrip("=")


def lpdu_of(pdu):
    """What the sender's server had sent: without what the hub added (section 3.5.1)."""
    lpdu = without(pdu, "auth_events", "prev_events")
    lpdu["hashes"] = {"lpdu": pdu["hashes"]["lpdu"]}
    return lpdu


class Key:
    """A server's signing key."""

    def __init__(self, server):
        self.server, self.id, self.private = server, "ed25519:python", Ed25519PrivateKey.generate()

    def public(self):
        return encode(self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def signature(self, value):
        """Of an object, without its signatures (section 6.2)."""
        return encode(self.private.sign(canonical(without(value, "signatures")).encode()))

    def sign(self, value):
        return value | {"signatures": {self.server: {self.id: self.signature(value)}}}

    def lpdu(self, draft):
        """Hashes and signs an event for the hub (section 3.5.1)."""
        event = draft | {"hashes": {"lpdu": {"sha256": encode(sha256(draft))}}}
        return event | {"signatures": {self.server: {self.id: self.signature(redact(event))}}}

    def published(self, valid_until):
        """Section 12.4.1.2."""
        return self.sign({
            "server_name": self.server,
            "valid_until_ts": valid_until,
            "m.linearized": True,
            "verify_keys": {self.id: {"key": self.public()}},
            "old_verify_keys": {},
        })

    def authorization(self, method, target, destination, body):
        """The value of a request's `Authorization` header (section 12.4)."""
        request = {
            "method": method, "uri": target, "origin": self.server, "destination": destination,
            "content": {} if body is None else body,
        }
        parameters = {
            "origin": self.server, "destination": destination, "key": self.id, "sig": self.signature(request),
        }
        return "X-Matrix " + ",".join(f'{name}="{value}"' for name, value in parameters.items())


class Keys:
    """Another server's public keys, out of its answer (section 12.4.1.2)."""

    def __init__(self, server, answer, now):
        self.server = server
        check(answer["server_name"] == server, f"the keys are those of {answer['server_name']}")
        check(answer["valid_until_ts"] > now, "the keys have expired")
        self.keys = {
            key_id: Ed25519PublicKey.from_public_bytes(decode(entry["key"]))
            for key_id, entry in answer["verify_keys"].items()
        }
        check(self.keys, "there is no key")
        self.verify(answer, "the key response")

    def verify(self, value, what):
        """Section 6.3, for an object that is redacted already if it is an event."""
        signatures = value.get("signatures", {}).get(self.server, {})
        known = [(key_id, text) for key_id, text in signatures.items() if key_id in self.keys]
        check(known, f"{what} is not signed by {self.server}")
        for key_id, text in known:
            try:
                self.keys[key_id].verify(decode(text), canonical(without(value, "signatures")).encode())
            except InvalidSignature:
                raise Wrong(f"{what} has a wrong signature of {self.server}") from None

    def verify_request(self, method, target, header, destination, body):
        """A request of this server (section 12.4)."""
        scheme, _, rest = header.partition(" ")
        check(scheme.lower() == "x-matrix", f"the scheme of {header!r}")
        parameters = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare
            for name, quoted, bare in re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', rest)
        }
        check(parameters.get("origin") == self.server, f"the origin in {header!r}")
        check(parameters.get("destination") == destination, f"the destination in {header!r}")
        request = {
            "method": method, "uri": target, "origin": self.server, "destination": destination, "content": body,
        }
        self.verify(request | {"signatures": {self.server: {parameters["key"]: parameters["sig"]}}}, "a request")


def check_pdu(event, hub_keys, own_keys=None):
    """Hashes and signatures of an event that a hub sealed (section 5.1), and returns its id."""
    name = f"the {event.get('type')} event"
    hashes = event["hashes"]
    covered = without(event, "signatures") | {"hashes": {key: hashes[key] for key in hashes if key == "lpdu"}}
    if not covered["hashes"]:
        # Reading R03: without the hash of an LPDU no `hashes` is left.
        del covered["hashes"]
    check(hashes["sha256"] == encode(sha256(covered)), f"{name} has a wrong content hash")
    hub_keys.verify(redact(event), name)
    check(len(event["prev_events"]) == 1 or event["type"] == "m.room.create", f"{name} has {event['prev_events']}")
    if "lpdu" in hashes:
        lpdu = lpdu_of(event)
        expected = encode(sha256(without(lpdu, "hashes", "signatures")))
        check(hashes["lpdu"]["sha256"] == expected, f"{name} has a wrong content hash of its LPDU")
        if own_keys is not None and event["sender"].split(":", 1)[1] == own_keys.server:
            own_keys.verify(redact(lpdu), f"the LPDU of {name}")
    return event_id(event)
