//! Properties of the readers on inputs that nobody thought of: what is written is read back, and noise is
//! refused without a panic.

use pintpot_formats::write::{Gguf, Item, safetensors};
use pintpot_formats::{ArrayRef, Bytes, Error, Folder, Limits, read, read_gguf};
use proptest::prelude::*;
use tensor::DType;

/// A folder of one file.
struct One<'a>(&'a str, Vec<u8>);

impl Folder for One<'_> {
    fn open(&self, name: &str) -> std::io::Result<Box<dyn host::ReadAt>> {
        if name == self.0 { Ok(Box::new(self.1.clone())) } else { Err(std::io::ErrorKind::NotFound.into()) }
    }
}

fn extents() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(1..9u64, 0..=4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn gguf_comes_back(
        shapes in prop::collection::btree_map("[a-z.]{1,20}", extents(), 0..8),
        texts in prop::collection::vec("\\PC*", 0..600),
        numbers in prop::collection::vec(any::<i32>(), 0..2000),
    ) {
        let mut file = Gguf::new();
        file.set("general.architecture", "x");
        file.set("texts", Item::Strs(texts.iter().map(|text| text.clone().into_bytes()).collect()));
        file.set("numbers", Item::I32s(numbers.clone()));
        shapes.iter().for_each(|(name, extents)| file.declare(name, DType::F16, extents));
        let data: Vec<Vec<u8>> = file.tensors().zip(0u8..).map(|(bytes, i)| vec![i; bytes as usize]).collect();
        let bytes = file.to_bytes(&data.iter().map(|tensor| &**tensor).collect::<Vec<_>>());
        let source = Bytes::new(&bytes);

        let model = read_gguf(&source, Limits::default()).unwrap();
        for ((name, extents), data) in shapes.iter().zip(&data) {
            let tensor = model.tensor(name).unwrap();
            prop_assert_eq!(tensor.shape.extents(), &extents[..]);
            prop_assert_eq!(&bytes[tensor.range.start as usize..tensor.range.end as usize], &data[..]);
        }
        let array: &ArrayRef = model.metadata.get("numbers").unwrap();
        prop_assert_eq!(array.i32s(&source).collect::<Result<Vec<_>, Error>>().unwrap(), numbers);
        let mut strings = model.metadata.get::<&ArrayRef>("texts").unwrap().strings(&source);
        for text in &texts {
            prop_assert_eq!(strings.next().unwrap(), Some(text.as_bytes()));
        }
        prop_assert_eq!(strings.next().unwrap(), None);
    }

    #[test]
    fn safetensors_come_back(shapes in prop::collection::btree_map("\\PC{1,20}", extents(), 0..8)) {
        let data: Vec<Vec<u8>> =
            shapes.values().zip(0u8..).map(|(e, i)| vec![i; 4 * e.iter().product::<u64>() as usize]).collect();
        let tensors: Vec<_> =
            shapes.iter().zip(&data).map(|((name, e), d)| (&**name, DType::F32, &e[..], &d[..])).collect();
        let bytes = safetensors(&tensors);
        let model = read(&One("m", bytes.clone()), "m", Limits::default()).unwrap();
        for (name, _, extents, data) in tensors {
            let tensor = model.tensor(name).unwrap();
            prop_assert_eq!(tensor.shape.extents(), extents);
            prop_assert_eq!(&bytes[tensor.range.start as usize..tensor.range.end as usize], data);
        }
    }

    #[test]
    fn noise_is_refused(noise in prop::collection::vec(any::<u8>(), 0..300), json in "[\\[\\]{}\",:0-9a-e\\\\ .-]{0,99}") {
        let mut gguf = b"GGUF\x03\0\0\0".to_vec();
        gguf.extend(&noise);
        let _ = read_gguf(&Bytes::new(&gguf), Limits::default());
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.extend(json.as_bytes());
        header.extend(&noise);
        for file in [noise, header, json.clone().into_bytes()] {
            let _ = read(&One("m", file), "m", Limits::default());
        }
        let _ = read(&One("config.json", json.into_bytes()), "", Limits::default());
    }
}
