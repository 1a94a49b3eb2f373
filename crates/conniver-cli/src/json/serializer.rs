//! Writes what serializes itself into a buffer. Thousands of sockets with over a hundred facts each
//! are written, so every fact is one append to a buffer.

use std::{fmt, fmt::Display, io::Write as _};

use serde::{Serialize, Serializer, ser};

use crate::text::Put as _;

/// Appends one value.
pub(super) fn put(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    value.serialize(Json { out })
}

/// A value that JSON has no form for, or that says itself that it cannot be written.
#[derive(Debug)]
pub(super) struct Unwritable;

impl Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has no form in JSON")
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

struct Json<'a> {
    out: &'a mut Vec<u8>,
}

/// An array or object that was begun.
struct Open<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
    end: &'static [u8],
}

impl<'a> Open<'a> {
    fn new(out: &'a mut Vec<u8>, begin: &'static [u8], end: &'static [u8]) -> Self {
        out.extend_from_slice(begin);
        Self { out, is_empty: true, end }
    }

    #[inline]
    fn comma(&mut self) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
    }

    fn finish(self) {
        self.out.extend_from_slice(self.end);
    }
}

/// Text between quotes.
#[inline]
pub(crate) fn put_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if is_plain(text.as_bytes()) {
        out.put(text);
    } else {
        put_escaped(text, out);
    }
    out.push(b'"');
}

