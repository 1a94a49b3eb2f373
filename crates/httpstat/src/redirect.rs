//! What a redirect makes of a request (RFC 9110, section 15.4).

use hyper::{
    Method, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_LOCATION,
        CONTENT_RANGE, CONTENT_TYPE, COOKIE, HOST, HeaderName, LOCATION, PROXY_AUTHORIZATION,
        TRANSFER_ENCODING,
    },
};

use crate::{
    error::{Error, Kind},
    escape,
    exchange::Head,
    request::Ask,
};

/// The request that this response asks for, if it asks for one.
///
/// What proves who the user is goes to no other origin, and does not come back with a later
/// redirect either: whoever stands between could have chosen where it goes.
pub(crate) fn next(ask: &Ask, head: &Head) -> Result<Option<Ask>, Error> {
    let Some(method) = method(&ask.method, head.status) else { return Ok(None) };
    let Some(location) = head.headers.get(LOCATION) else { return Ok(None) };
    let refused = |why: &str| {
        let location = escape::bytes(location.as_bytes());
        let from = ask.target.as_str();
        Error::new(Kind::Redirect, format!("{from} redirects to \"{location}\", {why}"))
    };
    let text = str::from_utf8(location.as_bytes()).map_err(|_| refused("which is no URL"))?;
    let target = ask.target.join(text).map_err(|error| match error {
        Some(error) => refused(&format!("which is no URL: {error}")),
        None => refused("which is neither http nor https"),
    })?;

    let mut next = ask.clone();
    if target.origin() != ask.target.origin() {
        next.forget(&PERSONAL);
        next.is_elsewhere = true;
    }
    if method != ask.method {
        next.forget(&OF_A_BODY);
        next.payload = None;
    }
    next.method = method;
    next.go_to(target);
    Ok(Some(next))
}

/// The method to go on with, for a response that is a redirect.
fn method(asked: &Method, status: StatusCode) -> Option<Method> {
    match status {
        // As every browser does, and no method but POST.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if asked == Method::POST => {
            Some(Method::GET)
        }
        StatusCode::SEE_OTHER if asked != Method::HEAD => Some(Method::GET),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::SEE_OTHER
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => Some(asked.clone()),
        _ => None,
    }
}

/// How far redirects may lead, and where they have led already.
#[derive(Debug)]
pub(crate) struct Trail {
    limit: usize,
    seen: Vec<(Method, String)>,
}

impl Trail {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, seen: Vec::new() }
    }

    /// Takes the next step, or says why it is one too many.
    ///
    /// Nothing is remembered from one request to the next, so that the same one again gets the same
    /// answer again.
    pub(crate) fn step(&mut self, ask: &Ask) -> Result<(), Error> {
        let step = (ask.method.clone(), ask.target.as_str().to_owned());
        let url = &step.1;
        if self.seen.contains(&step) {
            let message = format!("the redirects go in a circle: back to {url}");
            return Err(Error::new(Kind::Redirect, message));
        }
        if self.seen.len() > self.limit {
            let message = format!(
                "more than {} redirects, the next one to {url}; allow more with --max-redirs",
                self.limit
            );
            return Err(Error::new(Kind::Redirect, message));
        }
        self.seen.push(step);
        Ok(())
    }
}

/// Headers that prove who the user is, or that are true of one host alone.
const PERSONAL: [HeaderName; 4] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HOST];
/// Headers that describe a body.
const OF_A_BODY: [HeaderName; 7] = [
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    TRANSFER_ENCODING,
];

#[cfg(test)]
mod tests {
    use hyper::{Version, header::HeaderMap};

    use super::*;
    use crate::{
        payload::{Data, Payload},
        request::Wishes,
        target::Target,
    };

    fn ask(url: &str, method: Method, edits: &[&str]) -> Ask {
        let wishes = Wishes {
            method,
            edits: edits.iter().map(|edit| edit.parse().unwrap()).collect(),
            payload: Some(Payload::from_arguments(&[Data::Raw("body".to_owned())]).unwrap()),
            ..Wishes::default()
        };
        Ask::new(Target::parse(url).unwrap(), wishes)
    }

    fn head(status: u16, location: &str) -> Head {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        Head { version: Version::HTTP_11, status, reason: None, headers }
    }

    #[test]
    fn methods_change_as_the_standard_says() {
        let cases = [
            (301, Method::POST, Some(Method::GET)),
            (302, Method::POST, Some(Method::GET)),
            (302, Method::PUT, Some(Method::PUT)),
            (303, Method::PUT, Some(Method::GET)),
            (303, Method::HEAD, Some(Method::HEAD)),
            (307, Method::POST, Some(Method::POST)),
            (308, Method::DELETE, Some(Method::DELETE)),
            (300, Method::GET, None),
            (304, Method::GET, None),
            (305, Method::GET, None),
            (201, Method::POST, None),
        ];
        for (status, asked, expected) in cases {
            let next = next(&ask("http://h/", asked.clone(), &[]), &head(status, "/x")).unwrap();
            let method = next.as_ref().map(|next| next.method.clone());
            assert_eq!(method, expected, "{status} after {asked}");
            if let Some(next) = next {
                assert_eq!(next.payload.is_some(), next.method == asked, "{status} {asked}");
                assert_eq!(next.target.as_str(), "http://h/x");
            }
        }
    }

    #[test]
    fn what_is_personal_stays_at_its_origin() {
        let edits = ["Authorization: a", "cookie: b", "Host: c", "X-Other: d"];
        let names = |ask: &Ask| ask.names().map(|name| name.to_string()).collect::<Vec<_>>();
        let there = |location: &str| {
            let ask = ask("http://me:secret@h/a", Method::GET, &edits);
            next(&ask, &head(302, location)).unwrap().unwrap()
        };
        for same in ["/b", "http://h/", "http://h:80/x"] {
            let next = there(same);
            assert!(names(&next).iter().any(|name| name == "cookie"), "{same}");
            assert!(!next.is_elsewhere, "{same}");
        }
        for other in ["https://h/", "http://h:81/", "//other/", "http://h.example/"] {
            let next = there(other);
            let left = names(&next);
            for name in ["authorization", "cookie", "host"] {
                assert!(!left.iter().any(|left| left == name), "{other}: {left:?}");
            }
            assert!(left.iter().any(|name| name == "x-other"), "{other}: {left:?}");
            assert!(next.is_elsewhere, "{other}");
            // And not on the way back.
            let back = super::next(&next, &head(302, "http://h/")).unwrap().unwrap();
            assert!(!names(&back).iter().any(|name| name == "authorization"), "{other}");
            assert!(back.is_elsewhere, "{other}");
        }
    }

    #[test]
    fn what_is_no_web_address_is_not_followed() {
        for location in ["file:///etc/passwd", "javascript:alert(1)", "http://", "http://[::"] {
            let error = next(&ask("http://h/", Method::GET, &[]), &head(302, location));
            let error = error.unwrap_err();
            assert_eq!(error.kind, Kind::Redirect, "{location}");
            assert!(error.message.contains(location), "{error}");
        }
    }

    #[test]
    fn circles_and_long_ways_end() {
        let step = |trail: &mut Trail, url: &str| trail.step(&ask(url, Method::GET, &[]));
        let mut trail = Trail::new(2);
        for url in ["http://h/1", "http://h/2", "http://h/3"] {
            step(&mut trail, url).unwrap();
        }
        assert!(step(&mut trail, "http://h/4").unwrap_err().message.contains("more than 2"));
        assert!(step(&mut trail, "http://h/2").unwrap_err().message.contains("circle"));
    }
}
