//! Requests and answers as bytes: pure.
//!
//! A request of ours is a function and two words. It travels on a serial line between the
//! unit's address and a CRC-16 ([`rtu_frame`]), over TCP behind a header with a number of its
//! own ([`tcp_frame`]). Reads begin at the board's first relay or input and ask for a multiple
//! of eight: boards answer in whole bytes anyway, and some take no other count.

/// Function: read the state of relays.
const READ_COILS: u8 = 0x01;
/// Function: read inputs.
const READ_INPUTS: u8 = 0x02;
/// Function: switch one relay.
const WRITE_COIL: u8 = 0x05;
/// Set in the function of an answer that refuses.
const EXCEPTION: u8 = 0x80;
/// The value that energises, and the one that releases.
const ON: u16 = 0xFF00;
const OFF: u16 = 0x0000;
/// Added to a relay's address: energise for a time, then release by itself. No part of
/// Modbus; the boards that have it (Waveshare's) take the time in units of 100 ms.
const FLASH: u16 = 0x0200;
/// The longest answer that a header over TCP may announce, unit and function included.
const TCP_LENGTH_MAX: usize = 254;
const TCP_HEADER: usize = 6;

/// The exception of a board that does not know a function.
pub(super) const ILLEGAL_FUNCTION: u8 = 1;

/// What is asked of a board. Relays and inputs are counted from 0 here, as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Energise or release a relay.
    Switch {
        /// Which.
        relay: u16,
        /// Energise it.
        energised: bool,
    },
    /// Energise a relay for a time that the board keeps.
    Flash {
        /// Which.
        relay: u16,
        /// Units of 100 ms.
        tenths: u16,
    },
    /// Are the relays from 0 up to this one energised?
    Relays {
        /// The last one asked about.
        last: u16,
    },
    /// Are the inputs from 0 up to this one on?
    Inputs {
        /// The last one asked about.
        last: u16,
    },
}

/// Why bytes are not the answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The time is over.
    #[error("no answer in time")]
    Silent,
    /// The time is over, and something had come.
    #[error("only {0} bytes of an answer came in time")]
    Short(usize),
    /// The checksum does not fit.
    #[error("the answer is damaged (its CRC is wrong)")]
    Damaged,
    /// No frame of Modbus at all.
    #[error("the answer is not Modbus")]
    Foreign,
    /// A whole frame, but an answer to something else: a late one, or another unit's.
    #[error("the answer belongs to another request")]
    Stray,
    /// A whole frame of another unit.
    #[error("unit {0} answers")]
    OtherUnit(u8),
    /// The board refuses.
    #[error("the board refuses: {}", exception(*.0))]
    Refused(u8),
    /// The connection is gone.
    #[error("the board's connection closed")]
    Closed,
    /// The system's words.
    #[error("{0}")]
    System(String),
}

fn exception(code: u8) -> String {
    let words = match code {
        ILLEGAL_FUNCTION => "it does not know this function",
        2 => "it has no such relay or input",
        3 => "it does not take this value",
        4 => "it failed",
        5 => "it has only taken note of it",
        6 => "it is busy",
        _ => "for a reason that is not in the standard",
    };
    format!("{words} (exception {code})")
}

impl Fault {
    /// Whether the right answer may still follow.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Stray | Self::OtherUnit(_))
    }
}

/// The count that is asked for to learn of number `last`, counted from 0.
fn count_to(last: u16) -> u16 {
    (last / 8).saturating_add(1).saturating_mul(8)
}

impl Request {
    /// The request without what a line puts around it.
    pub(super) fn body(self) -> [u8; 5] {
        let (function, first, second) = match self {
            Self::Switch { relay, energised } => {
                (WRITE_COIL, relay, if energised { ON } else { OFF })
            }
            Self::Flash { relay, tenths } => (WRITE_COIL, FLASH.saturating_add(relay), tenths),
            Self::Relays { last } => (READ_COILS, 0, count_to(last)),
            Self::Inputs { last } => (READ_INPUTS, 0, count_to(last)),
        };
        let ([a, b], [c, d]) = (first.to_be_bytes(), second.to_be_bytes());
        [function, a, b, c, d]
    }

