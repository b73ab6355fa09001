//! Whatever frames come in whatever reads, the same bytes are handed on, and no data frame is larger than a piece.

use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use super::*;

const MAX: usize = 100_000;

/// A stream that gives so many bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl AsyncRead for Slow<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.1.min(self.0.len()).min(to.remaining());
        let (now, later) = self.0.split_at(count);
        to.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

/// A frame with this first byte, its payload under a mask.
fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(MASKED | u8::try_from(length).unwrap()),
        length @ 126..65536 => {
            frame.push(MASKED | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    frame
}

/// What is handed on, in reads of `wanted` from pieces of `size`.
fn handed(bytes: &[u8], size: usize, wanted: usize) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut pieces = Pieces::new(Slow(bytes, size), MAX);
        let (mut all, mut buffer) = (Vec::new(), vec![0; wanted]);
        loop {
            match pieces.read(&mut buffer).await.unwrap() {
                0 => return all,
                count => all.extend_from_slice(&buffer[..count]),
            }
        }
    })
}

/// Frames as first byte and payload without its mask; none if they are none.
fn frames(mut bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let mut header = Header::default();
        let (taken, is_whole) = header.take(bytes);
        let length = usize::try_from(header.payload()).ok()?;
        let payload = bytes.get(taken..taken + length).filter(|_| is_whole)?;
        let mask = header.mask();
        let plain = payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
        frames.push((header.bytes[0], plain));
        bytes = &bytes[taken + length..];
    }
    Some(frames)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn large_frames_come_as_pieces_and_say_the_same(
        sizes in prop::collection::vec((any::<bool>(), prop_oneof![0..300_usize, 16_000..17_000_usize, 0..MAX]), 1..5),
        size in prop_oneof![1..20_usize, 20..5000_usize],
        wanted in prop_oneof![Just(1_usize), 2..64_usize, Just(2048)],
        mask in any::<[u8; 4]>(),
    ) {
        let mut sent = Vec::new();
        let mut said = Vec::new();
        for (number, (is_final, length)) in sizes.into_iter().enumerate() {
            let payload: Vec<u8> = (0..length).map(|at| u8::try_from((at * 7 + number) % 251).unwrap()).collect();
            let first = if is_final { 0x82 } else { 0x01 };
            sent.extend(frame(first, &payload, mask));
            // A control frame between them.
            sent.extend(frame(0x89, b"ping", mask));
            said.push((first, payload));
        }
        let handed = frames(&handed(&sent, size, wanted)).unwrap();
        let mut handed = handed.into_iter();
        for (first, payload) in said {
            let (mut last, mut whole) = handed.next().unwrap();
            prop_assert_eq!(last & OPCODE, first & OPCODE);
            prop_assert!(whole.len() <= PIECE);
            while whole.len() < payload.len() {
                prop_assert_eq!(last & FINAL, 0, "only the last piece may be final");
                let (next, more) = handed.next().unwrap();
                prop_assert_eq!(next & OPCODE, 0);
                prop_assert!(more.len() <= PIECE);
                last = next;
                whole.extend(more);
            }
            prop_assert_eq!(last & FINAL, first & FINAL);
            prop_assert_eq!(whole, payload);
            prop_assert_eq!(handed.next().unwrap(), (0x89, b"ping".to_vec()));
        }
        prop_assert!(handed.next().is_none());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..3000), size in 1..3000_usize) {
        prop_assert!(handed(&bytes, size, 100).len() <= bytes.len());
    }
}

#[test]
fn what_is_wrong_passes_as_it_is() {
    let payload = vec![7; PIECE + 1];
    let mut bare = frame(0x82, &payload, [0; 4]);
    bare[1] &= !MASKED;
    for (what, bytes) in [
        ("a reserved bit", frame(0xC2, &payload, [1; 4])),
        ("a control frame", frame(0x89, &payload, [1; 4])),
        ("no mask", bare),
        ("over the limit", frame(0x82, &vec![7; MAX + 1], [1; 4])),
        ("half of a header", vec![0x82, 0xFF, 0, 0]),
    ] {
        let expected = if bytes.len() == 4 { &[][..] } else { &bytes };
        assert_eq!(handed(&bytes, 1000, 2048), expected, "{what}");
    }
}
