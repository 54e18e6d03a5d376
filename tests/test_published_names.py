# SPDX-License-Identifier: MIT
"""The names, arguments and results that programs written for the published package rely on."""

import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import flatbuffers
import lmdb
import pytest
from packaging.version import Version

import zlmdb
import zlmdb._database as published_database
from zlmdb import MapStringUuid, MapUuidCbor, MapUuidString
from zlmdb.errors import ConfigError, MissingDependency, TableDeclaration, VersionsDiffer
from zlmdb.orm.catalogue import Slot

PUBLISHED = """
    __version__ flatbuffers setup_flatbuffers_import check_autobahn_flatbuffers_version_in_sync lmdb Schema Database
    Transaction TransactionStats table NullValueConstraint
""".split()
CLIENT_MAPS = """
    UuidCbor StringUuid UuidFlatBuffers Bytes20TimestampUuid UuidStringUuid Bytes32FlatBuffers UuidUuidCbor
    UuidTimestampBytes32 TimestampUuidFlatBuffers Bytes20Uuid UuidUuidUuidUuid UuidUuidUuidStringUuid UuidUuidUuid
    UuidUuidStringFlatBuffers UuidUuid UuidTimestampUuid UuidTimestampCbor UuidBytes20Uint8FlatBuffers
    UuidBytes20Bytes20Uint8UuidFlatBuffers Uint64TimestampUuid TimestampUuidStringFlatBuffers StringStringStringUuid
    StringFlatBuffers SlotUuidUuid OidTimestampFlatBuffers OidFlatBuffers Bytes20FlatBuffers Bytes16TimestampUuid
""".split()
KEY = UUID("00112233-4455-6677-8899-aabbccddeeff")


