//! ONNX and TFLite against readers that are not ours: the networks in `tests/networks/sample`, with the listings that
//! the packages `onnx` and `tflite` gave; and what those writers never write.
//!
//! Not the whole conformance suite; `tests/networks/compare.py` runs that. The one design choice: messages are put
//! together from bytes here, so that a test can lie.

use std::fs;
use std::path::Path;

use pintpot_formats::onnx::{self, AttributeValue, Data, Part};
use pintpot_formats::{Bytes, Contents, Error, Kind, Limits, examine, open};
use proptest::prelude::*;

mod listing;

#[test]
fn listings_are_those_of_others() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/networks/sample");
    let mut seen = 0;
    for folder in fs::read_dir(&sample).expect("the sample is in the repository").flatten() {
        let names = ["model.onnx", "model.tflite"].map(|name| folder.path().join(name));
        let path = names.iter().find(|path| path.exists()).expect("a folder holds a network");
        let want = fs::read_to_string(folder.path().join("listing.txt")).expect("a folder holds a listing");
        let have = listing::list(path, Limits::default()).unwrap_or_else(|error| panic!("{error}"));
        for (number, (have, want)) in have.lines().zip(want.lines()).enumerate() {
            assert_eq!(have, want, "{}: line {}", path.display(), number + 1);
        }
        assert_eq!(have.lines().count(), want.lines().count(), "{}", path.display());
        assert!(matches!(open(path, Limits::default()), Err(error) if error.kind() == Kind::Unsupported));
        seen += 1;
    }
    assert_eq!(seen, 19);
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn bytes(field: u64, inner: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(inner.len() as u64), inner.to_vec()].concat()
}

/// A model of a graph of these bytes.
fn model(graph: &[u8]) -> Vec<u8> {
    [number(1, 8), bytes(7, graph), bytes(8, &number(2, 17))].concat()
}

fn read(bytes: &[u8]) -> Result<onnx::Model, Error> {
    onnx::read(&Bytes::new(bytes), Limits::default())
}

/// The only initializer of a model.
fn initializer(tensor: &[u8]) -> Result<(onnx::TensorInfo, Vec<u8>), Error> {
    let file = model(&bytes(5, tensor));
    let mut model = read(&file)?;
    Ok((model.graph.initializers.remove(0), file))
}

#[test]
fn tensors_that_lie_are_refused() {
    let int64 = number(2, 7);
    let two = number(1, 2);
    let external = |pairs: &[(&str, &str)]| {
        let entry = |(key, value): &(&str, &str)| {
            bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
        };
        let entries: Vec<_> = pairs.iter().flat_map(entry).collect();
        [int64.clone(), two.clone(), number(14, 1), entries].concat()
    };
    let location = |location| external(&[("location", location)]);
    let cases: [(Vec<u8>, &str); 17] = [
        ([two.clone(), int64.clone()].concat(), "takes 16 bytes but the file gives it 0"),
        (
            [two.clone(), int64.clone(), bytes(9, &[0; 15])].concat(),
            "takes 16 bytes but the file gives it 15",
        ),
        ([two.clone(), int64.clone(), bytes(7, &[1])].concat(), "takes 16 bytes"),
        ([two.clone(), int64.clone(), bytes(4, &[0; 8])].concat(), "not of its type"),
        ([two.clone(), int64.clone(), bytes(7, &[1, 2]), bytes(9, &[0; 16])].concat(), "of two kinds"),
        ([two.clone(), int64.clone(), bytes(7, &[1, 2]), bytes(5, &[0; 16])].concat(), "of two kinds"),
        ([number(1, u64::MAX), int64.clone()].concat(), "negative extent"),
        ([number(1, 1 << 62), number(1, 8), int64.clone()].concat(), "can be counted"),
        ([two.clone(), number(2, 99)].concat(), "element type 99"),
        ([two.clone(), bytes(9, &[0; 16])].concat(), "elements of type undefined"),
        ([two.clone(), number(2, 8), bytes(6, b"one")].concat(), "takes 2 bytes but the file gives it 1"),
        (vec![8; 2 * 65], "65 dimensions"),
        (location("../w"), "not the name of a file below"),
        (location("/etc/w"), "not the name of a file below"),
        (location("a\\w"), "not the name of a file below"),
        (location(""), "not the name of a file below"),
        (external(&[("location", "w"), ("length", "8")]), "takes 16 bytes but the file gives it 8"),
    ];
    for (tensor, want) in cases {
        let error = initializer(&tensor).map(|(tensor, _)| tensor).unwrap_err().to_string();
        assert!(error.contains(want), "{want}: {error}");
    }
    let (tensor, _) = initializer(&external(&[("location", "a/w"), ("offset", "9")])).unwrap();
    assert_eq!((tensor.file, tensor.data), (1, Data::Bytes(9..25)));
}

/// A graph in a graph in a graph, so many times.
fn nested(depth: usize) -> Vec<u8> {
    let mut graph = Vec::new();
    for _ in 1..depth {
        let attribute = [bytes(1, b"body"), bytes(6, &graph), number(20, 5)].concat();
        graph = bytes(1, &bytes(5, &attribute));
    }
    model(&graph)
}

/// A list of lists of lists, so many times.
fn nested_type(depth: usize) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..depth {
        value = bytes(4, &bytes(1, &value));
    }
    model(&bytes(11, &bytes(2, &value)))
}

#[test]
fn depth_is_bounded() {
    assert!(read(&nested(32)).is_ok());
    assert!(read(&nested_type(16)).is_ok());
    for bomb in [nested(33), nested(3000), nested_type(17), nested_type(3000)] {
        assert!(matches!(read(&bomb), Err(Error::Nesting { .. })));
    }
}

