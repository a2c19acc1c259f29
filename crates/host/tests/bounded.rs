//! Work that does not fit or does not end is given up, and nothing else is touched.
//!
//! Not a benchmark. The one design choice: a program of its own, whose heap is the counted one.

use std::time::Duration;

use pintpot_host::{CountingAlloc, Error, bounded};

#[global_allocator]
static HEAP: CountingAlloc = CountingAlloc;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_fits_is_done() {
    assert_eq!(bounded(1 << 20, SECOND, || vec![7u8; 1000].len()).unwrap(), 1000);
    // Memory that goes back can be had again.
    let churn = || (0..1000).map(|n| vec![n as u8; 100_000].len()).sum::<usize>();
    assert_eq!(bounded(1 << 20, SECOND * 20, churn).unwrap(), 100_000_000);
}

#[test]
fn what_does_not_fit_is_left_behind() {
    let doubling = || (0..60).fold(String::from("ab"), |text, _| text.clone() + &text).len();
    assert!(matches!(bounded(1 << 20, SECOND * 20, doubling), Err(Error::OverHeap { bytes: 1_048_576 })));
    let huge = || Vec::<u8>::with_capacity(isize::MAX as usize).len();
    assert!(matches!(bounded(1 << 20, SECOND * 20, huge), Err(Error::OverHeap { .. })));
    // Others are not concerned.
    assert_eq!(vec![1u8; 4 << 20].len(), 4 << 20);
}

#[test]
fn what_does_not_end_is_left_behind() {
    let time = Duration::from_millis(30);
    let endless = || {
        while std::hint::black_box(true) {
            drop(std::hint::black_box(vec![0u8; 8]))
        }
    };
    assert!(matches!(bounded(1 << 20, time, endless), Err(Error::OverTime { .. })));
}

#[test]
fn a_panic_is_the_caller_s() {
    let caught = std::panic::catch_unwind(|| bounded(1 << 20, SECOND, || panic!("on purpose")));
    assert!(caught.is_err());
}