def prints(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class User:
    def __init__(self, oid: UUID, email: str | None) -> None:
        self.oid, self.email = oid, email

    def marshal(self) -> dict[str, Any]:
        return {"oid": self.oid.bytes, "email": self.email}

    @staticmethod
    def parse(data: dict[str, Any]) -> "User":
        return User(UUID(bytes=data["oid"]), data["email"])


@zlmdb.table("aa9a4a7a-4a0e-4f4e-9f3b-6d1f7c1f0a01", marshal=User.marshal, parse=User.parse)
class Users(MapUuidCbor):
    """The users."""


@zlmdb.table(UUID("aa9a4a7a-4a0e-4f4e-9f3b-6d1f7c1f0a02"))
class UsersByEmail(MapStringUuid): ...


# --- the package


def test_all_lists_the_published_names_and_a_star_import_takes_them() -> None:
    assert set(zlmdb.__all__) >= {*PUBLISHED, "PersistentMap", "TABLES_BY_UUID"}
    taken: dict[str, Any] = {}
    exec("from zlmdb import *", taken)
    assert set(zlmdb.__all__) <= set(taken)
    assert len([name for name in taken if name.startswith("Map")]) == 84  # 83 published names, and Map itself


def test_the_version_is_newer_than_that_of_any_published_package() -> None:
    assert Version(zlmdb.__version__) > Version("26.10.1")


@pytest.mark.parametrize("name", CLIENT_MAPS)
def test_a_map_type_that_clients_derive_from_is_a_persistent_map(name: str) -> None:
    assert issubclass(type("Own", (getattr(zlmdb, f"Map{name}"),), {}), zlmdb.PersistentMap)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("_database", "Database Slot Schema Transaction TransactionStats lmdb KV_TYPE_TO_CLASS DEFAULT_LIB_VERSION"),
        ("_errors", "NullValueConstraint"),
        ("_meta", "MAGIC"),
        ("_pmap", "PersistentMap Index MapUuidCbor MapUuidUuidSet"),
        ("_schema", "Schema PersistentMap"),
        ("_transaction", "Transaction TransactionStats"),
        ("_types", "dt_to_bytes bytes_to_dt"),
        ("_flatbuffers_vendor", "Builder"),
    ],
)
def test_the_modules_of_the_published_package_have_its_names(module: str, names: str) -> None:
    for name in names.split():
        found = getattr(import_module(f"zlmdb.{module}"), name)
        if module not in {"_database", "_flatbuffers_vendor", "_meta", "_types"} and name != "Index":
            assert found is getattr(zlmdb, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    for module in (zlmdb, import_module("zlmdb._pmap")):
        for name in ("Mapp", "MapNothing", "nothing"):
            with pytest.raises(AttributeError, match=name):
                getattr(module, name)


def test_times_are_converted_as_they_are_stored() -> None:
    types: Any = import_module("zlmdb._types")
    assert types.dt_to_bytes(1700000000123456789).hex() == "17979cfe3d85cd15"
    assert types.bytes_to_dt(bytes.fromhex("17979cfe3d85cd15")).astype(int) == 1700000000123456789


# --- flatbuffers and lmdb


@pytest.mark.parametrize(
    "code",
    [
        "import zlmdb, flatbuffers; print(flatbuffers is zlmdb.flatbuffers)",
        "import flatbuffers, zlmdb; print(flatbuffers is zlmdb.flatbuffers)",
        "from zlmdb import flatbuffers as ours; import flatbuffers; print(flatbuffers is ours)",
        "import zlmdb.flatbuffers as ours; import flatbuffers; print(flatbuffers is ours)",
        "import zlmdb.flatbuffers.builder as b; import flatbuffers.builder; print(b is flatbuffers.builder)",
        "import zlmdb; zlmdb.setup_flatbuffers_import(); import sys; print('flatbuffers.encode' in sys.modules)",
        "import zlmdb.lmdb as ours; import lmdb; print(ours is lmdb)",
        "from zlmdb import lmdb as ours; import lmdb; print(ours is lmdb)",
        "import zlmdb; zlmdb._database.DEFAULT_LIB_VERSION; import lmdb; print(zlmdb.lmdb is lmdb)",
    ],
)
def test_a_library_has_one_copy_in_whatever_order_it_is_imported(code: str) -> None:
    assert prints(code) == "True"


@pytest.mark.parametrize("name", "compat builder table util number_types packer encode".split())
def test_the_modules_of_flatbuffers_are_those_of_its_package(name: str) -> None:
    ours = import_module(f"zlmdb.flatbuffers.{name}")
    assert ours is import_module(f"flatbuffers.{name}") is getattr(zlmdb.flatbuffers, name)


def test_flatbuffers_has_the_version_that_autobahn_carries() -> None:
    assert zlmdb.flatbuffers.__version__ == flatbuffers.__version__
    assert Version(flatbuffers.__version__) >= Version("25.12.19")


def test_autobahn_is_asked_for_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs: Any = ModuleType("autobahn.flatbuffers")
    monkeypatch.setitem(sys.modules, "autobahn", ModuleType("autobahn"))
    monkeypatch.setitem(sys.modules, "autobahn.flatbuffers", theirs)
    theirs.__version__ = flatbuffers.__version__
    assert zlmdb.check_autobahn_flatbuffers_version_in_sync() == flatbuffers.__version__
    theirs.__version__ = "1.2.3"
    with pytest.raises(VersionsDiffer, match=r"1\.2\.3") as caught:
        zlmdb.check_autobahn_flatbuffers_version_in_sync()
    assert isinstance(caught.value, RuntimeError)
    monkeypatch.setitem(sys.modules, "autobahn.flatbuffers", None)
    with pytest.raises(MissingDependency, match="pip install autobahn") as missing:
        zlmdb.check_autobahn_flatbuffers_version_in_sync()
    assert isinstance(missing.value, ImportError)


def test_lmdb_is_the_binding_of_both_formats() -> None:
    assert zlmdb.lmdb is lmdb
    assert zlmdb.lmdb.version(lib_version=0)[:2] == (0, 9)
    assert zlmdb.lmdb.version(lib_version=1)[0] == 1
    assert Version(zlmdb.lmdb.__version__) >= Version("3.0")


# --- tables


def test_tables_are_registered_in_the_dictionary_that_the_package_names_now(monkeypatch: pytest.MonkeyPatch) -> None:
    assert zlmdb.TABLES_BY_UUID[Users._zlmdb_oid] is Users
    monkeypatch.setattr(zlmdb, "TABLES_BY_UUID", {})
    oid = uuid4()
    declared = zlmdb.table(oid)(type("Declared", (MapUuidString,), {}))
    registered = zlmdb.TABLES_BY_UUID
    assert registered == {oid: declared}


def test_a_table_knows_what_it_was_declared_with() -> None:
    assert list(inspect.signature(zlmdb.table).parameters)[:6] == "oid marshal parse build cast compress".split()
    assert Users._zlmdb_marshal is User.marshal
    assert Users._zlmdb_parse is User.parse
    assert Users._zlmdb_build is Users._zlmdb_cast is Users._zlmdb_compress is None
    assert Users._zlmdb_oid == UUID("aa9a4a7a-4a0e-4f4e-9f3b-6d1f7c1f0a01")
    assert (zlmdb.PersistentMap.COMPRESS_ZLIB, zlmdb.PersistentMap.COMPRESS_SNAPPY) == (1, 2)


def test_a_map_of_a_bare_slot_number_counts_its_raw_records(db: zlmdb.Database, no_fixed_slots: None) -> None:
    users = db.attach_table(Users)
    bare: Any = zlmdb.PersistentMap(users._slot)
    with db.begin(write=True) as txn:
        users[txn, KEY] = User(KEY, "a")
        assert bare.count(txn) == 1
        assert list(bare.select(txn)) == [(KEY.bytes, users._serialize_value(users[txn, KEY]))]
    with pytest.raises(TableDeclaration):
        zlmdb.PersistentMap()


def test_keys_and_values_are_serialized_without_the_slot() -> None:
    users = Users(7)
    assert users._serialize_key(KEY) == KEY.bytes
    assert users._deserialize_key(KEY.bytes) == KEY
    assert users._deserialize_value(users._serialize_value(User(KEY, "a"))).email == "a"


def test_an_attached_index_is_known_as_one(db: zlmdb.Database) -> None:
    users, by_email = db.attach_table(Users), db.attach_table(UsersByEmail)
    users.attach_index("idx1", by_email, lambda user: user.email, nullable=True)
    assert users.indexes() == ["idx1"]
    assert by_email.is_index()
    assert not users.is_index()
    assert by_email._index_attached_to is users
    with db.begin(write=True) as txn:
        users[txn, KEY] = User(KEY, None)
        assert by_email.count(txn) == 0
        users[txn, KEY] = User(KEY, "a")
        assert by_email[txn, "a"] == KEY
        assert users.rebuild_indexes(txn) == (1, 1)
        assert users.truncate(txn) == 2
    users.detach_index("idx1")
    assert users.indexes() == []


def test_a_slot_is_noted_on_a_map_instance() -> None:
    schema = zlmdb.Schema()
    map_ = MapUuidString(100)
    assert schema.slot(100, compress=1)(map_) is map_
    assert (vars(map_)["_zlmdb_slot"], map_._zlmdb_compress) == (100, 1)
    with pytest.raises(TableDeclaration, match="twice"):
        schema.slot(101)(MapUuidString(101))
    with pytest.raises(TableDeclaration, match="not a map instance"):
        schema.slot(102)(MapStringUuid)
    constants = [getattr(zlmdb.Schema, name) for name in dir(zlmdb.Schema) if name.startswith("SLOT_DATA_")]
    assert sorted(constants) == list(range(8))


# --- the database


def test_a_database_takes_its_arguments_in_the_published_order() -> None:
    wanted = "dbpath maxsize readonly lock sync create open_now writemap context log lib_version".split()
    assert list(inspect.signature(zlmdb.Database).parameters)[: len(wanted)] == wanted


def test_a_database_is_entered_more_than_once_and_left_without_an_exception(tmp_path: Path) -> None:
    db = zlmdb.Database(str(tmp_path / "db"), open_now=False, context=KEY, log="a logger")
    assert (db.is_open, db._env, db.lib_version, db.log) == (False, None, None, "a logger")
    assert db.__enter__() is db.__enter__() is db
    assert db._env.info()["map_size"] > 0
    assert db.config() == {
        "is_temp": False,
        "dbpath": str(tmp_path / "db"),
        "maxsize": None,
        "readonly": False,
        "lock": True,
        "sync": True,
        "create": True,
        "open_now": False,
        "writemap": False,
        "context": str(KEY),
    }
    assert (db.is_open, db.is_sync, db.is_readonly, db.is_writemap, db.lib_version) == (True, True, False, False, "1.0")
    assert (db.context, db.dbpath, db.maxsize) == (KEY, str(tmp_path / "db"), None)
    db.sync(force=True)
    db.__exit__(None, None, None)
    assert not db.is_open
    zlmdb.Database.scratch(str(tmp_path / "db"))
    zlmdb.Database.scratch(str(tmp_path / "db"))
    assert not (tmp_path / "db").exists()


def test_open_gives_a_database_that_is_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"maxsize": 2**20, "readonly": False, "sync": True}
    with (
        zlmdb.Database.open(dbpath=str(tmp_path / "db"), context=None, **options) as first,
        zlmdb.Database.open(dbpath=str(tmp_path / "db"), context=first, **options) as second,
    ):
        assert first.is_open
        assert second.is_open
        assert second.maxsize == 2**20
        assert second.log.name == "zlmdb"
    assert capsys.readouterr() == ("", "")


