//! Hugging Face repositories: the hub's listing, and the cache that its tools share.
//!
//! What it is: `models--org--name/{blobs,refs,snapshots}`, read, filled and cleared as `huggingface_hub` does it, so
//! that a model is on a disk once. What it is not: the transfer itself. The one design choice: one listing with sizes
//! and digests (`?blobs=true`) tells everything before the first weight is fetched.
//!
//! Layout: a blob is named by its digest; a snapshot, one folder a commit, links names to blobs; `refs/main` holds the
//! commit. Where links are refused the file itself lies in the snapshot, as with the other tools.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::http::Http;
use crate::local::Local;
use crate::partial::{Expected, Partial};
use crate::progress::{Doing, Event, Progress};
use crate::reference::{Pick, Repo, is_inner_path};
use crate::select;
use crate::settings::Settings;
use crate::store::with_suffix;
use crate::{Error, Result};

/// A hub and its cache on this disk.
pub(crate) struct HuggingFace<'a> {
    settings: &'a Settings,
}

/// A file of a repository as the hub lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RemoteEntry {
    /// Path inside the repository.
    pub name: String,
    pub url: String,
    pub bytes: u64,
    /// Lower-case hexadecimal; only large files have one.
    pub sha256: Option<String>,
    /// The blob's name in the cache.
    blob: String,
}

