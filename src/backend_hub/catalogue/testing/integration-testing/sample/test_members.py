import pytest

from members import EmailTaken, InvalidInvitation, join


def emails(conn) -> list[str]:
    return [email for (email,) in conn.execute("SELECT email FROM member ORDER BY id")]


def test_joining_creates_a_member_and_uses_the_invitation(conn, invite):
    member_id = join(conn, invite(), "ada@example.org", "Ada")

    row = conn.execute("SELECT email, display_name FROM member WHERE id = %s", (member_id,))
    assert row.fetchone() == ("ada@example.org", "Ada")
    assert conn.execute("SELECT used_by FROM invitation").fetchone() == (member_id,)


def test_each_test_starts_empty(conn):
    assert emails(conn) == []


def test_an_invitation_works_once(conn, invite):
    code = invite()
    join(conn, code, "ada@example.org", "Ada")
    with pytest.raises(InvalidInvitation):
        join(conn, code, "linus@example.org", "Linus")
    assert emails(conn) == ["ada@example.org"]  # the second member was rolled back


def test_an_expired_invitation_is_refused(conn, invite):
    with pytest.raises(InvalidInvitation):
        join(conn, invite(valid_for="-1 second"), "ada@example.org", "Ada")
    assert emails(conn) == []


def test_email_is_unique_whatever_its_case(conn, invite):
    join(conn, invite("ONE"), "ada@example.org", "Ada")
    with pytest.raises(EmailTaken):
        join(conn, invite("TWO"), "ADA@example.org", "Impostor")

    # The invitation that failed is still free.
    assert conn.execute("SELECT used_by FROM invitation WHERE code = 'TWO'").fetchone() == (None,)


HOSTILE = {"sql": "'; DROP TABLE member; --", "placeholder": "%s", "unicode": "Ünïcødé ☕"}


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_input_is_stored_as_it_was_sent(conn, invite, hostile):
    join(conn, invite(), "ada@example.org", hostile)
    assert conn.execute("SELECT display_name FROM member").fetchone() == (hostile,)
