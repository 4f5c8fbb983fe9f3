"""The code under test: SQL for members and invitations, and one rule that spans both."""

from psycopg import Connection, errors

MIGRATIONS = [
    """
    CREATE TABLE member (
        id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        email text NOT NULL
    );
    CREATE UNIQUE INDEX member_email_unique ON member (lower(email));
    CREATE TABLE invitation (
        code       text PRIMARY KEY,
        used_by    bigint REFERENCES member,
        expires_at timestamptz NOT NULL
    );
    """,
    "ALTER TABLE member ADD COLUMN display_name text NOT NULL DEFAULT ''",
]


class EmailTaken(Exception):
    pass


class InvalidInvitation(Exception):
    pass


def migrate(conn: Connection) -> None:
    for script in MIGRATIONS:
        conn.execute(script)


def join(conn: Connection, code: str, email: str, name: str) -> int:
    """Use up an invitation and create the member: both or neither."""
    with conn.transaction():
        try:
            (member_id,) = conn.execute(
                "INSERT INTO member (email, display_name) VALUES (%s, %s) RETURNING id",
                (email, name),
            ).fetchone()
        except errors.UniqueViolation as error:
            raise EmailTaken(email) from error
        used = conn.execute(
            "UPDATE invitation SET used_by = %s"
            " WHERE code = %s AND used_by IS NULL AND expires_at > now()",
            (member_id, code),
        )
        if used.rowcount != 1:
            raise InvalidInvitation(code)
        return member_id
