//! Phases and samples of a request as a vector picture.

use std::{fmt::Write as _, time::Duration};

use super::{
    Record,
    markup::{COLORS, NIGHT_COLORS, PICTURE_STYLE, Text},
    pretty::ABSENT,
    waterfall::{self, round_up},
};
use crate::{
    error::Error,
    escape,
    hop::Hop,
    series::{Course, Events, Series},
    server_timing::Metric,
    timeline::{Phase, Span},
    units,
};

/// A document of its own, with a picture for each request.
pub(crate) fn svg(record: &Record) -> String {
    let pictures: Vec<_> = record
        .hops
        .iter()
        .map(|hop| (heading(hop), Picture::of(hop, record.error_of(hop))))
        .collect();
    let heights = pictures.iter().map(|(_, picture)| HEADING_HEIGHT + picture.height);
    let error = record.error.as_ref();
    let height = heights.sum::<usize>() + if error.is_some() { ROW } else { 0 } + MARGIN * 2;
    let (width, title) = (WIDTH + MARGIN * 2, Text(&record.url).to_string());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" class=\"pic\" role=\"img\" \
         aria-labelledby=\"title\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<title id=\"title\">{title}</title>\n\
         <style>svg{{{COLORS}}}@media(prefers-color-scheme:dark){{svg{{{NIGHT_COLORS}}}}}\
         .back{{fill:var(--bg)}}{PICTURE_STYLE}</style>\n\
         <rect class=\"back\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    let mut y = MARGIN;
    for (heading, picture) in &pictures {
        let _ = writeln!(
            text,
            "<g transform=\"translate({MARGIN} {y})\"><text class=\"head\" y=\"16\">{}</text></g>\n\
             <g transform=\"translate({MARGIN} {})\">\n{}</g>",
            Text(heading),
            y + HEADING_HEIGHT,
            picture.content
        );
        y += HEADING_HEIGHT + picture.height;
    }
    if let Some(error) = error {
        let error = shortened(&error.to_string(), MAX_HEADING_LEN);
        let y = y + 16;
        let _ =
            writeln!(text, "<text class=\"bad\" x=\"{MARGIN}\" y=\"{y}\">{}</text>", Text(&error));
    }
    text + "</svg>\n"
}

/// The picture of one request, as an element of a page.
pub(super) fn inline(hop: &Hop, error: Option<&Error>, number: usize) -> String {
    let picture = Picture::of(hop, error);
    if picture.height == 0 {
        return String::new();
    }
    format!(
        "<svg class=\"pic\" role=\"img\" aria-labelledby=\"t{number} d{number}\" \
         viewBox=\"0 0 {WIDTH} {}\">\n<title id=\"t{number}\">Phases of {}</title>\n\
         <desc id=\"d{number}\">{}</desc>\n{}</svg>\n",
        picture.height,
        Text(&heading(hop)),
        Text(&picture.description),
        picture.content
    )
}