    /// The bits that were read, lowest first, out of an answer without what a line puts
    /// around it; none for a request that switches.
    ///
    /// # Errors
    /// [`Fault`] when these bytes do not answer this request.
    pub(super) fn answered(self, answer: &[u8]) -> Result<Vec<bool>, Fault> {
        let asked = self.body();
        match *answer {
            [function, code] if function == asked[0] | EXCEPTION => Err(Fault::Refused(code)),
            [function, count, ref bytes @ ..] if function == asked[0] => match self {
                Self::Switch { .. } | Self::Flash { .. } if answer == asked => Ok(Vec::new()),
                Self::Relays { last } | Self::Inputs { last }
                    if usize::from(count) == bytes.len()
                        && bytes.len() == usize::from(count_to(last) / 8) =>
                {
                    let bit = |at: usize| bytes[at / 8] >> (at % 8) & 1 == 1;
                    Ok((0..bytes.len() * 8).map(bit).collect())
                }
                _ => Err(Fault::Stray),
            },
            _ => Err(Fault::Stray),
        }
    }
}

/// The checksum of a frame on a serial line; its low byte is sent first.
pub(super) fn crc(bytes: &[u8]) -> u16 {
    let mut sum = 0xFFFF_u16;
    for byte in bytes {
        sum ^= u16::from(*byte);
        for _ in 0..8 {
            let carry = sum & 1 == 1;
            sum >>= 1;
            if carry {
                sum ^= 0xA001;
            }
        }
    }
    sum
}

/// A request for a serial line.
pub(super) fn rtu_frame(unit: u8, request: Request) -> Vec<u8> {
    let mut frame = vec![unit];
    frame.extend(request.body());
    frame.extend(crc(&frame).to_le_bytes());
    frame
}

/// How long the answer is that begins with these bytes; `None` while that is not known.
///
/// # Errors
/// [`Fault::Foreign`] when no answer to any request of ours begins so.
pub(super) fn rtu_length(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    match *bytes {
        [_, function, ..] if function & EXCEPTION != 0 => Ok(Some(5)),
        [_, WRITE_COIL, ..] => Ok(Some(8)),
        [_, READ_COILS | READ_INPUTS] | [_] | [] => Ok(None),
        [_, READ_COILS | READ_INPUTS, count, ..] => Ok(Some(5 + usize::from(count))),
        [_, _, ..] => Err(Fault::Foreign),
    }
}

/// Takes off what a serial line has put around an answer.
///
/// # Errors
/// [`Fault`] when the checksum is wrong or another unit speaks.
pub(super) fn rtu_opened(unit: u8, frame: &[u8]) -> Result<&[u8], Fault> {
    let Some((signed, sum)) = frame.split_last_chunk::<2>() else {
        return Err(Fault::Foreign);
    };
    if crc(signed) != u16::from_le_bytes(*sum) {
        return Err(Fault::Damaged);
    }
    match signed.split_first() {
        Some((speaker, answer)) if *speaker == unit => Ok(answer),
        Some((speaker, _)) => Err(Fault::OtherUnit(*speaker)),
        None => Err(Fault::Foreign),
    }
}

/// A request for a TCP connection.
pub(super) fn tcp_frame(number: u16, unit: u8, request: Request) -> Vec<u8> {
    let body = request.body();
    let length = body.len() as u16 + 1;
    let mut frame = Vec::with_capacity(TCP_HEADER + 1 + body.len());
    frame.extend(number.to_be_bytes());
    frame.extend(0_u16.to_be_bytes());
    frame.extend(length.to_be_bytes());
    frame.push(unit);
    frame.extend(body);
    frame
}

/// How long the answer is that begins with these bytes; `None` while that is not known.
///
/// # Errors
/// [`Fault::Foreign`] when that is no header of Modbus.
pub(super) fn tcp_length(bytes: &[u8]) -> Result<Option<usize>, Fault> {
    let [_, _, p, q, a, b, ..] = *bytes else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([a, b]));
    if (p, q) != (0, 0) || !(3..=TCP_LENGTH_MAX).contains(&length) {
        return Err(Fault::Foreign);
    }
    Ok(Some(TCP_HEADER + length))
}

