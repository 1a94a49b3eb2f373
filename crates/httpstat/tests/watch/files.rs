//! The page and the picture: whole, harmless, and looked at by a browser.

use std::{
    fs, io::ErrorKind, net::TcpListener, path::Path, process::Command, thread, time::Duration,
};

use crate::{
    Test, has,
    once::once,
    server,
    server::Request,
    tool::{run, run_json},
};

pub(crate) fn trials() -> Vec<Test> {
    let chromium = has("chromium", "--version");
    let python = has("python3", "--version");
    vec![
        ("page_and_picture_stand_alone", true, they_stand_alone as fn()),
        ("what_else_the_server_says_is_in_both", true, what_else_the_server_says),
        ("a_request_that_fails_is_written_too", true, a_failure_is_written),
        ("a_file_that_cannot_be_written_is_an_error", true, an_unwritable_file),
        ("the_standard_output_is_no_file", true, the_standard_output),
        ("the_picture_is_well_formed", python, the_picture_is_well_formed),
        ("a_browser_shows_the_page_and_runs_nothing", chromium, a_browser_shows_the_page),
        ("a_browser_shows_the_picture", chromium, a_browser_shows_the_picture),
    ]
}

/// Whatever a server can do to a page: markup, an end of the element, an escape sequence.
fn hostile(mut request: Request) {
    request.write(
        b"HTTP/1.1 200 <script>document.title='owned'</script>\r\n\
          X-Script: </code></td></table><script>document.title='owned'</script>\r\n\
          X-Image: <img src=x onerror=\"document.title='owned'\">\r\n\
          X-Style: </style><style>*{display:none}</style>\r\n\
          X-Entity: &amp; &#0; ]]> <!-- \xe2\x80\xae\r\n\
          Content-Length: 5\r\n\r\nhello",
    );
}

fn written(folder: &Path, url: &str) -> (String, String) {
    let [page, picture] = ["page.html", "picture.svg"].map(|name| folder.join(name));
    let run = run(&[url, "--html", page.to_str().unwrap(), "--svg", picture.to_str().unwrap()]);
    assert_eq!(run.code, 0, "{run:?}");
    (fs::read_to_string(page).unwrap(), fs::read_to_string(picture).unwrap())
}

fn they_stand_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = server::local(hostile);
    let (page, picture) = written(folder.path(), &url);
    for part in ["default-src 'none'", "Verdict", "Content transfer", "x-script", "user-agent"] {
        assert!(page.contains(part), "{part:?} is not in the page");
    }
    for text in [&page, &picture] {
        for forbidden in ["<script", "<img", "<link", "src=", "@import", "url(", "\u{202e}"] {
            let text = text.replace("src=x onerror", "");
            assert!(!text.contains(forbidden), "{forbidden:?} is in the file");
        }
        assert!(text.contains("prefers-color-scheme:dark") && text.contains("<title"));
        // What is linked to would be loaded, or would lead away.
        assert_eq!(text.matches("href").count(), 0);
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
}

/// Early hints, its own times and trailers, none of them harmless.
fn talkative(mut request: Request) {
    request.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>;<b>\r\n\r\n");
    thread::sleep(Duration::from_millis(20));
    request.write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\
          Server-Timing: db;dur=12.5;desc=\"<i>query\", slow;dur=9000, cache;desc=\"<u>miss\"\r\n\r\n\
          5\r\nhello\r\n0\r\nX-Sum: <s>five\r\nServer-Timing: late;dur=1\r\n\r\n",
    );
}

fn what_else_the_server_says() {
    let folder = tempfile::tempdir().unwrap();
    let (page, picture) = written(folder.path(), &server::local(talkative));
    for text in [&page, &picture] {
        for part in [
            // Each in the picture, which the page holds too.
            ">103 Early Hints<title>",
            "<path class=\"notice\"",
            ">db<title>",
            "<title>db: 12.5ms, as the server says &lt;i&gt;query</title>",
            "<title>slow: 9.000s, longer than its phase, as the server says </title>",
            ">cache<title>",
            ">&lt;u&gt;miss</text>",
            ">late<title>",
            ">trailer x-sum<title>",
            ">&lt;s&gt;five</text>",
        ] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
        assert!(!["<i>", "<u>", "<s>", "<b>"].iter().any(|mark| text.contains(mark)), "{text}");
    }
    for part in [
        "<h3>Interim response</h3>",
        "<code>103 Early Hints after ",
        "<code>&lt;/a&gt;;&lt;b&gt;</code>",
        "<h3>Trailers</h3>",
        "<code>&lt;s&gt;five</code>",
        "<h3>Server-Timing</h3>",
        "<td class=\"num\">12.5ms</td><td>&lt;i&gt;query</td>",
        "<td class=\"num\">–</td><td>&lt;u&gt;miss</td>",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    once(the_picture_is_as_high_as_what_is_in_it);
}

fn the_picture_is_as_high_as_what_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let height = |serve: fn(Request)| -> f64 {
        let (_, picture) = written(folder.path(), &server::local(serve));
        let view = picture.split("viewBox=\"0 0 ").nth(1).unwrap().split('"').next().unwrap();
        view.split(' ').nth(1).unwrap().parse().unwrap()
    };
    // A slow request may have a finding more.
    assert!(height(talkative) >= height(server::brief) + 6.0 * 22.0);
}