def test_stats_have_the_published_keys(db: zlmdb.Database, no_fixed_slots: None) -> None:
    assert db.stats(include_slots=True)["slots"] == []
    users = db.attach_table(Users)
    with db.begin(write=True) as txn:
        users[txn, KEY] = User(KEY, "a")
    stats = db.stats(include_slots=True)
    assert set(stats) >= set(
        """num_slots current_size max_size page_size pages used free read_only sync_enabled lib_version lmdb_version
        psize depth branch_pages leaf_pages overflow_pages entries
        map_addr map_size last_pgno last_txnid max_readers num_readers slots""".split()
    )
    assert stats["slots"] == [
        {
            "oid": "aa9a4a7a-4a0e-4f4e-9f3b-6d1f7c1f0a01",
            "slot": 1,
            "name": f"{__name__}.Users",
            "description": "The users.",
            "records": 1,
        }
    ]
    assert "slots" not in db.stats()


def test_the_slots_of_the_catalogue_are_read_and_set(db: zlmdb.Database, no_fixed_slots: None) -> None:
    assert db._get_slots() == {}
    db.attach_table(Users)
    slots = db._get_slots(cached=False)
    assert slots == db._get_slots() == db._slots
    assert Users._zlmdb_oid is not None
    slot = slots[Users._zlmdb_oid]
    assert (slot.slot, slot.name, slot.description) == (1, f"{__name__}.Users", "The users.")
    assert db._get_free_slot() == 2
    db._set_slot(1, None)
    assert db._get_slots() == {}
    db._set_slot(5, Slot(Users._zlmdb_oid, 0, "Moved"))
    assert db.attach_table(Users)._slot == 5