fn heading(hop: &Hop) -> String {
    shortened(&format!("{} {}", hop.method, hop.target.as_str()), MAX_HEADING_LEN)
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

struct Picture {
    content: String,
    height: usize,
    /// The same in words.
    description: String,
}

impl Picture {
    /// Empty for a request that never began.
    fn of(hop: &Hop, error: Option<&Error>) -> Self {
        let spans = hop.timeline.spans();
        let total = hop.timeline.total().filter(|_| !spans.is_empty());
        let mut picture = Self { content: String::new(), height: 0, description: String::new() };
        let Some(total) = total else { return picture };
        let course = Course::of(&hop.timeline, &hop.history);
        picture.height = ROW;
        for span in &spans {
            let failed = error.and_then(|error| error.phase) == Some(span.phase);
            picture.phase(span, total, failed);
            if span.phase == Phase::Server {
                picture.interims(hop, total);
                picture.metrics(&hop.exchange.server_timing(), span, total);
            }
        }
        let y = picture.text_line();
        let _ = writeln!(
            picture.content,
            "<text y=\"{y}\" font-weight=\"bold\">Total</text>\
             <text class=\"num\" x=\"{TIME_X}\" y=\"{y}\" font-weight=\"bold\">{}</text>",
            units::time(total)
        );
        picture.describe("Total", &units::time(total));
        picture.height += ROW;
        picture.trailers(hop);
        for series in &course.series {
            picture.curve(series, total);
        }
        for events in &course.events {
            picture.marks(events, total);
        }
        // Below all else.
        let grid = grid(total, picture.height);
        picture.content.insert_str(0, &grid);
        picture
    }

    fn describe(&mut self, what: &str, value: &str) {
        let gap = if self.description.is_empty() { "" } else { " " };
        let _ = write!(self.description, "{gap}{what}: {value}.");
    }

    /// Where the text of the row stands that comes next.
    fn text_line(&self) -> usize {
        self.height + 16
    }

    fn phase(&mut self, span: &Span, total: Duration, failed: bool) {
        let (y, text_y) = (self.height + 3, self.text_line());
        let left = x_of(span.start, total);
        let width = (x_of(span.start + span.length, total) - left).max(1.5);
        let height = ROW - 6;
        let (title, time) = (span.phase.title(), units::time(span.length));
        let share = Text(&waterfall::share(span.length, total)).to_string();
        let class = if failed { " class=\"bad\"" } else { "" };
        let fate = if failed { ", failed" } else { "" };
        let _ = writeln!(
            self.content,
            "<g><text{class} y=\"{text_y}\">{title}</text>\
             <text class=\"num\" x=\"{TIME_X}\" y=\"{text_y}\">{time}</text>\
             <text class=\"num dim\" x=\"{SHARE_X}\" y=\"{text_y}\">{share}</text>\
             <rect class=\"phase {}\" x=\"{left:.1}\" y=\"{y}\" width=\"{width:.1}\" \
             height=\"{height}\" rx=\"1\"><title>{title}{fate}: {time} ({share}), from {} to {}\
             </title></rect></g>",
            span.phase.key(),
            units::time(span.start),
            units::time(span.start + span.length),
        );
        self.describe(title, &format!("{time}{fate}"));
        self.height += ROW;
    }

    /// What the server said before its answer, where it said it.
    fn interims(&mut self, hop: &Hop, total: Duration) {
        let interims = hop.exchange.interims.kept();
        for interim in interims.iter().take(MAX_ROWS) {
            let at = hop.timeline.offset(interim.at);
            let (x, top) = (x_of(at, total), self.height + 3);
            let (status, time) = (interim.status.to_string(), units::time(at));
            let mark = format!(
                "<path class=\"notice\" d=\"M{x:.1} {top}v{}\"><title>{} after {time}</title></path>",
                ROW - 6,
                Text(&status)
            );
            self.detail(&status, &time, &mark);
            self.describe(&status, &format!("after {time}"));
        }
        let shown = interims.len().min(MAX_ROWS) as u64;
        self.rest(hop.exchange.interims.count().saturating_sub(shown));
    }

    /// What the server says about its own time. It tells no starts, so that all bars begin with its
    /// phase, and none leaves it.
    fn metrics(&mut self, metrics: &[Metric], span: &Span, total: Duration) {
        for metric in metrics.iter().take(MAX_ROWS) {
            let (left, y) = (x_of(span.start, total), self.height + 6);
            let words = metric.desc.as_deref().unwrap_or_default();
            let (time, content) = match metric.duration() {
                Some(length) => {
                    let right = x_of(span.start + length.min(span.length), total);
                    let (width, height) = ((right - left).max(1.5), ROW - 12);
                    let time = units::time(length);
                    let longer = if length > span.length { ", longer than its phase" } else { "" };
                    let bar = format!(
                        "<rect class=\"part server\" x=\"{left:.1}\" y=\"{y}\" \
                         width=\"{width:.1}\" height=\"{height}\"><title>{}: {time}{longer}, as the \
                         server says {}</title></rect>",
                        Text(&metric.name),
                        Text(words)
                    );
                    (time, bar)
                }
                None => (ABSENT.to_owned(), self.words(left, words)),
            };
            self.detail(&metric.name, &time, &content);
            self.describe(&metric.name, if metric.duration().is_some() { &time } else { words });
        }
        self.rest(metrics.len().saturating_sub(MAX_ROWS) as u64);
    }

    /// What came after the body.
    fn trailers(&mut self, hop: &Hop) {
        let Some(trailers) = &hop.exchange.body.trailers else { return };
        for (name, value) in trailers.iter().take(MAX_ROWS) {
            let (name, value) = (format!("trailer {name}"), escape::bytes(value.as_bytes()));
            let words = self.words(PLOT_X, &value);
            self.detail(&name, "", &words);
            self.describe(&name, &shortened(&value, MAX_WORDS_LEN));
        }
        self.rest(trailers.len().saturating_sub(MAX_ROWS) as u64);
    }

    /// A row below that to which it belongs.
    fn detail(&mut self, title: &str, time: &str, content: &str) {
        let y = self.text_line();
        let _ = writeln!(
            self.content,
            "<g><text class=\"dim\" x=\"10\" y=\"{y}\">{}<title>{}</title></text>\
             <text class=\"num dim\" x=\"{TIME_X}\" y=\"{y}\">{time}</text>{content}</g>",
            Text(&shortened(title, MAX_TITLE_LEN)),
            Text(title)
        );
        self.height += ROW;
    }

    /// Text in the place of a bar.
    fn words(&self, x: f64, words: &str) -> String {
        let words = shortened(words, MAX_WORDS_LEN);
        let (x, y) = (x + 3.0, self.text_line());
        format!("<text class=\"dim small\" x=\"{x:.1}\" y=\"{y}\">{}</text>", Text(&words))
    }

    /// Says how many rows are left out.
    fn rest(&mut self, count: u64) {
        if count > 0 {
            self.detail(&format!("and {} more", units::count(count)), "", "");
        }
    }

    fn curve(&mut self, series: &Series, total: Duration) {
        let values = series.columns(total, POINTS);
        let (least, most) = series.scale(&values);
        let (top, bottom) = ((self.height + 6) as f64, (self.height + CURVE_ROW - 6) as f64);
        let y_of = |value: f64| {
            let part = if most > least { (value - least) / (most - least) } else { 0.5 };
            bottom - (bottom - top) * part.clamp(0.0, 1.0)
        };
        let x_of = |number: usize| PLOT_X + PLOT_WIDTH * number as f64 / POINTS as f64;

        let (mut curve, mut first) = (String::new(), None);
        for (number, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let (x, y) = (x_of(number), y_of(*value));
            let end = x_of(number + 1);
            let _ = match first {
                None => {
                    first = Some(x);
                    write!(curve, "M{x:.1} {y:.1}H{end:.1}")
                }
                Some(_) => write!(curve, "V{y:.1}H{end:.1}"),
            };
        }
        let (title, range) = (series.title, series.unit.range(least, most));
        let (text_y, range_y) = (self.text_line(), self.text_line() + 16);
        let _ = writeln!(
            self.content,
            "<g><text y=\"{text_y}\">{title}</text>\
             <text class=\"dim small\" y=\"{range_y}\">{}</text>\
             <path class=\"grid\" d=\"M{PLOT_X} {bottom}H{}\"/>",
            Text(&range),
            PLOT_X + PLOT_WIDTH
        );
        if let Some(first) = first {
            let _ = writeln!(
                self.content,
                "<path class=\"area\" d=\"{curve}V{bottom}H{first:.1}Z\"/>\
                 <path class=\"curve\" d=\"{curve}\"/>"
            );
        }
        self.values(series, total);
        self.content.push_str("</g>\n");
        self.describe(title, &range);
        self.height += CURVE_ROW;
    }

    /// Places that say their value when they are pointed at.
    fn values(&mut self, series: &Series, total: Duration) {
        let width = PLOT_WIDTH / HITS as f64;
        for (number, value) in series.columns(total, HITS).into_iter().enumerate() {
            let Some(value) = value else { continue };
            let x = PLOT_X + width * number as f64;
            let time = total.mul_f64((number as f64 + 0.5) / HITS as f64);
            let _ = write!(
                self.content,
                "<rect class=\"hit\" x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" \
                 height=\"{CURVE_ROW}\"><title>{}: {}</title></rect>",
                self.height,
                units::time(time),
                Text(&series.unit.text(value))
            );
        }
    }

    fn marks(&mut self, events: &Events, total: Duration) {
        let text_y = self.text_line();
        let middle = self.height + ROW / 2;
        let count = units::count(events.total);
        let _ = writeln!(
            self.content,
            "<g><text y=\"{text_y}\">{}</text>\
             <text class=\"num\" x=\"{TIME_X}\" y=\"{text_y}\">{count}</text>",
            events.title
        );
        for event in &events.events {
            let x = x_of(event.at, total);
            let _ = write!(
                self.content,
                "<path class=\"mark\" d=\"M{:.1} {}l6 6m0 -6l-6 6\"><title>{}: {} {}\
                 </title></path>",
                x - 3.0,
                middle - 3,
                units::time(event.at),
                units::count(event.count),
                events.what
            );
        }
        self.content.push_str("</g>\n");
        self.describe(events.title, &count);
        self.height += ROW;
    }
}

/// Lines at round times, from the top to the bottom.
fn grid(total: Duration, bottom: usize) -> String {
    let widest = total.as_nanos() * LABEL_WIDTH / PLOT_WIDTH as u128;
    let step = round_up(u64::try_from(widest).unwrap_or(u64::MAX));
    let times = (0..=MAX_LABELS).map(|number| Duration::from_nanos(step.saturating_mul(number)));
    let mut grid = String::new();
    for time in times.take_while(|time| *time <= total) {
        let (x, label) = (x_of(time, total), units::tick(time));
        let _ = writeln!(
            grid,
            "<path class=\"grid\" d=\"M{x:.1} {ROW}V{bottom}\"/>\
             <text class=\"dim small\" x=\"{x:.1}\" y=\"14\">{label}</text>"
        );
    }
    grid
}

fn x_of(time: Duration, total: Duration) -> f64 {
    let total = total.as_secs_f64().max(f64::MIN_POSITIVE);
    PLOT_X + PLOT_WIDTH * (time.as_secs_f64() / total).clamp(0.0, 1.0)
}

const MARGIN: usize = 16;
const WIDTH: usize = 960;
const HEADING_HEIGHT: usize = 28;
const MAX_HEADING_LEN: usize = 110;
const ROW: usize = 22;
/// More details of one kind than that would hide the phases.
const MAX_ROWS: usize = 12;
/// What fits in front of the times, and into the plot.
const MAX_TITLE_LEN: usize = 17;
const MAX_WORDS_LEN: usize = 60;
const CURVE_ROW: usize = 52;
/// Right edges of the two columns of numbers.
const TIME_X: usize = 190;
const SHARE_X: usize = 232;
const PLOT_X: f64 = 245.0;
const PLOT_WIDTH: f64 = 700.0;
/// Steps of a curve, and places in it that tell their value.
const POINTS: usize = 350;
const HITS: usize = 140;
/// Room for a label above the grid, and no more of them than that leaves.
const LABEL_WIDTH: u128 = 70;
const MAX_LABELS: u64 = 12;
