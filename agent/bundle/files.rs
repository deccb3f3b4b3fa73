//! Reading the bundle's files: bounded, inside its root, in a fixed order.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::mistakes::{Found, Mistake, Place};
use super::suggest;

/// A larger file was not written by a person, and would not fit where it is going.
const LARGEST: u64 = 8 * 1024 * 1024;
/// A deeper folder is a loop of links.
const DEEPEST: usize = 32;

/// The files below a root; what was read is kept for the excerpts of mistakes.
pub(super) struct Files {
    root: PathBuf,
    /// The root with all links followed.
    real_root: PathBuf,
    texts: RefCell<HashMap<PathBuf, String>>,
}

/// What a path of the bundle leads to.
pub(super) enum Entry {
    File(PathBuf),
    Folder(PathBuf),
}

impl Files {
    /// Opens a root.
    ///
    /// # Errors
    /// When it is not there.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: root.to_owned(),
            real_root: root.canonicalize()?,
            texts: RefCell::default(),
        })
    }

    /// Finds what a path says that a person wrote, or says at `place` why that cannot be.
    pub(super) fn find(&self, path: &str, place: &Place, found: &Found) -> Option<Entry> {
        let wrong = |what: String| found.add(Mistake::new(place.clone(), what));
        let Some(clean) = inside(path) else {
            wrong(format!("`{path}` leaves the bundle's root"));
            return None;
        };
        let full = self.root.join(&clean);
        match full.canonicalize() {
            Ok(real) if !real.starts_with(&self.real_root) => {
                wrong(format!("`{path}` is a link that leaves the bundle's root"));
                None
            }
            Ok(real) if real.is_dir() => Some(Entry::Folder(clean)),
            Ok(_) => Some(Entry::File(clean)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mistake = Mistake::new(place.clone(), format!("`{path}` does not exist"));
                found.add(mistake.hint_if(self.neighbour(&clean)));
                None
            }
            Err(error) => {
                wrong(format!("`{path}` cannot be read: {error}"));
                None
            }
        }
    }

    /// A file like the one that is missing, in its folder.
    fn neighbour(&self, missing: &Path) -> Option<String> {
        let folder = missing.parent()?;
        let name = missing.file_name()?.to_str()?;
        let names = names(&self.root.join(folder)).ok()?;
        let near = suggest::nearest(name, names.iter().map(String::as_str))?;
        Some(format!("did you mean `{}`?", folder.join(near).display()))
    }

    /// Whether there is a file or folder.
    pub(super) fn exists(&self, path: &Path) -> bool {
        self.root.join(path).exists()
    }

    /// The text of a file below the root; none after a mistake.
    pub(super) fn read(&self, path: &Path, found: &Found) -> Option<String> {
        let full = self.root.join(path);
        let leaves = full
            .canonicalize()
            .is_ok_and(|real| !real.starts_with(&self.real_root));
        if leaves {
            let what = "is a link that leaves the bundle's root";
            found.add(Mistake::new(Place::whole(path), what));
            return None;
        }
        self.read_from(&full, path, found)
    }

    /// The text of a file anywhere, which mistakes call `name`.
    pub(super) fn read_from(&self, from: &Path, name: &Path, found: &Found) -> Option<String> {
        match bounded(from) {
            Ok(text) => {
                self.keep(name, text.clone());
                Some(text)
            }
            Err(what) => {
                found.add(Mistake::new(Place::whole(name), what));
                None
            }
        }
    }

    /// Remembers what a file reads as, so that mistakes can quote it.
    pub(super) fn keep(&self, path: &Path, text: String) {
        self.texts.borrow_mut().insert(path.to_owned(), text);
    }

    /// The names in a folder, sorted; hidden ones are left out, because a mounted `ConfigMap`
    /// keeps its old contents in them.
    pub(super) fn list(&self, folder: &Path, found: &Found) -> Vec<(PathBuf, bool)> {
        let full = self.root.join(folder);
        match names(&full) {
            Ok(names) => names
                .into_iter()
                .map(|name| (folder.join(&name), full.join(&name).is_dir()))
                .collect(),
            Err(error) => {
                let what = format!("the folder cannot be read: {error}");
                found.add(Mistake::new(Place::whole(folder), what));
                Vec::new()
            }
        }
    }

    /// All files below a folder, sorted.
    pub(super) fn walk(&self, folder: &Path, found: &Found) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.walk_into(folder, DEEPEST, found, &mut files);
        files
    }

    fn walk_into(&self, folder: &Path, depth: usize, found: &Found, files: &mut Vec<PathBuf>) {
        if depth == 0 {
            let what = format!("more than {DEEPEST} folders deep");
            found.add(Mistake::new(Place::whole(folder), what));
            return;
        }
        for (path, is_folder) in self.list(folder, found) {
            if is_folder {
                self.walk_into(&path, depth - 1, found, files);
            } else {
                files.push(path);
            }
        }
    }

    /// The texts that were read.
    pub(super) fn into_texts(self) -> HashMap<PathBuf, String> {
        self.texts.into_inner()
    }
}

/// The path without `.` and `..`, if it stays below where it starts.
fn inside(path: &str) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn bounded(path: &Path) -> Result<String, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST {
        return Err(format!(
            "has {size} bytes, more than the {LARGEST} that are read"
        ));
    }
    fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_inside() {
        assert_eq!(inside("a/./b/../c"), Some(PathBuf::from("a/c")));
        assert_eq!(inside("a/../../b"), None);
        assert_eq!(inside("/etc/passwd"), None);
    }

    #[test]
    fn what_is_too_large_or_not_text_is_a_mistake() {
        let root = tempfile::tempdir().expect("a folder");
        let large = fs::File::create(root.path().join("large.sql")).expect("a file");
        large.set_len(LARGEST + 1).expect("a large file");
        fs::write(root.path().join("binary.sql"), [0xff, 0xfe]).expect("a file");
        let files = Files::open(root.path()).expect("the root");
        for name in ["large.sql", "binary.sql", "none.sql"] {
            let found = Found::default();
            assert_eq!(files.read(Path::new(name), &found), None);
            assert_eq!(found.count(), 1, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_root_is_a_mistake() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("secret"), "x").expect("a file");
        let root = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(outside.path(), root.path().join("out")).expect("a link");
        let files = Files::open(root.path()).expect("the root");
        let found = Found::default();
        assert_eq!(files.read(Path::new("out/secret"), &found), None);
        let place = Place::whole(Path::new("x"));
        assert!(files.find("out/secret", &place, &found).is_none());
    }
}
