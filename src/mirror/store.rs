//! The SQLite file of the index: opens it, and reads and writes its rows. `schema.sql` says what they mean.

use std::fs;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bstr::BStr;
use jigdo::{Checksum, Rsync64, escaped_path};
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{
    CachedStatement, Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior, params,
};

use super::{Error, Sums};
use crate::file::{Stamp, make_private};
use crate::matcher::{Anchor, Features, Head};

/// The layout in `schema.sql`, in the file's `user_version`.
const VERSION: i64 = 6;

/// "jigp": tells an index from other SQLite files.
const APPLICATION_ID: i64 = 0x6a69_6770;

/// How long to wait for another process's lock. Storing a million new rows takes several seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A wait for a lock that is worth a line in the log.
const LONG_WAIT: Duration = Duration::from_millis(100);

/// An open index file.
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// The row of a file.
pub struct Row<'a> {
    pub id: i64,
    pub path: &'a BStr,
    pub size: u64,
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub inode: u64,
    pub sums: Sums,
}

impl<'a> Row<'a> {
    /// From the columns of [`Reader`]'s queries.
    fn read(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            path: row.get_ref(1)?.as_blob()?.into(),
            size: row.get::<_, i64>(2)?.cast_unsigned(),
            mtime_ns: row.get(3)?,
            ctime_ns: row.get(4)?,
            inode: row.get::<_, i64>(5)?.cast_unsigned(),
            sums: Sums { md5: row.get(6)?, sha256: row.get(7)?, blake3: row.get(8)? }
                .checked(row.get(9)?, row.get(10)?),
        })
    }

    /// Whether the row is about the file in the state that `stamp` describes.
    pub fn is_of(&self, stamp: &Stamp) -> bool {
        let of_row = (self.size, self.mtime_ns, self.ctime_ns, self.inode);
        of_row == (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode)
    }
}

/// A file's features for one block length.
pub struct HeadRow {
    pub file: i64,
    pub block_length: u32,
    pub features: Features,
}

