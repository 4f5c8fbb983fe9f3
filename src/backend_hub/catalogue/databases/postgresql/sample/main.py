"""Money transfers that stay correct under concurrency: asyncpg, a pool, transactions."""

import asyncio
import os
import uuid

import asyncpg

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://postgres@localhost:5432/postgres")
SCHEMA = f"bank_demo_{uuid.uuid4().hex[:12]}"  # a private schema: safe to run side by side

TABLES = """
CREATE TABLE account (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner   text   NOT NULL UNIQUE,
    cents   bigint NOT NULL CHECK (cents >= 0)
);
CREATE TABLE transfer (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_id  bigint NOT NULL REFERENCES account,
    to_id    bigint NOT NULL REFERENCES account,
    cents    bigint NOT NULL CHECK (cents > 0),
    made_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (from_id <> to_id)
);
CREATE INDEX transfer_from_idx ON transfer (from_id, made_at DESC);
"""


class InsufficientFunds(Exception):
    pass


async def open_account(db: asyncpg.Pool, owner: str, cents: int) -> int:
    return await db.fetchval(
        "INSERT INTO account (owner, cents) VALUES ($1, $2) RETURNING id", owner, cents
    )


async def transfer(db: asyncpg.Pool, from_id: int, to_id: int, cents: int) -> int:
    """Move money or change nothing. Returns the transfer's id."""
    async with db.acquire() as conn, conn.transaction():
        # Lock both rows, always in the same order, so that two opposite
        # transfers wait for each other instead of deadlocking.
        rows = await conn.fetch(
            "SELECT id, cents FROM account WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE",
            [from_id, to_id],
        )
        balances = {row["id"]: row["cents"] for row in rows}
        if balances.keys() != {from_id, to_id}:
            raise LookupError("both accounts must exist and differ")
        if balances[from_id] < cents:
            raise InsufficientFunds(f"{balances[from_id]} cents available, {cents} asked")
        await conn.execute("UPDATE account SET cents = cents - $2 WHERE id = $1", from_id, cents)
        await conn.execute("UPDATE account SET cents = cents + $2 WHERE id = $1", to_id, cents)
        return await conn.fetchval(
            "INSERT INTO transfer (from_id, to_id, cents) VALUES ($1, $2, $3) RETURNING id",
            from_id, to_id, cents,
        )


async def print_balances(db: asyncpg.Pool, heading: str) -> None:
    print(heading)
    for row in await db.fetch("SELECT owner, cents FROM account ORDER BY owner"):
        print(f"  {row['owner']:<6} {row['cents'] / 100:8.2f}")


async def demo(db: asyncpg.Pool) -> None:
    await db.execute(TABLES)
    ada = await open_account(db, "ada", 10_000)
    linus = await open_account(db, "linus", 2_500)
    await print_balances(db, "At the start:")

    await transfer(db, ada, linus, 1_500)
    await print_balances(db, "After one transfer of 15.00:")

    try:
        await transfer(db, linus, ada, 999_999)
    except InsufficientFunds as error:
        print(f"Refused: {error}")

    # Ten transfers of 10.00 at once, but there is money for eight of them only.
    results = await asyncio.gather(
        *(transfer(db, ada, linus, 1_000) for _ in range(10)), return_exceptions=True
    )
    done = sum(isinstance(result, int) for result in results)
    refused = sum(isinstance(result, InsufficientFunds) for result in results)
    print(f"Ten concurrent transfers: {done} done, {refused} refused")
    await print_balances(db, "At the end:")

    # The table's own constraint is the last line of defence against a buggy query.
    try:
        await db.execute("UPDATE account SET cents = -1 WHERE id = $1", ada)
    except asyncpg.CheckViolationError as error:
        print(f"PostgreSQL refused by itself: {error.constraint_name}")
    print("Transfers recorded:", await db.fetchval("SELECT count(*) FROM transfer"))


async def main() -> None:
    async with asyncpg.create_pool(
        DATABASE_URL, min_size=1, max_size=5, command_timeout=10,
        server_settings={"search_path": SCHEMA},
    ) as db:
        await db.execute(f"CREATE SCHEMA {SCHEMA}")  # our own constant, never user input
        try:
            await demo(db)
        finally:
            await db.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


asyncio.run(main())