/// Takes the header off an answer.
///
/// # Errors
/// [`Fault`] when it answers another request or another unit speaks.
pub(super) fn tcp_opened(number: u16, unit: u8, frame: &[u8]) -> Result<&[u8], Fault> {
    let Some(([a, b, _, _, _, _, speaker], answer)) = frame.split_first_chunk::<7>() else {
        return Err(Fault::Foreign);
    };
    if u16::from_be_bytes([*a, *b]) != number {
        return Err(Fault::Stray);
    }
    if *speaker != unit {
        return Err(Fault::OtherUnit(*speaker));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use proptest::prelude::*;

    /// What a board on a serial line answers.
    fn rtu_answer(unit: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = vec![unit];
        frame.extend(body);
        frame.extend(crc(&frame).to_le_bytes());
        frame
    }

    fn tcp_answer(number: u16, unit: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = number.to_be_bytes().to_vec();
        frame.extend([0, 0, 0, body.len() as u8 + 1, unit]);
        frame.extend(body);
        frame
    }

    /// What a board does with a request that it can carry out.
    fn carried_out(request: Request, levels: &[bool]) -> Vec<u8> {
        let body = request.body();
        if body[0] == WRITE_COIL {
            return body.to_vec();
        }
        let count = usize::from(u16::from_be_bytes([body[3], body[4]]));
        let mut bytes = vec![0_u8; count / 8];
        for (at, on) in levels.iter().enumerate().take(count) {
            bytes[at / 8] |= u8::from(*on) << (at % 8);
        }
        let mut answer = vec![body[0], bytes.len() as u8];
        answer.extend(bytes);
        answer
    }

    fn rtu(unit: u8, request: Request, frame: &[u8]) -> Result<Vec<bool>, Fault> {
        assert_eq!(rtu_length(frame)?, Some(frame.len()));
        request.answered(rtu_opened(unit, frame)?)
    }

    fn tcp(number: u16, unit: u8, request: Request, frame: &[u8]) -> Result<Vec<bool>, Fault> {
        assert_eq!(tcp_length(frame)?, Some(frame.len()));
        request.answered(tcp_opened(number, unit, frame)?)
    }

    #[test]
    fn frames_match_the_boards_sheets() {
        let on = Request::Switch {
            relay: 0,
            energised: true,
        };
        let off = Request::Switch {
            relay: 0,
            energised: false,
        };
        let inputs = Request::Inputs { last: 3 };
        assert_eq!(rtu_frame(0xFF, on), [255, 5, 0, 0, 0xFF, 0, 0x99, 0xE4]);
        assert_eq!(rtu_frame(0xFF, off), [255, 5, 0, 0, 0, 0, 0xD8, 0x14]);
        assert_eq!(rtu_frame(0xFF, inputs), [255, 2, 0, 0, 0, 8, 0x6C, 0x12]);
        let read = rtu(0xFF, inputs, &[0xFF, 2, 1, 1, 0x51, 0xA0]).unwrap();
        assert_eq!(read.iter().position(|on| *on), Some(0));
        assert_eq!(read.iter().filter(|on| **on).count(), 1);
        let flash = Request::Flash {
            relay: 0,
            tenths: 7,
        };
        assert_eq!(flash.body(), [5, 2, 0, 0, 7]);
        assert_eq!(
            tcp_frame(0x1234, 1, on),
            [0x12, 0x34, 0, 0, 0, 6, 1, 5, 0, 0, 0xFF, 0]
        );
    }

    #[test]
    fn refusals_are_said_in_words() {
        let request = Request::Switch {
            relay: 9,
            energised: true,
        };
        let refused = rtu(1, request, &rtu_answer(1, &[0x85, 2])).unwrap_err();
        assert_eq!(refused, Fault::Refused(2));
        assert!(refused.to_string().contains("no such relay"), "{refused}");
        let other = rtu(1, request, &rtu_answer(1, &[0x81, 2])).unwrap_err();
        assert_eq!(other, Fault::Stray);
    }

    /// A line that gives back what was sent is no board: it answers no read.
    #[test]
    fn an_echo_is_no_answer_to_a_read() {
        let frame = rtu_frame(1, Request::Relays { last: 0 });
        let length = rtu_length(&frame).unwrap().unwrap();
        assert_eq!(rtu_opened(1, &frame[..length]), Err(Fault::Damaged));
        let frame = tcp_frame(1, 1, Request::Relays { last: 0 });
        let body = tcp_opened(1, 1, &frame).unwrap();
        let answer = Request::Relays { last: 0 }.answered(body);
        assert_eq!(answer, Err(Fault::Stray));
    }

    fn request() -> impl Strategy<Value = Request> {
        prop_oneof![
            (0_u16..64, any::<bool>())
                .prop_map(|(relay, energised)| Request::Switch { relay, energised }),
            (0_u16..64, 1_u16..20).prop_map(|(relay, tenths)| Request::Flash { relay, tenths }),
            (0_u16..64).prop_map(|last| Request::Relays { last }),
            (0_u16..64).prop_map(|last| Request::Inputs { last }),
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(
            request in request(),
            unit in any::<u8>(),
            number in any::<u16>(),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = rtu_length(&bytes);
            let _ = tcp_length(&bytes);
            let _ = request.answered(&bytes);
            let _ = rtu_opened(unit, &bytes).and_then(|answer| request.answered(answer));
            let _ = tcp_opened(number, unit, &bytes).and_then(|answer| request.answered(answer));
        }

        /// What was asked comes back, and the length is never known wrongly.
        #[test]
        fn there_and_back(
            request in request(),
            unit in 1_u8..,
            number in any::<u16>(),
            levels in prop::collection::vec(any::<bool>(), 64),
        ) {
            let body = carried_out(request, &levels);
            let frames = [rtu_answer(unit, &body), tcp_answer(number, unit, &body)];
            let read = rtu(unit, request, &frames[0]).unwrap();
            prop_assert_eq!(&tcp(number, unit, request, &frames[1]).unwrap(), &read);
            match request {
                Request::Relays { last } | Request::Inputs { last } => {
                    prop_assert!(read.len() > usize::from(last));
                    prop_assert_eq!(&read[..], &levels[..read.len()]);
                }
                _ => prop_assert!(read.is_empty()),
            }
            for cut in 0..frames[0].len() {
                let length = rtu_length(&frames[0][..cut]).unwrap();
                prop_assert!(length.is_none_or(|length| length == frames[0].len()));
            }
            for cut in 0..frames[1].len() {
                let length = tcp_length(&frames[1][..cut]).unwrap();
                prop_assert!(length.is_none_or(|length| length == frames[1].len()));
            }
        }

        /// One flipped bit on a serial line is never an answer, nor a refusal that was none.
        #[test]
        fn a_flipped_bit_is_noticed(
            request in request(),
            unit in 1_u8..,
            levels in prop::collection::vec(any::<bool>(), 64),
            bit in any::<prop::sample::Index>(),
        ) {
            let mut frame = rtu_answer(unit, &carried_out(request, &levels));
            let bit = bit.index(frame.len() * 8);
            frame[bit / 8] ^= 1 << (bit % 8);
            let taken = match rtu_length(&frame) {
                Ok(Some(length)) if length <= frame.len() => {
                    rtu_opened(unit, &frame[..length]).and_then(|answer| request.answered(answer))
                }
                Ok(_) => Err(Fault::Silent),
                Err(why) => Err(why),
            };
            prop_assert!(matches!(
                taken,
                Err(Fault::Damaged | Fault::Silent | Fault::Foreign)
            ), "{:?}", taken);
        }

        /// Neither a late answer to another number nor one of another unit is taken.
        #[test]
        fn the_answer_is_the_one_that_was_asked_for(
            request in request(),
            (unit, other) in (1_u8.., 1_u8..).prop_filter("another", |(a, b)| a != b),
            number in any::<u16>(),
            apart in 1_u16..,
        ) {
            let body = carried_out(request, &[]);
            let frame = tcp_answer(number.wrapping_add(apart), unit, &body);
            prop_assert_eq!(tcp(number, unit, request, &frame), Err(Fault::Stray));
            let frame = tcp_answer(number, other, &body);
            prop_assert_eq!(tcp(number, unit, request, &frame), Err(Fault::OtherUnit(other)));
            let frame = rtu_answer(other, &body);
            prop_assert_eq!(rtu(unit, request, &frame), Err(Fault::OtherUnit(other)));
        }
    }
}