#[test]
fn weights_cost_nothing_to_read() {
    // A tensor of a terabyte of which only the first bytes are here, and an end that need not be here.
    let size = 1u64 << 40;
    let tensor = [number(1, size), number(2, 3), varint(9 << 3 | 2), varint(size)].concat();
    let in_graph = [varint(5 << 3 | 2), varint(tensor.len() as u64 + size), tensor].concat();
    let head = [number(1, 8), varint(7 << 3 | 2), varint(in_graph.len() as u64 + size), in_graph].concat();
    let source = Bytes::beginning(&head, head.len() as u64 + size);
    let model = onnx::read(&source, Limits { heap: 2048 }).unwrap();
    let start = head.len() as u64;
    assert_eq!(model.graph.initializers[0].data, Data::Bytes(start..start + size));
    let error = model.graph.initializers[0].literal(&source, 1 << 20).unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
}

#[test]
fn the_oldest_attributes_have_no_type() {
    let attribute = |fields: &[u8]| {
        let node = bytes(5, &[bytes(1, b"a"), fields.to_vec()].concat());
        let mut model = read(&model(&bytes(1, &node)))?;
        Ok::<_, Error>(model.graph.nodes.remove(0).attributes.remove(0).value)
    };
    assert_eq!(attribute(&number(3, 5)).unwrap(), AttributeValue::Int(5));
    assert_eq!(attribute(&bytes(8, &[1, 2])).unwrap(), AttributeValue::Ints(vec![1, 2]));
    assert_eq!(attribute(&number(20, 2)).unwrap(), AttributeValue::Int(0));
    assert!(attribute(&[number(3, 5), bytes(4, b"s")].concat()).is_err());
    assert!(attribute(&number(20, 99)).is_err());
    assert!(attribute(&number(20, 4)).is_err());
}

#[test]
fn files_beside_are_found_and_links_out_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let (inside, outside) = (place.path().join("model"), place.path().join("other"));
    fs::create_dir_all(&inside).unwrap();
    fs::create_dir_all(&outside).unwrap();
    let entry =
        |key: &str, value: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
    let tensor = [number(1, 2), number(2, 7), number(14, 1), entry("location", "w.bin")].concat();
    let path = inside.join("model.onnx");
    fs::write(&path, model(&bytes(5, &tensor))).unwrap();
    let try_it = || examine(&path, Limits::default());
    assert!(matches!(try_it(), Err(Error::MissingFile { .. })));
    fs::write(outside.join("w.bin"), [0; 16]).unwrap();
    if host::symlink(&outside.join("w.bin"), &inside.join("w.bin")).is_ok() {
        assert!(matches!(try_it(), Err(Error::OutsideFolder { .. })), "{:?}", try_it());
        // A cache of downloads: both names lead to one folder.
        fs::rename(&path, outside.join("blob")).unwrap();
        host::symlink(&outside.join("blob"), &path).unwrap();
        assert!(try_it().is_ok());
        fs::remove_file(inside.join("w.bin")).unwrap();
    }
    fs::write(inside.join("w.bin"), [0; 15]).unwrap();
    let error = try_it().unwrap_err().to_string();
    assert!(error.contains("ends at 16 but the file has 15 bytes"), "{error}");
    fs::write(inside.join("w.bin"), [0; 16]).unwrap();
    let Contents::Onnx(found) = try_it().unwrap() else { panic!("it is a network") };
    assert_eq!((&found.files[1].path, found.files[1].bytes), (&inside.join("w.bin"), 16));
}

/// A list of numbers as a writer may put it: pieces in a row or one by one, with other fields between.
fn pieces() -> impl Strategy<Value = Vec<(bool, Vec<i64>)>> {
    let value = prop_oneof![any::<i64>(), -200..200i64];
    prop::collection::vec((any::<bool>(), prop::collection::vec(value, 0..5)), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_come_back_however_they_are_written(pieces in pieces(), room in 8..40usize) {
        let values: Vec<i64> = pieces.iter().flat_map(|(_, values)| values.clone()).collect();
        let mut tensor = [number(1, values.len() as u64), number(2, 7)].concat();
        for (is_packed, values) in &pieces {
            if *is_packed {
                let run: Vec<u8> = values.iter().flat_map(|&value| varint(value as u64)).collect();
                tensor.extend(bytes(7, &run));
            } else {
                values.iter().for_each(|&value| tensor.extend(number(7, value as u64)));
            }
            tensor.extend(bytes(12, b"a text between"));
        }
        let (tensor, file) = initializer(&tensor).unwrap();
        let source = Bytes::new(&file);
        let literal = tensor.literal(&source, 1 << 20).unwrap();
        prop_assert_eq!(literal.i64s().unwrap(), values.clone());
        let mut elements = tensor.read(&source).unwrap();
        let (mut all, mut buffer) = (Vec::new(), vec![0; room]);
        loop {
            let count = elements.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            all.extend_from_slice(&buffer[..count]);
        }
        prop_assert_eq!(elements.remaining(), 0);
        elements.finish().unwrap();
        prop_assert_eq!(all, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&noise);
        if let Ok(found) = read(&model(&noise)) {
            let walked: Result<(), Error> = found.walk(&mut |part| match part {
                Part::Tensor(tensor) => tensor.literal(&Bytes::new(&model(&noise)), 1 << 10).map(drop).or(Ok(())),
                _ => Ok(()),
            });
            walked.unwrap();
        }
        let _ = initializer(&noise);
        let mut flat = b"\x10\0\0\0TFL3".to_vec();
        flat.extend(&noise);
        let _ = pintpot_formats::tflite::read(&Bytes::new(&flat), Limits::default());
    }
}
