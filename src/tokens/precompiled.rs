//! The map of characters of a tokenizer that SentencePiece made, checked as the crate that follows
//! it does not: it ends the program where a step leads out of the table. Must not know tokenizers.
//!
//! Base64 of `u32 n`, n bytes of a trie, and the replacements, each ended by a NUL. The trie is
//! that of darts-clone: one `u32` for each node or leaf, a node's children lie at its place,
//! exclusive-or its offset, exclusive-or a byte.

/// Fails unless every text leads to a replacement that is there, or to none.
pub fn check(map: &str) -> Result<(), String> {
    let bad = |reason: &str| Err(format!("precompiled_charsmap: {reason}"));
    let Ok(bytes) = base64::decode(map) else { return bad("it is no base64") };
    let Some((length, rest)) = bytes.split_first_chunk().map(|(n, rest)| (u32::from_le_bytes(*n) as usize, rest))
    else {
        return bad("it is empty");
    };
    let Some((trie, texts)) = rest.split_at_checked(length / 4 * 4) else { return bad("it is truncated") };
    let Ok(texts) = std::str::from_utf8(texts) else { return bad("its replacements are not UTF-8") };
    let units: Vec<u32> = trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    if follows(&units, texts).is_none() {
        return bad("a step leads out of its table");
    }
    Ok(())
}

/// Goes through all nodes; none where a place or a replacement is not there.
fn follows(units: &[u32], texts: &str) -> Option<()> {
    let offset = |unit: u32| ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize;
    let mut seen = vec![false; units.len()];
    // Places from which a byte leads on.
    let mut open = vec![offset(*units.first()?)];
    while let Some(place) = open.pop() {
        if std::mem::replace(seen.get_mut(place)?, true) {
            continue;
        }
        for byte in 1..=255usize {
            let unit = *units.get(place ^ byte)?;
            if unit & (1 << 31 | 0xff) != byte as u32 {
                continue;
            }
            let next = place ^ byte ^ offset(unit);
            if unit >> 8 & 1 == 1 {
                let text = units.get(next)? & ((1 << 31) - 1);
                texts.get(text as usize..)?;
            }
            open.push(next);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trie of 512 units in which `a` leads to the replacement at `text`.
    fn map(text: u32, length: Option<u32>, first: u32) -> String {
        let mut units = vec![0u32; 512];
        units[0] = first << 10;
        let place = first as usize ^ usize::from(b'a');
        // The leaf lies at the place of the node.
        if let Some(unit) = units.get_mut(place) {
            *unit = u32::from(b'a') | 1 << 8 | 256 << 10;
        }
        if let Some(unit) = units.get_mut(place ^ 256) {
            *unit = text | 1 << 31;
        }
        let mut bytes = length.unwrap_or(2048).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        bytes.extend("x\0é\0".bytes());
        base64::encode(bytes)
    }

    #[test]
    fn a_map_leads_nowhere_else() {
        assert_eq!(check(&map(2, None, 0)), Ok(()));
        for (map, words) in [
            (map(3, None, 0), "leads out"),
            (map(9, None, 0), "leads out"),
            (map(2, None, 512), "leads out"),
            (map(2, Some(4096), 0), "truncated"),
            (map(2, Some(u32::MAX), 0), "truncated"),
            (map(2, Some(0), 0), "not UTF-8"),
            (base64::encode([1, 2]), "is empty"),
            ("?".into(), "no base64"),
        ] {
            let said = check(&map).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }
}
