//! Text for HTML and XML.

use std::fmt;

use crate::escape;

/// Text as content or as the value of an attribute, of HTML and of XML alike.
///
/// What a terminal might act on is shown as an escape here too: a direction mark can make one host
/// name look like another, and XML has no place for most control characters.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in escape::text(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\u{fffe}' | '\u{ffff}' => f.write_str("\u{fffd}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// The colours, of day and of night, each with one meaning. Nothing is told by colour alone.
pub(super) const COLORS: &str = "\
--bg:#fff;--fg:#1c2128;--dim:#57606a;--line:#d0d7de;--hover:#57606a33;--bad:#b3261e;\
--dns:#0b7285;--connect:#2b8a3e;--tls:#9c36b5;--send:#b08500;--server:#c45100;--transfer:#1864ab;\
--other:#495057;--curve:#1864ab;--fill:#1864ab22";
pub(super) const NIGHT_COLORS: &str = "\
--bg:#14181d;--fg:#e6edf3;--dim:#9aa5b1;--line:#38414b;--hover:#9aa5b133;--bad:#ff8a80;\
--dns:#3bc9db;--connect:#69db7c;--tls:#da77f2;--send:#ffd43b;--server:#ffa94d;--transfer:#74c0fc;\
--other:#adb5bd;--curve:#74c0fc;--fill:#74c0fc22";

/// How a picture's parts look.
pub(super) const PICTURE_STYLE: &str = "\
.pic{font:13px system-ui,sans-serif;fill:var(--fg)}\
.pic .num{text-anchor:end;font-variant-numeric:tabular-nums}\
.pic .dim{fill:var(--dim)}.pic .bad{fill:var(--bad);font-weight:bold}\
.pic .small{font-size:11px}.pic .head{font-size:15px;font-weight:bold}\
.pic .grid{stroke:var(--line);fill:none}\
.pic .curve{stroke:var(--curve);stroke-width:1.5;fill:none}.pic .area{fill:var(--fill);stroke:none}\
.pic .mark{stroke:var(--bad);stroke-width:1.5;fill:none}\
.pic .hit{fill:#000;fill-opacity:0}.pic .hit:hover{fill:var(--hover);fill-opacity:1}\
.pic .notice{stroke:var(--fg);stroke-width:2;fill:none}.pic .part{fill-opacity:.45}\
.pic .phase{fill:var(--other)}\
.pic .dns{fill:var(--dns)}.pic .connect{fill:var(--connect)}.pic .tls{fill:var(--tls)}\
.pic .send{fill:var(--send)}.pic .server{fill:var(--server)}.pic .transfer{fill:var(--transfer)}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_place() {
        let text = Text("<b a='1' c=\"&\">\u{0}\u{1b}\u{202e}\u{ffff}\u{9b}").to_string();
        let expected =
            "&lt;b a=&#39;1&#39; c=&quot;&amp;&quot;&gt;\\x00\\x1b\\u{202e}\u{fffd}\\u{9b}";
        assert_eq!(text, expected);
    }
}