def test_a_transaction_gives_raw_access_and_counts(db: zlmdb.Database) -> None:
    assert (zlmdb.Transaction.PUT, zlmdb.Transaction.DEL) == (1, 2)
    stats = zlmdb.TransactionStats()
    txn = db.begin(write=True, buffers=False, stats=stats)
    assert txn._txn is None
    with txn:
        assert isinstance(txn._txn, lmdb.Transaction)
        assert txn.id() == txn._txn.id()
        assert txn.put(b"\0\7x", b"1")
        assert not txn.put(b"\0\7x", b"2", overwrite=False)
        assert txn.get(b"\0\7x") == txn._txn.get(b"\0\7x") == b"1"
        assert txn.delete(b"\0\7x")
        assert not txn.delete(b"\0\7x")
    assert txn._stats is stats
    assert (stats.puts, stats.dels) == (1, 1)
    assert 0 < stats.duration < stats.started
    stats.reset()
    assert (stats.puts, stats.dels) == (0, 0)


@pytest.fixture
def default_lib_version() -> Iterator[None]:
    before = published_database.DEFAULT_LIB_VERSION
    yield
    published_database.DEFAULT_LIB_VERSION = before


@pytest.mark.usefixtures("default_lib_version")
def test_the_format_of_new_files_is_that_of_the_module_which_may_be_set(tmp_path: Path) -> None:
    assert published_database.DEFAULT_LIB_VERSION == "1.0"
    assert published_database._LIB_VERSION_TO_MAJOR == {"0.9": 0, "1.0": 1}
    published_database.DEFAULT_LIB_VERSION = "0.9"
    with zlmdb.Database(tmp_path / "old") as old, zlmdb.Database(tmp_path / "new", lib_version="1.0") as new:
        assert (old.lib_version, new.lib_version) == ("0.9", "1.0")
    published_database.DEFAULT_LIB_VERSION = "1.0"
    with zlmdb.Database(tmp_path / "old") as old, zlmdb.Database(tmp_path / "third") as third:
        assert (old.lib_version, third.lib_version) == ("0.9", "1.0")
    with pytest.raises(ConfigError, match="lib_version"):
        published_database.DEFAULT_LIB_VERSION = "2.0"  # type: ignore[assignment]
    assert published_database.DEFAULT_LIB_VERSION == "1.0"
