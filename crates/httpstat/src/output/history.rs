//! The socket over time, as JSON has it.

use serde::Serialize;

use crate::{
    hop::Hop,
    samples::{Extremes, Facts},
};

/// What the kernel said at the moments of a request and, if that is asked for, between them.
#[derive(Serialize)]
pub(super) struct HistoryView<'a> {
    moments: Vec<MomentView<'a>>,
    /// The time between samples at the end: it doubles where there were too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_interval_ms: Option<f64>,
    samples_taken: u64,
    extremes: &'a Extremes,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<Vec<SampleView<'a>>>,
}

#[derive(Serialize)]
struct MomentView<'a> {
    moment: &'static str,
    #[serde(flatten)]
    sample: SampleView<'a>,
}

#[derive(Serialize)]
struct SampleView<'a> {
    at_ms: f64,
    #[serde(flatten)]
    facts: &'a Facts,
}

impl<'a> HistoryView<'a> {
    /// Absent if nothing is known of the socket.
    pub(super) fn of(hop: &'a Hop, with_samples: bool) -> Option<Self> {
        let history = &hop.history;
        let at_ms = |at| hop.timeline.offset(at).as_nanos() as f64 / 1e6;
        let samples = || {
            let samples = history.samples();
            samples.map(|sample| SampleView { at_ms: at_ms(sample.at), facts: &sample.facts })
        };
        let moments: Vec<_> = history
            .moments()
            .map(|(moment, sample)| MomentView {
                moment: moment.key(),
                sample: SampleView { at_ms: at_ms(sample.at), facts: &sample.facts },
            })
            .collect();
        (!moments.is_empty()).then(|| Self {
            moments,
            sample_interval_ms: history.interval().map(|interval| interval.as_secs_f64() * 1e3),
            samples_taken: history.taken(),
            extremes: history.extremes(),
            samples: with_samples.then(|| samples().collect()),
        })
    }
}
