//! What a switch keeps over a restart: plain JSON values by key, in one file under the state directory.
//!
//! Keys are `bridge/NAME`, `port/NAME`, `mirror/NAME` and `switch`, and `format`, the version of all this. The file is
//! a redb database: a write is there as a whole, on the disk, when [`Store::write`] returns, or not at all.
//!
//! **Nothing that is not understood is overwritten.** At start the file's bytes are checked in memory, page by page,
//! before the file itself is opened; one that is damaged, or that a newer version wrote, is an error.
//!
//! **A write that fails changes nothing.** The file is opened anew before the next one, and then brought to what this
//! store knows, since a disk that failed may have kept the write that it refused. A directory that cannot be written
//! to at start is no error: what it has is read, and writes are refused until it can.
//!
//! Knows nothing of what the values mean.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    TableError,
    backends::{FileBackend, InMemoryBackend},
};
use rustix::{fs::FlockOperation, io::Errno};
use thiserror::Error;

/// The version of the keys and values.
pub const FORMAT: u64 = 1;
/// The file's name in the state directory.
pub const FILE: &str = "state.redb";
/// A new file's name until it is whole.
const NEW: &str = "state.redb.new";
const LOCK: &str = "lock";
/// The key of the version.
const FORMAT_KEY: &str = "format";
/// The most bytes of a file that is read. 16,384 ports take some twenty million.
const MAX_BYTES: u64 = 1 << 30;
/// Pages that are kept in memory: a write reads few.
const CACHE: usize = 1 << 20;
const TABLE: TableDefinition<'static, &str, &str> = TableDefinition::new("strowger");

/// Why a store did not open. Its file is as it was.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file is no store, or its bytes are not what was written.
    #[error("the state file {path} is damaged ({what}); put a copy of it back, or move it away to start without what was changed over the API", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How that shows.
        what: String,
    },
    /// A newer version wrote it.
    #[error("the state file {path} is of format {format}, and this version of strowger knows formats up to {FORMAT}; start the version that wrote it, or move the file away", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
    /// Another daemon has it.
    #[error("the state directory {path} belongs to a switch that is running; stop it or give another directory", path = .0.display())]
    InUse(PathBuf),
    /// It cannot be read.
    #[error("cannot read the state file {path}: {error}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

/// Why a write was refused. The store is as it was.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the state directory {directory} cannot be written to: {what}", directory = directory.display())]
pub struct WriteError {
    directory: PathBuf,
    what: String,
}

/// How the file is reached: by the kernel, but for tests that have it fail.
pub type Backend = Box<dyn Fn(File) -> Result<Box<dyn StorageBackend>, String> + Send + Sync>;