#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl<'a> HuggingFace<'a> {
    pub fn new(settings: &'a Settings) -> HuggingFace<'a> {
        HuggingFace { settings }
    }

    /// The model in the cache, if it is there and whole.
    pub fn find(&self, repo: &Repo) -> Result<Option<Local>> {
        let folder = self.folder(&repo.id);
        let commit = fs::read_to_string(folder.join("refs").join(&repo.revision));
        let commit = commit.map_or(repo.revision.clone(), |commit| commit.trim().to_string());
        let snapshot = folder.join("snapshots").join(commit);
        match select::choose(&repo.to_string(), &files_below(&snapshot), &repo.pick) {
            Ok(files) => {
                Local::of(repo.to_string(), files.iter().map(|file| snapshot.join(file)).collect()).map(Some)
            }
            Err(Error::NoSuchFile { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The files of the model at its source and the commit they belong to.
    pub fn look_up(&self, repo: &Repo, http: &Http) -> Result<(String, Vec<RemoteEntry>)> {
        let endpoint = &self.settings.hf_endpoint;
        let url = format!("{endpoint}/api/models/{}/revision/{}?blobs=true", repo.id, repo.revision);
        let bad = |why: String| Error::BadAnswer { url: url.clone(), why };
        let listing: Listing =
            serde_json::from_str(&http.text(&url)?).map_err(|error| bad(error.to_string()))?;
        if !is_digest(&listing.sha) {
            return Err(bad("the commit is no digest".to_string()));
        }
        let names: Vec<String> = listing.siblings.iter().map(|file| file.rfilename.clone()).collect();
        let mut files = Vec::new();
        for name in select::choose(&repo.to_string(), &names, &repo.pick)? {
            let sibling = listing.siblings.iter().find(|file| file.rfilename == name);
            let (Some(sibling), true) = (sibling, is_inner_path(&name)) else {
                return Err(bad(format!("{name:?} is no file name")));
            };
            let sha256 = sibling.lfs.as_ref().map(|lfs| lfs.sha256.clone());
            let blob = sha256.clone().or(sibling.blob_id.clone()).filter(|blob| is_digest(blob));
            let bytes = sibling.lfs.as_ref().map(|lfs| lfs.size).or(sibling.size);
            let (Some(blob), Some(bytes)) = (blob, bytes) else {
                return Err(bad(format!("{name} has no size or digest")));
            };
            let url = format!("{endpoint}/{}/resolve/{}/{}", repo.id, listing.sha, escaped(&name));
            files.push(RemoteEntry { name, url, bytes, sha256, blob });
        }
        Ok((listing.sha, files))
    }

    /// The newest state of the model, fetched into the cache.
    pub fn pull(&self, repo: &Repo, http: &Http, progress: &mut dyn Progress) -> Result<Local> {
        let (commit, files) = self.look_up(repo, http)?;
        let folder = self.folder(&repo.id);
        let snapshot = folder.join("snapshots").join(&commit);
        let mut paths = Vec::new();
        for file in files {
            let path = snapshot.join(&file.name);
            if !fs::metadata(&path).is_ok_and(|metadata| metadata.len() == file.bytes) {
                let blob = folder.join("blobs").join(&file.blob);
                fetch(&file, &blob, http, progress)?;
                link(&blob, &path, &snapshot)?;
            }
            paths.push(path);
        }
        if repo.revision != commit {
            write_small(&folder.join("refs").join(&repo.revision), &commit)?;
        }
        Local::of(repo.to_string(), paths)
    }

    /// Every whole model in the cache.
    pub fn list(&self) -> Result<Vec<Local>> {
        let mut models = Vec::new();
        for folder in folders_in(&self.settings.hf_cache) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some((org, name)) = name.strip_prefix("models--").and_then(|id| id.split_once("--")) else {
                continue;
            };
            let main = fs::read_to_string(folder.join("refs").join("main")).unwrap_or_default();
            for snapshot in folders_in(&folder.join("snapshots")) {
                let commit = snapshot.file_name().unwrap_or_default().to_string_lossy().into_owned();
                for files in select::models(&files_below(&snapshot)) {
                    let pick = files.first().map_or(Pick::Default, |first| Pick::File(first.clone()));
                    let mut repo = Repo::main(&format!("{org}/{name}"), pick);
                    if commit != main.trim() {
                        repo.revision = commit.clone();
                    }
                    models.push(Local::of(
                        repo.to_string(),
                        files.iter().map(|file| snapshot.join(file)).collect(),
                    )?);
                }
            }
        }
        Ok(models)
    }

    /// Removes the model's files, the blobs that nothing else links to, and the folders that this leaves empty.
    pub fn remove(&self, repo: &Repo, local: &Local) -> Result<()> {
        let folder = self.folder(&repo.id);
        for file in &local.files {
            let blob = fs::read_link(file)
                .ok()
                .and_then(|to| to.file_name().map(|name| folder.join("blobs").join(name)));
            fs::remove_file(file).map_err(|error| Error::io("remove", file, error))?;
            if let Some(blob) = blob.filter(|blob| !is_linked(&folder, blob)) {
                fs::remove_file(&blob).map_err(|error| Error::io("remove", &blob, error))?;
            }
            let inside = |folder: &&Path| folder.file_name().is_some_and(|name| name != "snapshots");
            for empty in file.ancestors().skip(1).take_while(inside) {
                if fs::remove_dir(empty).is_err() {
                    break;
                }
            }
        }
        if fs::remove_dir(folder.join("snapshots")).is_ok() {
            // Without a snapshot the rest says nothing; what another tool is fetching keeps its folder.
            let _ = fs::remove_dir_all(folder.join("refs"));
            let _ = fs::remove_dir(folder.join("blobs"));
            let _ = fs::remove_dir(&folder);
        }
        Ok(())
    }

    fn folder(&self, id: &str) -> PathBuf {
        self.settings.hf_cache.join(format!("models--{}", id.replace('/', "--")))
    }
}

fn fetch(file: &RemoteEntry, blob: &Path, http: &Http, progress: &mut dyn Progress) -> Result<()> {
    if blob.is_file() {
        return Ok(());
    }
    let most = file.bytes;
    let mut partial =
        Partial::open(&with_suffix(blob, ".incomplete"), |len| if len > most { 0 } else { len }, progress)?;
    progress.on(Event::Stage { doing: Doing::Downloading, what: &file.name, total: Some(file.bytes) });
    http.download(&file.url, Some(file.bytes), &mut partial, progress)?;
    partial.finish(blob, &Expected { bytes: Some(file.bytes), sha256: file.sha256.clone() })
}

/// Makes `path`, somewhere below `snapshot`, stand for the blob.
fn link(blob: &Path, path: &Path, snapshot: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(snapshot);
    fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, error))?;
    let depth = path.strip_prefix(snapshot).map_or(1, |inner| inner.components().count());
    let up: PathBuf = std::iter::repeat_n("..", depth + 1).collect();
    let target = up.join("blobs").join(blob.file_name().unwrap_or_default());
    // A link may be left whose blob is gone.
    let _ = fs::remove_file(path);
    if host::symlink(&target, path).is_ok() {
        return Ok(());
    }
    fs::rename(blob, path).map_err(|error| Error::io("rename", path, error))
}

fn write_small(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, error))?;
    }
    fs::write(path, text).map_err(|error| Error::io("write", path, error))
}

