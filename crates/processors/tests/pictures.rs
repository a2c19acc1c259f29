//! Pictures as Pillow and OpenCV have them: the files of `tests/pictures`, which its `make.py` wrote.

use std::path::{Path, PathBuf};

use host::Ledger;
use pintpot_processors::Error;
use pintpot_processors::image::{Canvas, Filter, Frame, Layout, Map, Normal, Source, View, resize, warp};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/pictures").join(name)
}

fn reference(name: &str) -> Vec<u8> {
    std::fs::read(place(name)).unwrap()
}

/// The largest difference of two pictures.
fn apart(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn files_are_read_as_pillow_reads_them() {
    let exact = ["smooth", "gray", "bits", "palette", "alpha", "interlaced", "turned3", "turned6", "turned8"];
    let names = exact.map(|name| (format!("{name}.png"), 0));
    // Pillow's decoder makes the colours of a picture that is half as fine a bit smoother.
    let photos =
        [("plain", 2), ("progressive", 5), ("baseline", 4), ("turned3-photo", 4), ("turned6-photo", 4)];
    let photos = photos.map(|(name, apart)| (format!("{name}.jpg"), apart));
    for (name, most) in names.iter().chain(&photos) {
        let ledger = Ledger::new(4 << 20);
        let source = Source::open(&place(name)).unwrap();
        let picture = source.decode(&ledger).unwrap();
        let is_turned = name.starts_with("turned6") || name.starts_with("turned8");
        let small = name.starts_with("turned") && name.ends_with("png");
        let (width, height) = if small { (9, 5) } else { (37, 23) };
        let size = if is_turned { (height, width) } else { (width, height) };
        assert_eq!((picture.width(), picture.height()), size, "{name}");
        assert_eq!((source.width(), source.height()), size, "{name}");
        let away =
            apart(picture.view().pixels, &reference(&format!("{}.rgb", name.split('.').next().unwrap())));
        assert!(away <= *most, "{name} is {away} away");
        assert!(ledger.peak() <= source.decoding_bytes() + 4096, "{name}");
    }
}

#[test]
fn sizes_change_as_pillow_changes_them() {
    let pixels = reference("smooth.rgb");
    let view = View::new(37, 23, &pixels).unwrap();
    let pillow = [(16, 9), (61, 40), (37, 11)];
    let filters =
        [("bilinear", Filter::Bilinear), ("bicubic", Filter::Bicubic), ("nearest", Filter::Nearest)];
    let cases = filters.iter().flat_map(|(name, filter)| pillow.map(|size| (*name, *filter, size, 0)));
    let opencv = pillow[..2].iter().map(|size| ("linear", Filter::Linear, *size, 1));
    for (name, filter, (width, height), most) in cases.chain(opencv) {
        let mut made = vec![0; width * height * 3];
        resize(&view, filter, &Frame::whole(width, height), &mut made, width * 3);
        let away = apart(&made, &reference(&format!("{name}-{width}x{height}.rgb")));
        assert!(away <= most, "{name} {width}x{height} is {away} away");
        // A part is cut out of the whole.
        let frame = Frame { left: 3, top: 2, columns: width - 5, rows: height - 4, width, height };
        let stride = frame.columns * 3;
        let mut part = vec![0; stride * frame.rows];
        resize(&view, filter, &frame, &mut part, stride);
        let cut = made.chunks(width * 3).skip(2).take(frame.rows).flat_map(|row| &row[9..9 + stride]);
        assert!(part.iter().eq(cut), "{name} {width}x{height}");
    }
}

#[test]
fn four_corners_become_a_rectangle() {
    let pixels = reference("smooth.rgb");
    let view = View::new(37, 23, &pixels).unwrap();
    let corners = [[3.5, 2.25], [30.0, 5.0], [27.5, 19.0], [1.0, 16.5]];
    let map = Map::corners(corners, 20.0, 12.0).unwrap();
    let mut part = vec![0; 20 * 12 * 3];
    warp(&view, &map, None, false, 20, &mut part);
    // OpenCV rounds places to 1/32 of a pixel.
    assert!(apart(&part, &reference("warp.rgb")) <= 3);
    assert_eq!(Map::corners([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]], 5.0, 5.0), None);
}

#[test]
fn numbers_stand_where_a_network_wants_them() {
    let view = View::new(2, 1, &[10, 20, 30, 40, 50, 60]).unwrap();
    let fill = |layout, is_bgr, height, left, top| {
        let mut numbers = vec![-9.0; 2 * height * 3];
        let normal = Normal::new(1.0, [10.0; 3], [1.0, 2.0, 1.0], is_bgr);
        Canvas { width: 2, height, layout, normal, numbers: &mut numbers }.put(&view, left, top);
        numbers
    };
    assert_eq!(fill(Layout::Nchw, false, 1, 0, 0), [0.0, 30.0, 5.0, 20.0, 20.0, 50.0]);
    assert_eq!(fill(Layout::Nhwc, true, 1, 0, 0), [20.0, 5.0, 0.0, 50.0, 20.0, 30.0]);
    assert_eq!(fill(Layout::Nhwc, false, 2, 1, 1)[9..], [0.0, 5.0, 20.0]);
}

#[test]
fn a_bomb_is_refused_by_its_header() {
    let folder = tempfile::tempdir().unwrap();
    let mut bomb = reference("smooth.png");
    bomb[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let crc = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&crc.to_be_bytes());
    let path = folder.path().join("bomb.png");
    std::fs::write(&path, &bomb).unwrap();
    let source = Source::open(&path).unwrap();
    assert_eq!(source.bytes(), (60_000u64 * 60_000 * 3).next_multiple_of(4096));
    let error = source.decode(&Ledger::new(64 << 20)).unwrap_err();
    assert!(matches!(error, Error::PictureRoom(_)), "{error}");
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[test]
fn damaged_pictures_are_refused_and_none_panics() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = 1u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    for name in ["palette.png", "interlaced.png", "baseline.jpg", "progressive.jpg", "turned6-photo.jpg"] {
        let whole = reference(name);
        let path = folder.path().join(name);
        for _ in 0..150 {
            let mut bytes = whole.clone();
            bytes.truncate(next() % whole.len() + 1);
            for _ in 0..next() % 4 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            std::fs::write(&path, &bytes).unwrap();
            let _ = Source::open(&path).and_then(|source| source.decode(&Ledger::new(16 << 20)));
        }
    }
}

#[test]
fn what_is_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let pixels = reference("smooth.rgb");
    let path = folder.path().join("again.png");
    View::new(37, 23, &pixels).unwrap().write_png(&mut std::fs::File::create(&path).unwrap()).unwrap();
    let picture = Source::open(&path).unwrap().decode(&Ledger::new(4 << 20)).unwrap();
    assert_eq!(picture.view().pixels, pixels);
}