/// Values by key, in memory and on disk.
pub struct Store {
    directory: PathBuf,
    /// What the file has, as far as is known.
    values: BTreeMap<String, String>,
    /// The file; `None` after an error, and before the first write to a file that is not there yet.
    database: Option<Database>,
    /// Whether the file may differ from `values`.
    unsure: bool,
    trouble: Option<String>,
    backend: Backend,
    /// Held as long as the store lives. `None` where no lock file can be made.
    _lock: Option<File>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("directory", &self.directory)
            .field("values", &self.values.len())
            .field("trouble", &self.trouble)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in a directory, which is made if it is not there. Writes nothing else yet.
    ///
    /// # Errors
    /// If the file is damaged, newer, or somebody else's. That it cannot be written to is none:
    /// [`trouble`](Self::trouble) says so.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let backend: Backend = Box::new(|file| {
            let backend = FileBackend::new(file).map_err(|error| error.to_string())?;
            Ok(Box::new(backend))
        });
        Self::open_with(directory, backend)
    }

    /// The same with another way to the file.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_with(directory: &Path, backend: Backend) -> Result<Self, StoreError> {
        let mut store = Self {
            directory: directory.to_owned(),
            values: BTreeMap::new(),
            database: None,
            unsure: false,
            trouble: None,
            backend,
            _lock: None,
        };
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(directory) {
            store.trouble = Some(format!("it cannot be made: {error}"));
        }
        store._lock = lock(directory)?;
        let path = store.path();
        match read(&path) {
            Ok(Some(bytes)) => {
                store.values = parse(&bytes, &path)?;
                store.unsure = true;
                if let Err(what) = store.reopen() {
                    store.trouble = Some(what);
                }
            }
            Ok(None) => {
                if store.trouble.is_none()
                    && let Err(error) = rustix::fs::access(directory, rustix::fs::Access::WRITE_OK)
                {
                    store.trouble = Some(io::Error::from(error).to_string());
                }
            }
            Err(error) => return Err(StoreError::Unreadable { path, error }),
        }
        Ok(store)
    }

    /// What is kept, in order of the keys.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The error of a value that means nothing.
    #[must_use]
    pub fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { path: self.path(), what: what.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Why the last write was refused, or the next one will be.
    #[must_use]
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Sets values and takes others away, all together or none. They are on the disk when this returns.
    ///
    /// # Errors
    /// If that cannot be. Nothing has changed then.
    pub fn write(
        &mut self,
        changes: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<(), WriteError> {
        let mut changed: BTreeMap<String, Option<String>> = changes.into_iter().collect();
        changed.retain(|key, value| self.values.get(key) != value.as_ref());
        let written = if changed.is_empty() && !self.unsure && self.database.is_some() {
            Ok(())
        } else {
            // A library that panics on a file that was changed under it must not end the switch.
            catch_unwind(AssertUnwindSafe(|| self.commit(&changed)))
                .unwrap_or_else(|_| Err("the file is not as it was left".to_owned()))
        };
        match written {
            Ok(()) => {
                self.trouble = None;
                self.unsure = false;
                for (key, value) in changed {
                    match value {
                        Some(value) => drop(self.values.insert(key, value)),
                        None => drop(self.values.remove(&key)),
                    }
                }
                Ok(())
            }
            Err(what) => {
                self.close();
                self.unsure = true;
                self.trouble = Some(what.clone());
                Err(WriteError { directory: self.directory.clone(), what })
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    fn commit(&mut self, changes: &BTreeMap<String, Option<String>>) -> Result<(), String> {
        if self.database.is_none() {
            if !self.path().exists() {
                return self.create(changes);
            }
            self.reopen()?;
        }
        let Some(database) = &self.database else { return Err("it is not open".to_owned()) };
        let transaction = database.begin_write().map_err(said)?;
        {
            let mut table = transaction.open_table(TABLE).map_err(said)?;
            if self.unsure {
                let mut there = Vec::new();
                for entry in table.iter().map_err(said)? {
                    there.push(entry.map_err(said)?.0.value().to_owned());
                }
                for key in there.iter().filter(|key| !self.values.contains_key(*key)) {
                    table.remove(key.as_str()).map_err(said)?;
                }
                for (key, value) in &self.values {
                    table.insert(key.as_str(), value.as_str()).map_err(said)?;
                }
            }
            for (key, value) in changes {
                match value {
                    Some(value) => drop(table.insert(key.as_str(), value.as_str()).map_err(said)?),
                    None => drop(table.remove(key.as_str()).map_err(said)?),
                }
            }
            table.insert(FORMAT_KEY, FORMAT.to_string().as_str()).map_err(said)?;
        }
        transaction.commit().map_err(said)
    }

    /// Makes a file that has everything, and then gives it its name.
    fn create(&mut self, changes: &BTreeMap<String, Option<String>>) -> Result<(), String> {
        let new = self.directory.join(NEW);
        let made = self.create_as(&new, changes);
        if made.is_err() {
            // It may not even be there.
            let _gone = fs::remove_file(&new);
        }
        made
    }

    fn create_as(
        &mut self,
        new: &Path,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<(), String> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).map_err(said)?;
        match fs::remove_file(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(said(error)),
            _ => {}
        }
        let file = File::options().read(true).write(true).create_new(true).open(new);
        let backend = (self.backend)(file.map_err(said)?)?;
        let database = builder().create_with_backend(Boxed(backend)).map_err(said)?;
        self.database = Some(database);
        let all = self.values.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
        let all = all.chain(changes.iter().map(|(key, value)| (key.clone(), value.clone())));
        self.unsure = false;
        self.commit(&all.collect())?;
        fs::rename(new, self.path()).map_err(said)?;
        File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(said)
    }

    /// Opens the file that is there.
    fn reopen(&mut self) -> Result<(), String> {
        self.close();
        let open = AssertUnwindSafe(|| {
            let file = File::options().read(true).write(true).open(self.path()).map_err(said)?;
            let backend = (self.backend)(file)?;
            builder().create_with_backend(Boxed(backend)).map_err(said)
        });
        let opened = catch_unwind(open)
            .unwrap_or_else(|_| Err("the file is not as it was left".to_owned()))?;
        self.database = Some(opened);
        Ok(())
    }

    fn close(&mut self) {
        let database = self.database.take();
        // Closing writes, too; what goes wrong then is found when it is opened again.
        let _panicked = catch_unwind(AssertUnwindSafe(|| drop(database)));
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// `StorageBackend` is not implemented for boxes of it.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

/// One daemon a directory, where a lock file can be made or is there.
fn lock(directory: &Path) -> Result<Option<File>, StoreError> {
    let path = directory.join(LOCK);
    let writable = File::options().create(true).write(true).truncate(false).open(&path);
    let Ok(file) = writable.or_else(|_| File::open(&path)) else { return Ok(None) };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(StoreError::InUse(directory.to_owned())),
        // A file system without locks: the run directory's has to do.
        Err(_) => Ok(None),
        Ok(()) => Ok(Some(file)),
    }
}

/// The bytes of a file; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
        Ok(metadata) if metadata.len() > MAX_BYTES => {
            return Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes")));
        }
        Ok(_) => {}
    }
    fs::read(path).map(Some)
}

/// Reads a file's bytes without touching the file.
fn parse(bytes: &[u8], path: &Path) -> Result<BTreeMap<String, String>, StoreError> {
    let damaged = |what: String| StoreError::Damaged { path: path.to_owned(), what };
    if bytes.is_empty() {
        return Err(damaged("it is empty".to_owned()));
    }
    // The library says of some damage that it cannot be, and panics.
    let values = catch_unwind(|| values(bytes))
        .unwrap_or_else(|_| Err("its parts contradict each other".to_owned()));
    let mut values = values.map_err(damaged)?;
    let Some(format) = values.remove(FORMAT_KEY) else {
        return Err(damaged("it does not say which format it has".to_owned()));
    };
    match format.parse::<u64>() {
        Ok(FORMAT) => Ok(values),
        Ok(format) if format > FORMAT => Err(StoreError::Newer { path: path.to_owned(), format }),
        _ => Err(damaged(format!("it says that its format is '{}'", format.escape_debug()))),
    }
}

fn values(bytes: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let memory = InMemoryBackend::new();
    memory.set_len(bytes.len() as u64).map_err(said)?;
    memory.write(0, bytes).map_err(said)?;
    let database = builder().create_with_backend(memory).map_err(said)?;
    let transaction = database.begin_read().map_err(said)?;
    let table = match transaction.open_table(TABLE) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
        table => table.map_err(said)?,
    };
    let mut values = BTreeMap::new();
    for entry in table.iter().map_err(said)? {
        let (key, value) = entry.map_err(said)?;
        values.insert(key.value().to_owned(), value.value().to_owned());
    }
    Ok(values)
}

#[cfg(test)]
pub(crate) mod tests;