/// Whether a snapshot of the repository still links to the blob.
fn is_linked(folder: &Path, blob: &Path) -> bool {
    let snapshots = folder.join("snapshots");
    files_below(&snapshots).iter().any(|file| {
        let to = fs::read_link(snapshots.join(file));
        to.is_ok_and(|to| to.file_name() == blob.file_name())
    })
}

/// Names of the files below `folder`, with forward slashes, sorted; links to nothing are left out.
fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_dir() => {
                found.extend(files_below(&entry.path()).into_iter().map(|inner| format!("{name}/{inner}")));
            }
            Ok(_) => found.push(name),
            Err(_) => {}
        }
    }
    found.sort();
    found
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn is_digest(text: &str) -> bool {
    (40..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A path as it stands in an address.
fn escaped(path: &str) -> String {
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    path.bytes().map(|b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Server, settings};
    use crate::{Hub, Reference};

    const COMMIT: &str = "0123456789012345678901234567890123456789";
    const BODY: &[u8] = b"abcdef";
    /// `printf abcdef | sha256sum`
    const SHA256: &str = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";

    fn listing(name: &str, sha256: &str) -> Answer {
        let lfs = format!(r#"{{"sha256":"{sha256}","size":{},"pointerSize":1}}"#, BODY.len());
        let file =
            format!(r#"{{"rfilename":"{name}","size":{},"blobId":"{COMMIT}","lfs":{lfs}}}"#, BODY.len());
        Answer::file(
            format!(r#"{{"sha":"{COMMIT}","siblings":[{file},{{"rfilename":"README.md"}}]}}"#).as_bytes(),
        )
    }

    #[test]
    fn pulled_resolved_listed_removed() {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(vec![listing("sub/m-Q8_0.gguf", SHA256), Answer::file(BODY)]);
        let hub = Hub::new(settings(dir.path(), &server.url));
        let reference = Reference::parse("hf:o/n:q8_0").unwrap();
        assert_eq!(hub.resolve(&reference).unwrap(), None);
        let local = hub.pull(&reference, &mut ()).unwrap();
        let asked = server.asked();
        assert_eq!(asked[0].path, "/api/models/o/n/revision/main?blobs=true");
        assert_eq!(asked[1].path, format!("/o/n/resolve/{COMMIT}/sub/m-Q8_0.gguf"));
        assert_eq!(asked[1].authorization, "Bearer secret");

        let repo = dir.path().join("hf/models--o--n");
        assert_eq!(local.path, repo.join("snapshots").join(COMMIT).join("sub/m-Q8_0.gguf"));
        assert_eq!(fs::read(&local.path).unwrap(), BODY);
        assert_eq!(fs::read(repo.join("blobs").join(SHA256)).unwrap(), BODY);
        assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
        assert_eq!(hub.resolve(&reference).unwrap(), Some(local.clone()));
        // The server is gone; what is here still answers.
        assert_eq!(hub.pull(&reference, &mut ()).unwrap(), local);

        let listed = hub.list().unwrap();
        assert_eq!(
            listed.iter().map(|local| local.name.as_str()).collect::<Vec<_>>(),
            ["hf:o/n:sub/m-Q8_0.gguf"]
        );
        assert!(hub.remove(&reference).unwrap().is_some());
        assert!(!repo.exists());
    }

    #[test]
    fn refused_listings() {
        let wrong = SHA256.replace('b', "c");
        for (answers, expected) in [
            (vec![listing("../m.gguf", SHA256)], "makes no sense"),
            (vec![listing("m.gguf", "../../x")], "no size or digest"),
            (vec![Answer::file(b"<html>")], "makes no sense"),
            (vec![listing("m.gguf", &wrong), Answer::file(BODY)], "is damaged"),
            (vec![listing("m.txt", SHA256)], "holds no model file"),
            (vec![Answer::status(401)], "refuses access"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let server = Server::start(answers);
            let hub = Hub::new(settings(dir.path(), &server.url));
            let error = hub.pull(&Reference::parse("hf:o/n").unwrap(), &mut ()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(escaped("a b/ü.gguf"), "a%20b/%C3%BC.gguf");
    }
}