impl Store {
    /// Opens the file, or creates it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // SQLite's other files have its permissions.
        make_private(path);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|source| Error::Directory { path: path.into(), source })?;
        }
        let connection = connect(path)?;
        Ok(Self { path: path.into(), connection: Mutex::new(connection) })
    }

    /// Creates one in memory.
    pub fn in_memory() -> Result<Self, Error> {
        let path = Path::new(":memory:");
        let mut connection = Connection::open_in_memory().map_err(|source| error(path, source))?;
        make(path, &mut connection)?;
        Ok(Self { path: path.into(), connection: Mutex::new(connection) })
    }

    /// Reads in one transaction, so that all rows are from the same moment.
    pub fn read<T>(&self, work: impl FnOnce(&Reader<'_>) -> rusqlite::Result<T>) -> Result<T, Error> {
        let mut connection = self.connection();
        let read = || {
            let transaction = connection.transaction()?;
            work(&Reader { connection: &transaction })
        };
        read().map_err(|source| error(&self.path, source))
    }

    /// Writes in one transaction: all or nothing.
    pub fn write(&self, work: impl FnOnce(&mut Writer<'_>) -> rusqlite::Result<()>) -> Result<(), Error> {
        let mut connection = self.connection();
        let write = || {
            // A transaction that only later asks for the write lock fails at once if another has it.
            let asked = Instant::now();
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if asked.elapsed() >= LONG_WAIT {
                let seconds = asked.elapsed().as_secs_f64();
                tracing::debug!(index = %escaped_path(&self.path), seconds, "waited for another process's lock");
            }
            let mut writer = Writer::new(&transaction)?;
            work(&mut writer)?;
            writer.finish()?;
            transaction.commit()
        };
        write().map_err(|source| error(&self.path, source))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // If a panic interrupted a transaction, it was rolled back, so the connection is usable.
        self.connection.lock()
    }
}

/// Connects, and creates the schema if necessary. SQLite does not wait for locks while it changes the journal mode, so
/// this function does.
fn connect(path: &Path) -> Result<Connection, Error> {
    let started = Instant::now();
    loop {
        match try_connect(path) {
            Err(Error::Database { source, .. }) if is_busy(&source) && started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn try_connect(path: &Path) -> Result<Connection, Error> {
    let failed = |source| error(path, source);
    // Without SQLITE_OPEN_URI, a path that begins with "file:" is still a path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    let is_made = check(path, &connection)?;
    connection.pragma_update(None, "journal_mode", "wal").map_err(failed)?;
    // A power cut may lose the last rows, and cannot damage the file.
    connection.pragma_update(None, "synchronous", "normal").map_err(failed)?;
    // No row is ever written without the row that it refers to, so checking that each time would be a waste.
    connection.pragma_update(None, "foreign_keys", false).map_err(failed)?;
    connection.pragma_update(None, "cache_size", -16 * 1024).map_err(failed)?;
    if !is_made {
        make(path, &mut connection)?;
    }
    Ok(connection)
}

/// Creates the schema, replacing an older one, unless another process was faster.
fn make(path: &Path, connection: &mut Connection) -> Result<(), Error> {
    let failed = |source| error(path, source);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    if !check(path, &transaction)? {
        drop_all(&transaction).map_err(failed)?;
        transaction.execute_batch(include_str!("schema.sql")).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Drops all tables and views. What an older version remembered is not worth the code to read it.
fn drop_all(connection: &Connection) -> rusqlite::Result<()> {
    let mut query = connection.prepare(
        "SELECT format('DROP %s \"%w\"', type, name) FROM sqlite_schema
         WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY type = 'table'",
    )?;
    let drops = query.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    drops.iter().try_for_each(|drop| connection.execute_batch(drop))
}

/// Whether the file has this version's schema. `false` if it is empty or has an older one.
///
/// # Errors
/// The file is not an index, was written by a newer version, or cannot be read.
fn check(path: &Path, connection: &Connection) -> Result<bool, Error> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|source| error(path, source));
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(false);
    }
    if number("PRAGMA application_id")? != APPLICATION_ID {
        return Err(Error::NotAnIndex { path: path.into() });
    }
    match number("PRAGMA user_version")? {
        VERSION => Ok(true),
        found if found > VERSION => Err(Error::Newer { path: path.into(), found, known: VERSION }),
        _ => Ok(false),
    }
}

fn error(path: &Path, source: rusqlite::Error) -> Error {
    let path = path.into();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => Error::NotAnIndex { path },
        Some(ErrorCode::DatabaseCorrupt) => Error::Damaged { path, source },
        _ => Error::Database { path, source },
    }
}

/// Reads rows.
pub struct Reader<'a> {
    connection: &'a Connection,
}

impl Reader<'_> {
    /// Passes the rows of the files below `root` to `take`, in the order of their paths' bytes.
    pub fn files(&self, root: &[u8], mut take: impl FnMut(Row<'_>)) -> rusqlite::Result<()> {
        let mut query = self.connection.prepare_cached(
            "SELECT id, path, size, mtime_ns, ctime_ns, inode, md5, sha256, blake3, md5_check, sha256_check FROM file
             WHERE tree = (SELECT id FROM tree WHERE root = ?1) ORDER BY path",
        )?;
        let mut rows = query.query([root])?;
        while let Some(row) = rows.next()? {
            take(Row::read(row)?);
        }
        Ok(())
    }

    /// Passes the row of the file at `path` below `root` to `take`, if there is one.
    pub fn file(&self, root: &[u8], path: &[u8], take: impl FnOnce(Row<'_>)) -> rusqlite::Result<()> {
        let mut query = self.connection.prepare_cached(
            "SELECT id, path, size, mtime_ns, ctime_ns, inode, md5, sha256, blake3, md5_check, sha256_check FROM file
             WHERE tree = (SELECT id FROM tree WHERE root = ?1) AND path = ?2",
        )?;
        let mut rows = query.query([root, path])?;
        if let Some(row) = rows.next()? {
            take(Row::read(row)?);
        }
        Ok(())
    }

    /// Passes the heads of the files with these ids to `take`, in the order of the ids.
    pub fn heads(&self, files: RangeInclusive<i64>, mut take: impl FnMut(HeadRow)) -> rusqlite::Result<()> {
        let mut query = self.connection.prepare_cached(
            "SELECT file, block_length, first_rsync64, block_offset, block_rsync64, period, anchor_offset, anchor_key
             FROM head WHERE file BETWEEN ?1 AND ?2 ORDER BY file",
        )?;
        let mut rows = query.query([files.start(), files.end()])?;
        let rsync64 = |word: i64| Rsync64::from_u64(word.cast_unsigned());
        while let Some(row) = rows.next()? {
            let head = match row.get::<_, Option<u32>>(5)? {
                Some(period) => Head::Periodic { period },
                None => Head::Block { offset: row.get::<_, i64>(3)?.cast_unsigned(), rsync64: rsync64(row.get(4)?) },
            };
            let (offset, key) = (row.get::<_, Option<u32>>(6)?, row.get::<_, Option<u32>>(7)?);
            let anchor = offset.zip(key.and_then(NonZeroU32::new)).map(|(offset, key)| Anchor { key, offset });
            let features = Features { head, first: rsync64(row.get(2)?), anchor };
            take(HeadRow { file: row.get(0)?, block_length: row.get(1)?, features });
        }
        Ok(())
    }

    /// The stamp in the row of a file below `root`.
    pub fn stamp(&self, root: &[u8], path: &[u8]) -> rusqlite::Result<Option<Stamp>> {
        let mut query = self.connection.prepare_cached(
            "SELECT device, inode, size, mtime_ns, ctime_ns FROM file
             WHERE tree = (SELECT id FROM tree WHERE root = ?1) AND path = ?2",
        )?;
        let stamp = |row: &rusqlite::Row<'_>| {
            let word = |column| row.get(column).map(i64::cast_unsigned);
            let (mtime_ns, ctime_ns) = (row.get(3)?, row.get(4)?);
            Ok(Stamp { device: word(0)?, inode: word(1)?, size: word(2)?, mtime_ns, ctime_ns })
        };
        query.query_row([root, path], stamp).optional()
    }

    /// The value of a record.
    pub fn record(&self, key: &str) -> rusqlite::Result<Option<String>> {
        let mut query = self.connection.prepare_cached("SELECT value FROM record WHERE key = ?1")?;
        query.query_row([key], |row| row.get(0)).optional()
    }
}

/// Writes rows.
pub struct Writer<'a> {
    connection: &'a Connection,
    add: CachedStatement<'a>,
    update: CachedStatement<'a>,
    head: CachedStatement<'a>,
    /// The last id given to a file, now and before this transaction.
    last_file: i64,
    last_file_before: i64,
}