fn a_failure_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let [page, picture] = ["page.html", "picture.svg"].map(|name| folder.path().join(name));
    fs::write(&page, "old").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let options = ["--html", page.to_str().unwrap(), "--svg", picture.to_str().unwrap()];
    let (run, _) = run_json(&[&[url.as_str(), "--max-time", "0.2"], options.as_slice()].concat());
    assert_eq!(run.code, 28, "{run:?}");
    for path in [page, picture] {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains("no response from"), "{text}");
        assert!(text.contains("Server processing"), "{text}");
    }
    // Nothing was even begun.
    let early = folder.path().join("early.html");
    let (run, _) = run_json(&["ftp://host/", "--html", early.to_str().unwrap()]);
    assert_eq!(run.code, 3);
    assert!(fs::read_to_string(early).unwrap().contains("ftp"));
}

fn an_unwritable_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").join("page.html");
    // Nobody answers there: whatever is asked for fails with another code.
    let url = "http://127.0.0.1:1/";
    for option in ["--html", "--svg"] {
        let run = run(&[url, option, missing.to_str().unwrap()]);
        assert_eq!(run.code, 23, "{run:?}");
        assert!(run.complaint().contains("cannot write") && run.complaint().contains("missing"));
        assert_eq!(run.stdout, "", "nothing is measured that could not be written");
        let run = crate::tool::run(&[url, option, folder.path().to_str().unwrap()]);
        assert_eq!(run.code, 23, "{run:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn the_standard_output() {
    assert_eq!(run(&["http://127.0.0.1:1/", "--html", "-"]).code, 2);
    assert_eq!(run(&["http://127.0.0.1:1/", "--svg", ""]).code, 2);
    assert_eq!(run(&["http://127.0.0.1:1/", "--svg", "/dev/stdout"]).code, 2);
}

fn the_picture_is_well_formed() {
    let folder = tempfile::tempdir().unwrap();
    for server in [hostile, talkative, server::pausing] {
        let url = server::local(server);
        written(folder.path(), &format!("{url}?a=1&b=%3Csvg%3E'\""));
        let parse = "import sys, xml.dom.minidom as m; m.parse(sys.argv[1])";
        let parsed = Command::new("python3")
            .args(["-c", parse])
            .arg(folder.path().join("picture.svg"))
            .output()
            .unwrap();
        assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    }
}

fn a_browser_shows_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let tempting = listener.local_addr().unwrap();
    let path = format!("<img src=//{tempting}/>\"'><script>document.title='owned'</script>");
    written(folder.path(), &format!("{}{path}", server::local(hostile)));
    let page = folder.path().join("page.html");
    let dom = browse(&folder, &["--dump-dom"], &page);
    let title = dom.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
    assert!(title.starts_with("httpstat http"), "{title}");
    for part in ["<svg", "Verdict", "at first byte", "x-script"] {
        assert!(dom.contains(part), "{part:?} is not in {dom}");
    }
    assert!(!dom.contains("<img") && !dom.contains("<script"), "{dom}");
    shot(&folder, &page);
    let called = listener.accept().map_err(|error| error.kind());
    assert_eq!(called.map(drop), Err(ErrorKind::WouldBlock), "the page called somebody");
}

fn a_browser_shows_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), &server::local(server::pausing));
    shot(&folder, &folder.path().join("picture.svg"));
}

/// Takes a picture of a file in the browser, which must show something.
fn shot(folder: &tempfile::TempDir, file: &Path) {
    let image = folder.path().join("shot.png");
    let option = format!("--screenshot={}", image.display());
    browse(folder, &[&option, "--window-size=1000,1200"], file);
    let bytes = fs::read(&image).unwrap();
    assert!(bytes.starts_with(b"\x89PNG"));
    // An empty page, all of one colour, takes about five thousand.
    assert!(bytes.len() > 15_000, "{} bytes", bytes.len());
    fs::remove_file(image).unwrap();
}

fn browse(folder: &tempfile::TempDir, options: &[&str], file: &Path) -> String {
    let profile = format!("--user-data-dir={}", folder.path().join("profile").display());
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .arg(profile)
        .args(options)
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