/// Whether no byte of it needs an escape; eight at once.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGHS: u64 = ONES << 7;
    // Each leaves a bit where a byte is smaller than another, or zero, and none where no byte is.
    let has_less = |word: u64, than: u8| word.wrapping_sub(ONES * u64::from(than)) & !word & HIGHS;
    let has = |word: u64, byte: u8| has_less(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = text.as_chunks::<8>();
    let are_plain = words.iter().all(|word| {
        let word = u64::from_ne_bytes(*word);
        has_less(word, b' ') | has(word, b'"') | has(word, b'\\') == 0
    });
    are_plain && rest.iter().all(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\')
}

#[cold]
fn put_escaped(text: &str, out: &mut Vec<u8>) {
    for c in text.chars() {
        match c {
            '"' => out.put("\\\""),
            '\\' => out.put("\\\\"),
            '\n' => out.put("\\n"),
            '\r' => out.put("\\r"),
            '\t' => out.put("\\t"),
            '\0'..=' ' if c != ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.put(c.encode_utf8(&mut [0; 4])),
        }
    }
}

macro_rules! unsigned {
    ($($method:ident($ty:ty)),*) => {$(
        #[inline]
        fn $method(self, number: $ty) -> Result<(), Unwritable> {
            self.out.put_number(u64::from(number));
            Ok(())
        }
    )*};
}

macro_rules! signed {
    ($($method:ident($ty:ty)),*) => {$(
        fn $method(self, number: $ty) -> Result<(), Unwritable> {
            if number < 0 {
                self.out.push(b'-');
            }
            self.out.put_number(i64::from(number).unsigned_abs());
            Ok(())
        }
    )*};
}

impl<'a> Serializer for Json<'a> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Open<'a>;
    type SerializeTuple = Open<'a>;
    type SerializeTupleStruct = Open<'a>;
    type SerializeTupleVariant = ser::Impossible<(), Unwritable>;
    type SerializeMap = Open<'a>;
    type SerializeStruct = Open<'a>;
    type SerializeStructVariant = ser::Impossible<(), Unwritable>;

    unsigned!(serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64));
    signed!(serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64));

    fn serialize_bool(self, flag: bool) -> Result<(), Unwritable> {
        self.out.put(if flag { "true" } else { "false" });
        Ok(())
    }

    fn serialize_f32(self, number: f32) -> Result<(), Unwritable> {
        self.serialize_f64(f64::from(number))
    }

    fn serialize_f64(self, number: f64) -> Result<(), Unwritable> {
        if !number.is_finite() {
            return self.serialize_unit();
        }
        let _ = write!(self.out, "{number:?}");
        Ok(())
    }

    fn serialize_char(self, c: char) -> Result<(), Unwritable> {
        self.serialize_str(c.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, text: &str) -> Result<(), Unwritable> {
        put_text(text, self.out);
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Unwritable> {
        self.out.push(b'"');
        let start = self.out.len();
        let _ = write!(self.out, "{value}");
        if !is_plain(self.out.get(start..).unwrap_or_default()) {
            let text = self.out.split_off(start);
            put_escaped(&String::from_utf8_lossy(&text), self.out);
        }
        self.out.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Unwritable> {
        self.collect_seq(bytes)
    }

    fn serialize_none(self) -> Result<(), Unwritable> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unwritable> {
        self.out.put("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Unwritable> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        self.collect_map([(variant, value)])
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Open<'a>, Unwritable> {
        Ok(Open::new(self.out, b"[", b"]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Open<'a>, Unwritable> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Unwritable> {
        self.serialize_seq(None)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unwritable> {
        Err(Unwritable)
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Open<'a>, Unwritable> {
        Ok(Open::new(self.out, b"{", b"}"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Open<'a>, Unwritable> {
        self.serialize_map(None)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unwritable> {
        Err(Unwritable)
    }
}

impl ser::SerializeSeq for Open<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.comma();
        value.serialize(Json { out: self.out })
    }

    fn end(self) -> Result<(), Unwritable> {
        self.finish();
        Ok(())
    }
}

macro_rules! like_sequences {
    ($($trait:ident::$method:ident),*) => {$(
        impl ser::$trait for Open<'_> {
            type Ok = ();
            type Error = Unwritable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
                ser::SerializeSeq::serialize_element(self, value)
            }

            fn end(self) -> Result<(), Unwritable> {
                self.finish();
                Ok(())
            }
        }
    )*};
}

like_sequences!(SerializeTuple::serialize_element, SerializeTupleStruct::serialize_field);

impl ser::SerializeMap for Open<'_> {
    type Ok = ();
    type Error = Unwritable;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritable> {
        self.comma();
        let start = self.out.len();
        key.serialize(Json { out: self.out })?;
        // Keys are text, whatever they are made of.
        if self.out.get(start) != Some(&b'"') { Err(Unwritable) } else { Ok(()) }
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.out.push(b':');
        value.serialize(Json { out: self.out })
    }

    fn end(self) -> Result<(), Unwritable> {
        self.finish();
        Ok(())
    }
}

impl ser::SerializeStruct for Open<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        ser::SerializeMap::serialize_entry(self, key, value)
    }

    fn end(self) -> Result<(), Unwritable> {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_written_is_read_by_another_as_it_was() {
        let value = json!({
            "text": "plain", "hostile": "\u{1b}[2J\0\u{7f}\"\\\r\n\t日本", "": null,
            "numbers": [0, 1, u64::MAX, i64::MIN, -1, 0.5, 1e300, 1.0],
            "flags": [true, false], "empty": [{}, []],
        });
        let mut out = Vec::new();
        put(&value, &mut out).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), value);
        let mut out = Vec::new();
        put(&[f64::NAN, f64::INFINITY], &mut out).unwrap();
        assert_eq!(out, b"[null,null]");
    }

    #[test]
    fn what_needs_an_escape_is_seen_wherever_it_stands() {
        for len in 0..20 {
            for place in 0..len {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'x'; len];
                    text[place] = byte;
                    let expected = byte >= b' ' && !matches!(byte, b'"' | b'\\');
                    assert_eq!(is_plain(&text), expected, "{byte} at {place} of {len}");
                }
            }
        }
    }

    #[test]
    fn keys_are_text() {
        assert!(put(&std::collections::BTreeMap::from([(1, 2)]), &mut Vec::new()).is_err());
    }
}