impl<'a> Writer<'a> {
    fn new(connection: &'a Connection) -> rusqlite::Result<Self> {
        let add = connection.prepare_cached(
            "INSERT INTO file
                 (tree, path, size, mtime_ns, ctime_ns, inode, device, md5, sha256, blake3, sums_from, md5_check,
                  sha256_check, id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT DO NOTHING",
        )?;
        let update = connection.prepare_cached(
            "UPDATE file SET
                 device = ?7, md5 = coalesce(?8, md5), sha256 = coalesce(?9, sha256),
                 blake3 = coalesce(?10, blake3), sums_from = coalesce(?11, sums_from),
                 md5_check = coalesce(?12, md5_check), sha256_check = coalesce(?13, sha256_check)
             WHERE tree = ?1 AND path = ?2 AND size = ?3 AND mtime_ns = ?4 AND ctime_ns = ?5 AND inode = ?6
             AND coalesce(md5 = ?8, TRUE) AND coalesce(sha256 = ?9, TRUE)
             RETURNING id",
        )?;
        let head = connection.prepare_cached("INSERT OR REPLACE INTO head VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
        let last_file = connection.query_row("SELECT id FROM last_file", [], |row| row.get(0))?;
        Ok(Self { connection, add, update, head, last_file, last_file_before: last_file })
    }

    /// Stores the last id.
    fn finish(self) -> rusqlite::Result<()> {
        if self.last_file > self.last_file_before {
            self.connection.execute("UPDATE last_file SET id = ?1", [self.last_file])?;
        }
        Ok(())
    }

    /// The id of the tree with this root.
    pub fn tree(&mut self, root: &[u8]) -> rusqlite::Result<i64> {
        self.connection.execute("INSERT OR IGNORE INTO tree (root) VALUES (?1)", [root])?;
        self.connection.query_row("SELECT id FROM tree WHERE root = ?1", [root], |row| row.get(0))
    }

    /// Stores a file's row and returns its id. What is known about the file in another state is deleted, and so is what
    /// other sums contradict; what is known about it in this state is kept, because another process may have found it out.
    pub fn file(&mut self, tree: i64, path: &[u8], stamp: &Stamp, sums: Option<&Sums>) -> rusqlite::Result<i64> {
        let (size, inode, device) = (stamp.size.cast_signed(), stamp.inode.cast_signed(), stamp.device.cast_signed());
        let (md5, sha256) = (sums.and_then(|sums| sums.md5), sums.and_then(|sums| sums.sha256));
        let blake3 = sums.and_then(|sums| sums.blake3);
        let check = |checksum| sums.and_then(|sums| sums.check(checksum));
        let checks = (check(Checksum::Md5), check(Checksum::Sha256));
        let from = sums.map(|_| "bytes");
        let id = self.last_file + 1;
        let (mtime, ctime) = (stamp.mtime_ns, stamp.ctime_ns);
        let new =
            params![tree, path, size, mtime, ctime, inode, device, md5, sha256, blake3, from, checks.0, checks.1, id];
        // There is nearly always no row yet.
        if self.add.execute(new)? == 0 {
            let row =
                params![tree, path, size, mtime, ctime, inode, device, md5, sha256, blake3, from, checks.0, checks.1];
            if let Some(id) = self.update.query_row(row, |row| row.get(0)).optional()? {
                return Ok(id);
            }
            forget(self.connection, tree, path)?;
            self.add.execute(new)?;
        }
        self.last_file = id;
        Ok(id)
    }

    /// Gives the row of a file in the state `before` the ctime of `now`.
    pub fn move_stamp(&mut self, tree: i64, path: &[u8], before: &Stamp, now: &Stamp) -> rusqlite::Result<()> {
        let mut query = self.connection.prepare_cached(
            "UPDATE file SET ctime_ns = ?7 WHERE tree = ?1 AND path = ?2
             AND size = ?3 AND mtime_ns = ?4 AND ctime_ns = ?5 AND inode = ?6",
        )?;
        let (size, inode) = (before.size.cast_signed(), before.inode.cast_signed());
        query.execute(params![tree, path, size, before.mtime_ns, before.ctime_ns, inode, now.ctime_ns])?;
        Ok(())
    }

    /// Stores a file's head.
    pub fn head(&mut self, row: &HeadRow) -> rusqlite::Result<()> {
        let Features { head, first, anchor } = row.features;
        let word = |sum: Rsync64| sum.to_u64().cast_signed();
        let (offset, rsync64, period) = match head {
            Head::Block { offset, rsync64 } => (Some(offset.cast_signed()), Some(word(rsync64)), None),
            Head::Periodic { period } => (None, None, Some(period)),
        };
        let (at, key) = (anchor.map(|anchor| anchor.offset), anchor.map(|anchor| anchor.key.get()));
        self.head.execute(params![row.file, row.block_length, word(first), offset, rsync64, period, at, key])?;
        Ok(())
    }

    /// Deletes the row and the heads of a file that no longer exists.
    pub fn forget(&mut self, tree: i64, path: &[u8]) -> rusqlite::Result<()> {
        forget(self.connection, tree, path)
    }

    /// Notes when a file's row was used, if there is one.
    pub fn used(&mut self, tree: i64, path: &[u8], seconds: i64) -> rusqlite::Result<()> {
        let mut note = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO used SELECT id, ?3 FROM file WHERE tree = ?1 AND path = ?2")?;
        note.execute(params![tree, path, seconds])?;
        Ok(())
    }

    /// Deletes the rows of files that were last used before `seconds`.
    pub fn forget_unused(&mut self, seconds: i64) -> rusqlite::Result<()> {
        let of_old = "DELETE FROM file WHERE id IN (SELECT file FROM used WHERE seconds < ?1)";
        self.connection.execute(of_old, [seconds])?;
        Ok(())
    }

    /// Sets a record, or removes it.
    pub fn record(&mut self, key: &str, value: Option<&str>) -> rusqlite::Result<()> {
        match value {
            Some(value) => self.connection.execute("INSERT OR REPLACE INTO record VALUES (?1, ?2)", [key, value])?,
            None => self.connection.execute("DELETE FROM record WHERE key = ?1", [key])?,
        };
        Ok(())
    }
}

fn forget(connection: &Connection, tree: i64, path: &[u8]) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM file WHERE tree = ?1 AND path = ?2")?.execute(params![tree, path])?;
    Ok(())
}
