use std::cell::Cell;
use std::fs;
use std::path::Path;

use super::*;
use crate::capture::pcapng::{Interface, Writer};
use crate::cli::capture::target::Ring;

fn interface(name: &str) -> Interface {
    Interface { name: name.into(), description: String::new(), snaplen: 0, filter: None }
}

/// A capture of two ports with `frames` frames of `len` bytes, each second one dropped, and statistics after each.
fn stream(frames: u64, len: usize) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.section("a test");
    writer.interface(&interface("p0"));
    writer.interface(&interface("p1"));
    for number in 0..frames {
        let reason = (number % 2 == 1).then_some(strowger_packet::DropReason::QueueFull);
        writer.frame(0, &vec![number as u8; len], reason);
        for place in [1, 0] {
            let of = Statistics {
                interface: place,
                seen: 3 * (number + 1),
                matched: 2 * (number + 1),
                lost: number,
                delivered: number + 1,
            };
            writer.statistics((1, 2), &of);
        }
    }
    writer.take()
}

/// The kinds of a file's blocks, which are whole to its end.
fn kinds(name: &Path) -> Vec<u32> {
    let bytes = fs::read(name).unwrap();
    let (mut kinds, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((block, after)) = Block::first(rest).unwrap() {
        kinds.push(block.kind);
        rest = after;
    }
    assert!(rest.is_empty());
    kinds
}

/// Gives a few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.1.min(buffer.len());
        self.0.read(&mut buffer[..len])
    }
}

#[test]
fn a_file_has_what_came_and_every_figure_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("x.pcapng");
    let bytes = stream(5, 100);
    for piece in [1, 7, 64, 1 << 20] {
        let mut copier = Copier::new(Target::file(&name).unwrap());
        let end = copier.copy(&mut Trickle(&bytes, piece), || false).unwrap();
        assert_eq!(end, End::Stream);
        assert_eq!(fs::read(&name).unwrap(), bytes);
        let expected = Copied { frames: 5, drops: 2, seen: 30, matched: 20, lost: 8, files: 1 };
        assert_eq!(*copier.copied(), expected);
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&name).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn who_ends_it_gets_the_figures_first() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("x.pcapng");
    let mut copier = Copier::new(Target::file(&name).unwrap());
    let asked = Cell::new(0);
    let end = copier.copy(&mut &stream(5, 100)[..], || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    });
    assert_eq!(end.unwrap(), End::Told);
    assert_eq!((copier.copied().frames, copier.copied().seen), (3, 18));
    assert_eq!(kinds(&name).last(), Some(&block::STATISTICS));
}

#[test]
fn each_file_of_a_ring_is_complete_and_the_last_ones_stay() {
    let directory = tempfile::tempdir().unwrap();
    let ring = Ring::new(&directory.path().join("x.pcapng"), 3000, 2);
    let mut copier = Copier::new(Target::ring(ring).unwrap());
    copier.copy(&mut &stream(20, 500)[..], || false).unwrap();
    let files = copier.copied().files;
    assert!(files > 4);
    let mut names: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let expected =
        [files - 1, files].map(|number| directory.path().join(format!("x-{number:05}.pcapng")));
    assert_eq!(names, expected);
    for name in names {
        let kinds = kinds(&name);
        assert_eq!(kinds[..3], [block::SECTION_HEADER, block::INTERFACE, block::INTERFACE]);
        assert_eq!(kinds[kinds.len() - 2..], [block::STATISTICS; 2]);
        assert!(kinds.contains(&block::PACKET));
        assert!(fs::metadata(&name).unwrap().len() < 3000 + 500);
    }
}

#[test]
fn what_breaks_off_is_told_and_the_file_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("x.pcapng");
    let bytes = stream(3, 100);
    let mut copier = Copier::new(Target::file(&name).unwrap());
    let error = copier.copy(&mut &bytes[..bytes.len() - 5], || false).unwrap_err();
    assert!(matches!(error, Error::Damaged(_)));
    assert_eq!(kinds(&name).len(), 3 + 9 - 1);
    let mut wrong = bytes.clone();
    wrong[4] = 13;
    let mut copier = Copier::new(Target::file(&name).unwrap());
    assert!(matches!(copier.copy(&mut &wrong[..], || false), Err(Error::Damaged(_))));
}

#[test]
fn a_full_disk_is_a_sentence() {
    let mut copier = Copier::new(Target::file(Path::new("/dev/full")).unwrap());
    let error = copier.copy(&mut &stream(3, 100)[..], || false).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot write /dev/full: No space left on device"), "{text}");
    let missing = Target::file(Path::new("/nowhere/x.pcapng")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot make /nowhere/x.pcapng: No such file"), "{missing}");
}
