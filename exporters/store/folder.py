"""The store's folder: its lock, its parts, and the configuration that the engine reads."""

import fcntl
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

_MIB = 1024 * 1024
_LEAST_MEMORY_BYTES = 1024 * _MIB
_MOST_MEMORY_BYTES = 4 * 1024 * _MIB
_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class FolderInUseError(Exception):
    """Another process has the folder open; the message says which."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where things are. Only the process that holds the lock may touch them."""

    root: Path

    @property
    def engine_dir(self) -> Path:
        """The engine's own data."""
        return self.root / "engine"

    @property
    def config_file(self) -> Path:
        """The engine's configuration, written anew at every start."""
        return self.root / "engine.xml"

    @property
    def users_file(self) -> Path:
        """The engine's profiles, likewise."""
        return self.root / "profiles.xml"

    @property
    def backup_dir(self) -> Path:
        """The only place where BACKUP may write."""
        return self.root / "backups"

    @property
    def scratch_dir(self) -> Path:
        """Pipes and files of the statements that run; emptied at every start."""
        return self.root / "scratch"

    @property
    def snapshots_dir(self) -> Path:
        """What a snapshot has beside its tables; emptied at every start, as snapshots end with the store."""
        return self.root / "snapshots"

    @property
    def restoring_dir(self) -> Path:
        """A folder of the same kind, in which a backup is being restored and checked."""
        return self.root / "restoring"

    @property
    def restored_dir(self) -> Path:
        """The same when it is good: its engine takes the place of ours before the next opening."""
        return self.root / "restored"

    @property
    def lock_file(self) -> Path:
        """Held locked while the store runs; contains the number of the process."""
        return self.root / "lock"


class FolderLock:
    """The exclusive right to a folder. The system takes it back when the process dies, however it dies."""

    def __init__(self, folder: Folder) -> None:
        """Take the lock, making the folder if need be. Raises FolderInUseError, OSError."""
        folder.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = os.open(folder.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder else "another process"
            raise FolderInUseError(f"the store's folder {folder.root} is open in {who}") from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the lock back."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


def adopt_restored(folder: Folder) -> Path | None:
    """Put a restored engine in the place of the present one, holding the lock; where the former one lies now.

    None when there is nothing to adopt, or nothing that it replaces. A crash in between is made good by the next call.
    Raises OSError.
    """
    if not folder.restored_dir.is_dir():
        return None
    arrived, former = Folder(folder.restored_dir).engine_dir, None
    if arrived.is_dir():
        if folder.engine_dir.exists():
            stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            former = folder.root / f"replaced-{stamp}-{os.urandom(2).hex()}"
            folder.engine_dir.rename(former)
        arrived.rename(folder.engine_dir)
    shutil.rmtree(folder.restored_dir)
    return former


def default_memory_bytes() -> int:
    """A quarter of what this machine or container has, from 1 to 4 GiB."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for file in _CGROUP_LIMITS:
        try:
            machine = min(machine, int(file.read_text("ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return min(_MOST_MEMORY_BYTES, max(_LEAST_MEMORY_BYTES, machine // 4))


def empty_scratch(folder: Folder) -> Path:
    """A place for pipes and short-lived files: in the folder, or elsewhere if there it cannot be.

    Some file systems of containers have no pipes, and the engine takes *, ?, { and } in a path for patterns.
    """
    shutil.rmtree(folder.scratch_dir, ignore_errors=True)
    folder.scratch_dir.mkdir(mode=0o700)
    trial = folder.scratch_dir / "trial"
    try:
        os.mkfifo(trial)
        trial.unlink()
    except OSError:
        return Path(tempfile.mkdtemp(prefix="taximeter-store-"))
    if set(str(folder.root)) & set("*?{}"):
        return Path(tempfile.mkdtemp(prefix="taximeter-store-"))
    return folder.scratch_dir


def write_config(folder: Folder, memory_bytes: int, backup_dir: Path | None = None) -> None:
    """Write what the engine reads at its start.

    Args:
        folder: Whose engine it is.
        memory_bytes: Bounds the engine, half of it a single statement.
        backup_dir: Where BACKUP and RESTORE may reach, if not into the folder's own place for it.
    """
    folder.users_file.write_text(_profiles(memory_bytes // 2), "utf-8")
    folder.config_file.write_text(_config(folder, memory_bytes, backup_dir or folder.backup_dir), "utf-8")


def _config(folder: Folder, memory_bytes: int, backup_dir: Path) -> str:
    cache = min(64 * _MIB, memory_bytes // 32)
    small = {
        "mark_cache_size": cache,
        "primary_index_cache_size": cache,
        "uncompressed_cache_size": 0,
        "index_mark_cache_size": cache // 4,
        "index_uncompressed_cache_size": 0,
        "vector_similarity_index_cache_size": 0,
        "text_index_tokens_cache_size": cache // 4,
        "text_index_header_cache_size": cache // 4,
        "text_index_postings_cache_size": cache // 4,
        "iceberg_metadata_files_cache_size": 0,
        "parquet_metadata_cache_size": 0,
        "query_condition_cache_size": cache // 4,
        "mmap_cache_size": 64,
        "compiled_expression_cache_size": 16 * _MIB,
        "background_pool_size": 2,
        "background_common_pool_size": 2,
        "background_move_pool_size": 1,
        "background_fetches_pool_size": 1,
        "background_schedule_pool_size": 8,
    }
    sizes = "".join(f"  <{name}>{value}</{name}>\n" for name, value in small.items())
    return (
        "<clickhouse>\n"
        f"  <users_config>{escape(str(folder.users_file))}</users_config>\n"
        f"  <backups><allowed_path>{escape(str(backup_dir))}</allowed_path></backups>\n"
        "  <logger><level>none</level></logger>\n"
        f"  <max_server_memory_usage>{memory_bytes}</max_server_memory_usage>\n"
        f"{sizes}"
        "  <merge_tree>\n"
        # What was acknowledged survives a power cut too: the journal drops a segment once the store has it.
        "    <fsync_after_insert>1</fsync_after_insert>\n"
        "    <fsync_part_directory>1</fsync_part_directory>\n"
        "  </merge_tree>\n"
        "</clickhouse>\n"
    )


def _profiles(query_memory_bytes: int) -> str:
    return (
        "<clickhouse>\n"
        "  <profiles><default>\n"
        f"    <max_memory_usage>{query_memory_bytes}</max_memory_usage>\n"
        # An insert is acknowledged when it is stored, not when it is queued.
        "    <async_insert>0</async_insert>\n"
        "  </default></profiles>\n"
        "  <users><default>\n"
        "    <password></password><networks><ip>::/0</ip></networks>\n"
        "    <profile>default</profile><quota>default</quota>\n"
        "  </default></users>\n"
        "  <quotas><default></default></quotas>\n"
        "</clickhouse>\n"
    )
