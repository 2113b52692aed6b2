//! Bytes of a small file to text: UTF-8, or a word for what they are instead. Must not know what
//! the text says.

/// The text without a byte order mark.
///
/// # Errors
/// A sentence that names the encoding, where it is not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(encoding) = utf16(bytes) {
        return Err(format!("it is {encoding} text, expected UTF-8: save it again in that encoding"));
    }
    std::str::from_utf8(bytes).map_err(|e| format!("it is not UTF-8: {e}"))
}

/// The name of the encoding, where a mark or the zeros of every other byte tell UTF-16.
fn utf16(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, ..] => return Some("UTF-16 (little-endian)"),
        [0xfe, 0xff, ..] => return Some("UTF-16 (big-endian)"),
        _ => {}
    }
    let start = &bytes[..bytes.len().min(64) & !1];
    let zeros = |parity| start.iter().skip(parity).step_by(2).all(|byte| *byte == 0);
    match start.len() >= 4 {
        true if zeros(1) && !zeros(0) => Some("UTF-16 (little-endian)"),
        true if zeros(0) && !zeros(1) => Some("UTF-16 (big-endian)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_told_apart() {
        assert_eq!(utf8("\u{feff}{}".as_bytes()).unwrap(), "{}");
        assert_eq!(utf8("ß{}".as_bytes()).unwrap(), "ß{}");
        let little: Vec<u8> = "{\"a\": 1}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "{\"a\": 1}".encode_utf16().flat_map(u16::to_be_bytes).collect();
        for (bytes, word) in [(&little, "UTF-16 (little"), (&big, "UTF-16 (big")] {
            assert!(utf8(bytes).unwrap_err().contains(word));
        }
        for (mark, bytes) in [([0xff, 0xfe], &little), ([0xfe, 0xff], &big)] {
            assert!(utf8(&[&mark[..], bytes].concat()).unwrap_err().contains("UTF-16"));
        }
        assert!(utf8(b"caf\xe9").unwrap_err().contains("not UTF-8"));
    }
}
