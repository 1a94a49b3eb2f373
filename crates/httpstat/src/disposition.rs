//! The file name that a response suggests (RFC 6266), made harmless.

use hyper::header::{CONTENT_DISPOSITION, HeaderMap};
use percent_encoding::percent_decode_str;

use crate::{escape::is_treacherous, target::Target};

/// The name under which a body is to be saved: the server's word, else the end of the path.
pub(crate) fn file_name(headers: &HeaderMap, target: &Target) -> Option<String> {
    let header = headers.get(CONTENT_DISPOSITION);
    let suggested = header.and_then(|value| suggested(value.as_bytes()));
    let path = target.path_and_query().split('?').next().unwrap_or_default();
    let decoded = || percent_decode_str(path).decode_utf8_lossy().into_owned();
    suggested.as_deref().and_then(harmless).or_else(|| harmless(&decoded()))
}

/// What the header says, whatever that is.
fn suggested(header: &[u8]) -> Option<String> {
    let mut plain = None;
    for (name, value) in parameters(header) {
        match name.to_ascii_lowercase().as_slice() {
            // It counts wherever it stands.
            b"filename*" => {
                if let Some(name) = extended(&value) {
                    return Some(name);
                }
            }
            b"filename" => plain = plain.or(Some(text(&value))),
            _ => {}
        }
    }
    plain
}

/// Names and unquoted values of what follows the disposition's type.
fn parameters(header: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut fields: Vec<(Vec<u8>, Option<Vec<u8>>)> = vec![Default::default()];
    let mut bytes = header.iter().copied();
    let mut is_quoted = false;
    while let Some(byte) = bytes.next() {
        let Some((name, value)) = fields.last_mut() else { break };
        match (byte, value.as_mut()) {
            (b'\\', Some(value)) if is_quoted => value.extend(bytes.next()),
            (b'"', Some(_)) => is_quoted = !is_quoted,
            (b';', _) if !is_quoted => fields.push(Default::default()),
            (b'=', None) => *value = Some(Vec::new()),
            (byte, Some(value)) => value.push(byte),
            (byte, None) => name.push(byte),
        }
    }
    let trimmed = |bytes: &[u8]| bytes.trim_ascii().to_vec();
    let pairs = fields.into_iter().skip(1);
    pairs.filter_map(|(name, value)| Some((trimmed(&name), trimmed(&value?)))).collect()
}

/// RFC 8187: a character set, a language and percent-encoded bytes.
fn extended(value: &[u8]) -> Option<String> {
    let value = str::from_utf8(value).ok()?;
    let (charset, rest) = value.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    let bytes: Vec<u8> = percent_decode_str(encoded).collect();
    match charset.to_ascii_lowercase().as_str() {
        "utf-8" => String::from_utf8(bytes).ok(),
        "iso-8859-1" => Some(bytes.into_iter().map(char::from).collect()),
        _ => None,
    }
}

/// UTF-8, as servers send it, or else ISO 8859-1, as the standard says.
fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    }
}

/// The last part of a path as a name that means a plain file in one folder on every system.
fn harmless(path: &str) -> Option<String> {
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut safe: String = name
        .chars()
        .map(|c| if is_treacherous(c) || "<>:\"|?*".contains(c) { '_' } else { c })
        .collect();
    // Windows drops them; and a name that begins with a dot hides.
    safe.truncate(safe.trim_end_matches(['.', ' ']).len());
    let bare = safe.trim_start_matches([' ', '.']);
    if bare.is_empty() {
        return None;
    }
    if bare.len() < safe.len() {
        safe = format!("_{bare}");
    }
    let stem = safe.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered =
        |device: &str| stem.strip_prefix(device).is_some_and(|rest| NUMBERS.contains(&rest));
    if ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT") {
        safe.insert(0, '_');
    }
    let end = (0..=MAX_NAME_LEN.min(safe.len())).rev().find(|end| safe.is_char_boundary(*end));
    safe.truncate(end.unwrap_or_default());
    Some(safe)
}

