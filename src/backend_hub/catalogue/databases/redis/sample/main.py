"""Cache-aside with Redis: expiry with jitter, one loader at a time, explicit invalidation."""

import json
import os
import random
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis

REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
PREFIX = f"demo:{uuid.uuid4().hex[:12]}:"  # private keys: safe to run side by side

# Delete the lock only if it is still ours. A script runs atomically on the server.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    return redis.call('DEL', KEYS[1])
end
return 0
"""


class Cache:
    def __init__(self, client: redis.Redis, ttl: int = 60, lock_ms: int = 5_000) -> None:
        self.client = client
        self.ttl = ttl
        self.lock_ms = lock_ms
        self.release = client.register_script(RELEASE)

    def get(self, name: str, load: Callable[[], Any]) -> Any:
        key, lock = f"{PREFIX}{name}", f"{PREFIX}lock:{name}"
        token = uuid.uuid4().hex
        deadline = time.monotonic() + self.lock_ms / 1000
        while time.monotonic() < deadline:
            cached = self.client.get(key)
            if cached is not None:
                return json.loads(cached)
            # NX: only one caller gets the lock. PX: it frees itself should that caller die.
            if self.client.set(lock, token, nx=True, px=self.lock_ms):
                try:
                    # Somebody may have filled the cache between our GET and our lock.
                    cached = self.client.get(key)
                    if cached is not None:
                        return json.loads(cached)
                    value = load()
                    jitter = random.randint(0, self.ttl // 10)  # do not expire all at once
                    self.client.set(key, json.dumps(value), ex=self.ttl + jitter)
                    return value
                finally:
                    self.release(keys=[lock], args=[token])
            time.sleep(0.01)
        return load()  # the lock's holder is too slow: better a second load than an error

    def forget(self, name: str) -> None:
        self.client.delete(f"{PREFIX}{name}")


class SlowDatabase:
    """Stands for the query that is worth caching."""

    def __init__(self) -> None:
        self.prices = {"mug": 850}
        self.queries = 0
        self._lock = threading.Lock()

    def product(self, name: str) -> dict[str, Any]:
        with self._lock:
            self.queries += 1
        time.sleep(0.05)
        return {"name": name, "cents": self.prices[name]}


def demo(client: redis.Redis) -> None:
    cache, database = Cache(client), SlowDatabase()

    def mug() -> dict[str, Any]:
        return cache.get("product:mug", lambda: database.product("mug"))

    print("first read:", mug(), "- queries:", database.queries)
    print("second read:", mug(), "- queries:", database.queries)

    database.prices["mug"] = 900
    print("after a change, stale:", mug())
    cache.forget("product:mug")  # whoever writes to the database says so to the cache
    print("after forgetting it:", mug(), "- queries:", database.queries)

    cache.forget("product:mug")
    with ThreadPoolExecutor(max_workers=20) as workers:
        answers = list(workers.map(lambda _: mug(), range(20)))
    same = all(answer == answers[0] for answer in answers)
    print("twenty readers at once: same answer:", same, "- queries:", database.queries)

    print("has an expiry:", 0 < client.ttl(f"{PREFIX}product:mug") <= 66)
    print("lock left behind:", bool(client.exists(f"{PREFIX}lock:product:mug")))


with redis.Redis.from_url(
    REDIS_URL, decode_responses=True, socket_timeout=5, socket_connect_timeout=5
) as client:
    try:
        demo(client)
    finally:
        leftovers = list(client.scan_iter(match=f"{PREFIX}*"))  # SCAN, never KEYS, on a real server
        if leftovers:
            client.delete(*leftovers)
