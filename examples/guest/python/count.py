#!/usr/bin/env python3
"""Counts how often each key came, as the application of a shard. It needs Python's standard library, and nothing else.

    count.py SHARD JOURNAL HOST...      as: count.py counter counts/totals http://127.0.0.1:9000 http://127.0.0.1:9001

The sources of the shard have lines as {"key": "a"}. For each key of a transaction a line as {"key": "a", "added": 2, "total": 7}
is published to the journal. BROADSHEET_TOKEN is sent as the token, if it is set; LEASE is how long we want to have a transaction.

Kill it whenever you like, and start it again, or several of them: each message counts once. Nothing is kept in here.
"""

import json
import os
import sys
import time
from collections import Counter
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen


class Again(Exception):
    """What we wanted wasn't done, or we don't know: the way on is always to take a transaction again.

    If the last one was committed, that is the next one. If it wasn't, it is the same once more.
    """


class Shard:
    """A shard that this program is the application of, by /v1/shards over HTTP. Any host passes requests on to the right one."""

    def __init__(self, name, hosts):
        self.name, self.hosts = name, hosts

    def take(self):
        """The next transaction: its token and its messages. None if there was none for a while."""
        return self._ask("GET", "transaction?" + urlencode({"shard": self.name, "wait": "30s", "lease": os.environ.get("LEASE", "60s")}))

    def look_up(self, keys):
        """The values of those keys that have one. 4096 at once is the most, which is how many messages a transaction has."""
        entries = self._ask("POST", "lookup", {"shard": self.name, "keys": keys})["entries"]
        return {e["key"]: e["value"] for e in entries if "value" in e}

    def commit(self, token, puts, publishes):
        """Returns once all of it has happened: the state has the puts, readers see the publishes, and the messages are consumed."""
        self._ask("POST", "commit", {"shard": self.name, "token": token, "puts": puts, "publishes": publishes})

    def fail(self, token, message, text):
        """Gives the transaction up, because of one of its messages. See consumer/app.go for how somebody has it skipped."""
        on = {"journal": message["journal"], "offset": message["offset"], "text": text}
        self._ask("POST", "commit", {"shard": self.name, "token": token, "fail": on})

    def _ask(self, method, path, body=None):
        request = Request(f"{self.hosts[0]}/v1/shards/{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if token := os.environ.get("BROADSHEET_TOKEN"):
            request.add_header("Authorization", "Bearer " + token)
        try:
            with urlopen(request, timeout=90) as answer:
                text = answer.read()
            return json.loads(text) if text else None
        except HTTPError as e:
            text = e.read().decode()
            if e.code in (409, 429) or e.code >= 500:  # It isn't ours any more, or the shard is being moved.
                raise Again(text) from e
            sys.exit(f"{path}: {text}")  # Nothing that goes by.
        except (OSError, HTTPException) as e:
            self.hosts.append(self.hosts.pop(0))
            raise Again(e) from e


def transact(shard, journal):
    """Takes a transaction and answers it."""
    transaction = shard.take()
    if transaction is None:
        return
    added = Counter()
    for message in transaction["messages"]:
        key = message["document"].get("key") if isinstance(message["document"], dict) else None
        if not isinstance(key, str) or not key:
            shard.fail(transaction["token"], message, "it has no key")
            return
        added[key] += 1
    before = shard.look_up(list(added))
    puts, publishes = {}, []
    for key, n in added.items():
        total = int(before.get(key, 0)) + n
        puts[key] = str(total)
        publishes.append({"journal": journal, "document": {"key": key, "added": n, "total": total}})
    shard.commit(transaction["token"], puts, publishes)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    shard = Shard(sys.argv[1], sys.argv[3:])
    while True:
        try:
            transact(shard, sys.argv[2])
        except Again as e:
            print(e, file=sys.stderr)
            time.sleep(0.2)


main()