/// What follows the names of serial and parallel ports.
const NUMBERS: [&str; 12] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³"];
/// Room for a temporary name beside it, in file systems that end at 255 bytes.
const MAX_NAME_LEN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(header: &[u8], url: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(CONTENT_DISPOSITION, header.try_into().unwrap());
        }
        file_name(&headers, &Target::parse(url).unwrap())
    }

    #[test]
    fn the_servers_word_comes_first() {
        let cases: [(&[u8], &str); 12] = [
            (b"attachment; filename=plain.txt", "plain.txt"),
            (b"attachment; filename=\"a b;c\\\"d.txt\"", "a b;c_d.txt"),
            (b"inline;FILENAME = \"x\" ; other=1", "x"),
            (b"attachment; filename*=UTF-8''na%C3%AFve%20.txt; filename=other", "naïve .txt"),
            (b"attachment; filename=first; filename*=utf-8'en'second", "second"),
            (b"attachment; filename*=ISO-8859-1''%e9", "é"),
            (b"attachment; filename*=x'y'z; filename=fallback", "fallback"),
            (b"attachment; filename=\"\xe9\"", "é"),
            ("attachment; filename=\"日本.txt\"".as_bytes(), "日本.txt"),
            (b"attachment", "path"),
            (b"attachment; filename=", "path"),
            (b"filename=no-type", "path"),
        ];
        for (header, expected) in cases {
            assert_eq!(name(header, "http://h/a/path?q=/x").as_deref(), Some(expected));
        }
        assert_eq!(name(b"", "http://h/a%20b").as_deref(), Some("a b"));
        assert_eq!(name(b"", "http://h/"), None);
        assert_eq!(name(b"", "http://h/folder/"), None);
    }

    #[test]
    fn no_name_leaves_the_folder_or_means_a_device() {
        let cases = [
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("/etc/passwd", "passwd"),
            ("C:\\x", "x"),
            ("C:x", "C_x"),
            ("file:stream", "file_stream"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("COM1 .x", "_COM1 .x"),
            ("lpt\u{b9}", "_lpt\u{b9}"),
            ("common", "common"),
            ("coma", "coma"),
            (".bashrc", "_bashrc"),
            ("a\u{202e}b", "a_b"),
            ("dots...", "dots"),
        ];
        for (suggested, expected) in cases {
            let header = format!("attachment; filename*=UTF-8''{}", percent(suggested));
            assert_eq!(name(header.as_bytes(), "http://h/").as_deref(), Some(expected));
        }
        for nothing in ["..", ".", "", "/", "a/..", " . ", "../"] {
            let header = format!("attachment; filename*=UTF-8''{}", percent(nothing));
            assert_eq!(name(header.as_bytes(), "http://h/"), None, "{nothing:?}");
            assert_eq!(name(header.as_bytes(), "http://h/p").as_deref(), Some("p"), "{nothing:?}");
        }
        let nul = name(b"attachment; filename*=UTF-8''a%00b%1b[2J", "http://h/").unwrap();
        assert_eq!(nul, "a_b_[2J");
        let long = format!("attachment; filename=\"{}\"", "é".repeat(500));
        assert_eq!(name(long.as_bytes(), "http://h/").unwrap().len(), 200);
    }

    #[test]
    fn any_header_gives_a_plain_name_or_none() {
        let bytes = b"filename*=\"';\\/.%25a\xff UTF-8''";
        let mut state = 1u32;
        for _ in 0..20_000 {
            let mut header = b"attachment; filename".to_vec();
            for _ in 0..state % 12 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                header.push(bytes[(state >> 16) as usize % bytes.len()]);
            }
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if let Some(name) = suggested(&header).as_deref().and_then(harmless) {
                let path = std::path::Path::new(&name);
                assert_eq!(path.file_name().unwrap(), name.as_str(), "{header:?}");
                assert!(!name.starts_with('.') && !name.contains('\\'), "{header:?}");
            }
        }
    }

    fn percent(text: &str) -> String {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    }
}
