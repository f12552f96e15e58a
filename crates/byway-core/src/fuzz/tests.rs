//! The fuzz entry point over generated answers: pieces of real ones, cut, repeated and damaged.

use super::answer;

/// SplitMix64: the same answers every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((x ^ (x >> 31)) % below as u64).expect("below")
    }
}

const PIECES: [&[u8]; 26] = [
    b"server: cloudflare\n",
    b"cf-mitigated: challenge\n",
    b"Retry-After: 99999999999999999999\n",
    b"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\n",
    b"RateLimit: \"a\";r=1;t=\n",
    b"RateLimit-Policy: \"a\";q=9;w=60\n",
    b"x-ratelimit-reset: -1\n",
    b"content-type: application/json; charset=EUC-KR\n",
    b"content-type: text/html\n",
    b"location: http://\xff\xfe/?token=1\n",
    b"\n",
    b"{\"message\":\"your ip 203.0.113.7 is not allowed\"}",
    b"{\"message\":\"\\uc811\\uadfc\\u",
    b"<html><title>Just a moment...</title>",
    b"error code: 1006",
    b"Reference&#32;&#35;18&#46;",
    b"Your support ID is: 1",
    "차단된 IP입니다".as_bytes(),
    b"\xc2\xf7\xb4\xdc\xb5\xc8 IP",
    b"&#x110000;&#99999999999;&&&;",
    b"ip ip ip ip ip ip not allowed",
    b"\x00\x01\x02\xff",
    b"_Incapsula_Resource",
    b":::::\n",
    b" : \n",
    b"a",
];

#[test]
fn whatever_an_answer_says_it_is_judged() {
    let mut dice = Dice(7);
    for _ in 0..4000 {
        let mut data = vec![
            u8::try_from(dice.next(4)).expect("small"),
            u8::try_from(dice.next(256)).expect("small"),
        ];
        for _ in 0..dice.next(12) {
            let piece = PIECES[dice.next(PIECES.len())];
            let end = if dice.next(4) == 0 { dice.next(piece.len() + 1) } else { piece.len() };
            data.extend_from_slice(&piece[..end]);
            if dice.next(8) == 0 {
                data.push(u8::try_from(dice.next(256)).expect("small"));
            }
        }
        answer(&data);
    }
    answer(b"");
    answer(&b"\x01\x93server: x\n\n".iter().copied().chain([b'<'; 16_384]).collect::<Vec<u8>>());
}
