//! A file on a server, read in place: enough to look at a model before fetching it.
//!
//! What it is: [`host::ReadAt`] over ranged requests. What it is not: a way to run a model over the network. The one
//! design choice: a few blocks are kept, because a header is read in small, mostly ascending pieces and a request
//! costs as much as a quarter of a megabyte.

use std::io;
use std::sync::Mutex;

use host::ReadAt;

use crate::http::Http;

/// Bytes asked for at once.
const BLOCK: u64 = 256 << 10;
/// Blocks kept.
const KEPT: usize = 4;

/// A file of a model at its source. Holds at most a megabyte.
#[derive(Debug)]
pub struct RemoteFile {
    name: String,
    url: String,
    bytes: u64,
    http: Http,
    /// The block used last stands last.
    blocks: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl RemoteFile {
    pub(crate) fn new(name: String, url: String, bytes: u64, http: Http) -> RemoteFile {
        RemoteFile { name, url, bytes, http, blocks: Mutex::new(Vec::new()) }
    }

    /// The file's name, a path inside its repository.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes the block with this number the last in the list.
    fn bring(&self, blocks: &mut Vec<(u64, Vec<u8>)>, number: u64) -> io::Result<()> {
        if let Some(at) = blocks.iter().position(|(held, _)| *held == number) {
            blocks[at..].rotate_left(1);
            return Ok(());
        }
        let from = number * BLOCK;
        let length = usize::try_from(BLOCK.min(self.bytes - from)).map_err(io::Error::other)?;
        let mut bytes = if blocks.len() == KEPT { blocks.remove(0).1 } else { Vec::new() };
        bytes.resize(length, 0);
        self.http.read_range(&self.url, from, &mut bytes).map_err(io::Error::other)?;
        blocks.push((number, bytes));
        Ok(())
    }
}

/// The same file with nothing kept of it yet.
impl Clone for RemoteFile {
    fn clone(&self) -> RemoteFile {
        RemoteFile::new(self.name.clone(), self.url.clone(), self.bytes, self.http.clone())
    }
}

impl ReadAt for RemoteFile {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut blocks = self.blocks.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            self.bring(&mut blocks, at / BLOCK)?;
            let Some((_, block)) = blocks.last() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
            let from = usize::try_from(at % BLOCK).map_err(io::Error::other)?;
            let count = rest.len().min(block.len().saturating_sub(from));
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&block[from..from + count]);
            at += count as u64;
            rest = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Server, settings};

    #[test]
    fn any_stretch_with_few_requests() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..1_500_000u32).map(|i| (i % 253) as u8).collect();
        let server = Server::start(vec![Answer::file(&bytes); 7]);
        let http = Http::new(&settings(dir.path(), &server.url)).unwrap();
        let file = RemoteFile::new("m".into(), format!("{}/m", server.url), bytes.len() as u64, http);
        for (offset, length) in [
            (0, 24),
            (24, 100_000),
            (200_000, 200_000),
            (1_499_990, 10),
            (1_500_000, 0),
            (0, 8),
            (700_000, 300_000),
        ] {
            let mut buf = vec![0; length];
            file.read_exact_at(offset as u64, &mut buf).unwrap();
            assert!(buf == bytes[offset..offset + length], "{offset} {length}");
        }
        // 0, 1, the tail 5, then 2 and 3; the tail and the others were kept.
        assert_eq!(server.asked().len(), 5);
        for (offset, length) in [(1_499_999, 2), (u64::MAX, 1)] {
            let error = file.read_exact_at(offset, &mut vec![0; length]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
