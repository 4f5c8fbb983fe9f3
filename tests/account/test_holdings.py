"""No table can be forgotten: whatever refers to an account is exported or not, and stays or goes,
on purpose."""

from backend_hub import tables
from backend_hub.account.holdings import HOLDINGS, exported_columns

WHAT_TO_DO = """
These columns refer to an account, and account/holdings.py does not say what becomes of their rows.
Add a row to HOLDINGS for each:
  Holding("the_table", "the_column", "name_of_the_file_in_the_export", deleted=True)
`deleted=True` if the rows go when the person leaves (all that is theirs alone: how they sign in,
addresses, secrets); without it they stay, by a deleted user, and must then say nothing of them.
Without a file say why it is not exported: why="...". Secrets: without=_without("the_column").
"""


def test_every_column_that_refers_to_an_account_is_exported_or_left_out_on_purpose() -> None:
    referring = {
        (table.name, column.name)
        for table in tables.metadata.sorted_tables
        for column in table.columns
        for key in column.foreign_keys
        if key.column.table.name == "users"
    }
    known = {(holding.table, holding.column) for holding in HOLDINGS}
    assert referring - known == set(), WHAT_TO_DO
    assert known - referring == {("users", "id")}, "HOLDINGS names columns that are gone"


def test_what_is_not_exported_has_a_reason() -> None:
    for holding in HOLDINGS:
        assert bool(holding.file) != bool(holding.why), holding
        assert holding.without <= {column.name for column in holding.on.columns}, holding
    files = [holding.file for holding in HOLDINGS if holding.file]
    assert len(files) == len(set(files))


def test_no_export_holds_bytes_or_hashes() -> None:
    for holding in HOLDINGS:
        for column in exported_columns(holding) if holding.file else []:
            assert "hash" not in column.name
            assert "BYTEA" not in str(column.type.compile()).upper(), column
