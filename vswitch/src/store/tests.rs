use std::{
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
};

use proptest::prelude::*;

use super::*;

fn all(store: &Store) -> Vec<(String, String)> {
    store.values().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn set(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Fails every operation that changes the file, once so many have been done.
#[derive(Debug)]
struct Failing {
    inner: FileBackend,
    left: Arc<AtomicI64>,
}

impl Failing {
    fn change<T>(&self, change: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if self.left.fetch_sub(1, SeqCst) <= 0 {
            return Err(Errno::NOSPC.into());
        }
        change()
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|| self.inner.set_len(len))
    }
    fn sync_data(&self) -> io::Result<()> {
        self.change(|| self.inner.sync_data())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(|| self.inner.write(offset, data))
    }
}

/// A store whose disk fails once so many operations that change it have been done.
pub(crate) fn failing(directory: &Path, left: &Arc<AtomicI64>) -> Store {
    let left = Arc::clone(left);
    let backend: Backend = Box::new(move |file| {
        let inner = FileBackend::new(file).map_err(|error| error.to_string())?;
        Ok(Box::new(Failing { inner, left: Arc::clone(&left) }))
    });
    Store::open_with(directory, backend).unwrap()
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let directory = dir.path().join("a/b");
    let mut store = Store::open(&directory).unwrap();
    assert_eq!((all(&store), store.trouble()), (vec![], None));
    assert!(!directory.join(FILE).exists(), "nothing was written yet");
    store.write([set("port/a", "{}"), set("port/b", "[1]"), set("bridge/x", "null")]).unwrap();
    store.write([("port/a".to_owned(), None), set("port/b", "[2]")]).unwrap();
    let expected = pairs(&[("bridge/x", "null"), ("port/b", "[2]")]);
    assert_eq!(all(&store), expected);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    drop(store);
    assert_eq!(all(&Store::open(&directory).unwrap()), expected);
    assert!(!directory.join(NEW).exists());
}

#[test]
fn what_was_written_is_there_when_the_process_is_killed() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut store = Store::open(dir.path()).unwrap();
    for round in 0..20 {
        store.write([set("port/a", &round.to_string())]).unwrap();
        // What the disk has while the file is open is what a killed process leaves.
        fs::copy(dir.path().join(FILE), copy.path().join(FILE)).unwrap();
        let left = Store::open(copy.path()).unwrap();
        assert_eq!(all(&left), pairs(&[("port/a", &round.to_string())]));
    }
}

#[test]
fn a_second_daemon_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::InUse(_)), "{error}");
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    for (format, newer) in [("2", true), ("99", true), ("0", false), ("x", false)] {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(TABLE).unwrap().insert(FORMAT_KEY, format).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let before = fs::read(&path).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert_eq!(matches!(error, StoreError::Newer { .. }), newer, "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn a_damaged_file_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let mut store = Store::open(dir.path()).unwrap();
    let many = (0..200).map(|number| set(&format!("port/p{number}"), &"x".repeat(200)));
    store.write(many).unwrap();
    let values = all(&store);
    drop(store);
    let whole = fs::read(&path).unwrap();
    let mut files = vec![vec![], b"hello".to_vec(), vec![0; 8192]];
    files.extend([1, 64, 4096, whole.len() / 2, whole.len() - 1].map(|len| whole[..len].to_vec()));
    for bytes in files {
        fs::write(&path, &bytes).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{} bytes: {error}", bytes.len());
        assert!(error.to_string().contains("is damaged"), "{error}");
        assert!(fs::read(&path).unwrap() == bytes, "the file was changed");
    }
    // One byte anywhere: told, or of no account. All of the header's, and some of the rest.
    let (mut told, mut harmless) = (0, 0);
    let rest = (320..whole.len()).step_by(whole.len() / 100);
    for at in (0..320).step_by(3).chain(rest) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, &bytes).unwrap();
        match Store::open(dir.path()) {
            Ok(store) => {
                assert!(all(&store) == values, "byte {at} changed what was kept");
                harmless += 1;
            }
            Err(error) => {
                assert!(fs::read(&path).unwrap() == bytes, "{error}");
                told += 1;
            }
        }
    }
    assert!(told > 0 && harmless > 0, "{told} told, {harmless} harmless");
}

#[test]
fn a_write_that_fails_at_any_point_changes_nothing() {
    let mut failed = 0;
    for point in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let mut store = failing(dir.path(), &left);
        store.write([set("port/a", "1"), set("port/b", "2")]).unwrap();
        let before = all(&store);
        left.store(point, SeqCst);
        let long = "x".repeat(100_000);
        let written = store.write([set("port/a", "3"), set("port/c", &long)]);
        left.store(i64::MAX, SeqCst);
        if written.is_ok() {
            break;
        }
        failed += 1;
        assert!(store.trouble().is_some());
        assert_eq!(all(&store), before);
        // The disk has room again.
        store.write([set("port/d", "4")]).unwrap();
        assert_eq!(store.trouble(), None);
        let after = all(&store);
        drop(store);
        assert_eq!(all(&Store::open(dir.path()).unwrap()), after, "point {point}");
        assert_eq!(after.len(), 3);
    }
    assert!(failed > 3, "{failed} points");
}

#[test]
fn a_first_write_that_fails_leaves_no_file() {
    for point in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicI64::new(point));
        let mut store = failing(dir.path(), &left);
        store.write([set("port/a", "1")]).unwrap_err();
        assert!(!dir.path().join(FILE).exists() && !dir.path().join(NEW).exists());
        left.store(i64::MAX, SeqCst);
        store.write([set("port/b", "2")]).unwrap();
        assert_eq!(all(&store), pairs(&[("port/b", "2")]));
        drop(store);
        assert_eq!(all(&Store::open(dir.path()).unwrap()), pairs(&[("port/b", "2")]));
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_no_error_until_something_is_to_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let mut store = Store::open(&dir.path().join("file/state")).unwrap();
    assert!(store.trouble().is_some());
    let error = store.write([set("port/a", "1")]).unwrap_err();
    assert!(error.to_string().contains("cannot be written to"), "{error}");
    assert!(all(&store).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..crate::properties::config() })]
    #[test]
    fn a_store_is_a_map_that_survives(
        writes in prop::collection::vec(
            (prop::collection::vec((0..6u8, prop::option::of("[a-z]{0,300}")), 0..5), any::<bool>(), 0..40i64),
            1..12,
        ),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let left = Arc::new(AtomicI64::new(i64::MAX));
        let mut store = failing(dir.path(), &left);
        let mut model = BTreeMap::new();
        for (changes, restart, point) in writes {
            let changes: BTreeMap<_, _> = changes
                .into_iter()
                .map(|(key, value)| (format!("port/p{key}"), value))
                .collect();
            left.store(point, SeqCst);
            let written = store.write(changes.clone());
            left.store(i64::MAX, SeqCst);
            if written.is_ok() {
                for (key, value) in changes {
                    match value {
                        Some(value) => drop(model.insert(key, value)),
                        None => drop(model.remove(&key)),
                    }
                }
            }
            if restart && written.is_ok() {
                drop(store);
                store = failing(dir.path(), &left);
            }
            prop_assert_eq!(all(&store), model.clone().into_iter().collect::<Vec<_>>());
        }
    }
}
