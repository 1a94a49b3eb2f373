//! Every verdict, each from the readings that call for it.

use std::time::Instant;

use super::*;
use crate::samples::Moment;

const MS: Duration = Duration::from_millis(1);

/// A request whose phases and readings are made up.
struct Scene {
    zero: Instant,
    timeline: Timeline,
    history: History,
    sent: u64,
    received: u64,
}

impl Scene {
    /// A download of a second after 100 ms, a reading every 10 ms, over a clear path of 20 ms.
    fn download(change: impl Fn(u32, &mut Facts)) -> Self {
        Self::lasting(100, change)
    }

    fn lasting(readings: u32, change: impl Fn(u32, &mut Facts)) -> Self {
        let zero = Instant::now();
        let mut timeline = Timeline::default();
        timeline.enter(Phase::Connect, zero);
        timeline.enter(Phase::Send, zero + MS * 50);
        timeline.enter(Phase::Server, zero + MS * 50);
        timeline.enter(Phase::Transfer, zero + MS * 100);
        timeline.end(zero + MS * (100 + 10 * readings));
        let mut history = History::new(Some(MS * 10));
        for number in 0..=readings {
            let rx_bytes = u64::from(number) * 145_000;
            let mut facts = Facts {
                rtt: Some(MS * 20),
                rx_rtt: Some(MS * 21),
                min_rtt: Some(MS * 20),
                rx_bytes: Some(rx_bytes),
                read: rx_bytes,
                rx_data_segs: Some(u64::from(number) * 100),
                rx_out_of_order_packets: Some(0),
                rx_window: Some(3_000_000),
                tx_mss: Some(1_448),
                rx_mss: Some(1_448),
                last_rx_age: Some(Duration::ZERO),
                ..Facts::default()
            };
            change(number, &mut facts);
            history.push(Sample { at: zero + MS * (100 + 10 * number), facts });
        }
        Self { zero, timeline, history, sent: 0, received: 14_500_000 }
    }

    /// An upload of a second after 50 ms, of which the request takes 900 ms.
    fn upload(change: impl Fn(u32, &mut Facts)) -> Self {
        let zero = Instant::now();
        let mut timeline = Timeline::default();
        timeline.enter(Phase::Connect, zero);
        timeline.enter(Phase::Send, zero + MS * 50);
        timeline.enter(Phase::Server, zero + MS * 950);
        timeline.enter(Phase::Transfer, zero + MS * 1_050);
        timeline.end(zero + MS * 1_050);
        let mut history = History::new(Some(MS * 10));
        for number in 0..=100 {
            let mut facts = Facts {
                rtt: Some(MS * 20),
                min_rtt: Some(MS * 20),
                tx_cwnd_segs: Some(100),
                tx_cwnd: Some(144_800),
                in_flight_segs: Some(90),
                tx_data_segs: Some(u64::from(number) * 100),
                retransmitted_segs: Some(0),
                tx_window: Some(3_000_000),
                busy_time: Some(MS * 10 * number),
                peer_window_limited: Some(Duration::ZERO),
                send_buffer_limited: Some(Duration::ZERO),
                ..Facts::default()
            };
            change(number, &mut facts);
            history.push(Sample { at: zero + MS * (50 + 10 * number), facts });
        }
        Self { zero, timeline, history, sent: 14_500_000, received: 0 }
    }

    fn verdict(&self) -> Verdict {
        judge(&self.timeline, &self.history, self.sent, self.received)
    }

    fn transfer(&self) -> Finding {
        self.verdict().transfer.unwrap()
    }

    fn up(&self) -> Finding {
        self.verdict().upload.unwrap()
    }
}

fn value(finding: &Finding, measure: &str) -> f64 {
    let found = finding.evidence.iter().find(|evidence| evidence.measure == measure);
    found.unwrap_or_else(|| panic!("no {measure} in {finding:?}")).value
}

#[test]
fn a_response_without_a_body_is_no_download() {
    let mut scene = Scene::download(|_, _| {});
    scene.history = History::default();
    assert_eq!(scene.transfer().bound, Bound::Unknown);
    scene.received = 0;
    assert_eq!(scene.verdict().transfer, None);
}

#[test]
fn a_body_that_never_begins_is_bound_by_the_server() {
    let mut scene = Scene::download(|number, facts| {
        (facts.rx_bytes, facts.read, facts.rx_data_segs) = (Some(0), 0, Some(0));
        facts.last_rx_age = Some(MS * 10 * number);
    });
    scene.received = 0;
    assert_eq!(scene.transfer().bound, Bound::Server);
}

/// The kernel takes a small body at once, and gets rid of it only as the server makes room.
#[test]
fn time_of_the_upload_is_not_taken_for_the_servers() {
    let mut scene = Scene::upload(|number, facts| {
        facts.written = 300_000;
        facts.in_flight_segs = Some(u64::from(number < 80));
        facts.unsent_bytes = Some(if number < 80 { 100_000 } else { 0 });
        facts.peer_window_limited = Some(MS * 10 * number.min(79));
    });
    scene.timeline = Timeline::default();
    for (phase, at) in [(Phase::Connect, 0), (Phase::Send, 50), (Phase::Server, 51)] {
        scene.timeline.enter(phase, scene.zero + MS * at);
    }
    scene.timeline.enter(Phase::Transfer, scene.zero + MS * 1_050);
    scene.timeline.end(scene.zero + MS * 1_050);
    let verdict = scene.verdict();
    let dominant = verdict.dominant.unwrap();
    assert_eq!(dominant.phase, Phase::Server);
    // Until the reading at 50 + 790 ms, counted from 51 ms on.
    assert_eq!(dominant.still_sending, Some(MS * 789));
    assert_eq!(verdict.upload.unwrap().bound, Bound::PeerWindow);

    scene.sent = 0;
    assert_eq!(scene.verdict().dominant.unwrap().still_sending, None, "there is no upload");
    let mut quick = Scene::upload(|number, facts| {
        facts.in_flight_segs = Some(u64::from(number < 5));
    });
    (quick.timeline, quick.sent) = (scene.timeline.clone(), 3);
    let verdict = quick.verdict();
    assert_eq!(verdict.dominant.unwrap().still_sending, None, "it is little");
}

#[test]
fn of_a_trifle_nothing_needs_to_be_said() {
    let little = |received: u64, readings: u32| {
        let mut scene = Scene::lasting(readings, |_, _| {});
        scene.received = received;
        scene.transfer()
    };
    let tiny = little(4_000, 1);
    assert!(tiny.bound == Bound::Unknown && tiny.is_trifle);
    assert!(!little(4_000, 3).is_trifle, "thirty milliseconds are worth a word");
    assert!(!little(100_000, 1).is_trifle);
    let bound = little(4_000, 100);
    assert!(!bound.is_trifle);
}

#[test]
fn the_longest_phase_dominates_and_the_first_of_equals() {
    let dominant = Scene::download(|_, _| {}).verdict().dominant.unwrap();
    assert_eq!(dominant.phase, Phase::Transfer);
    assert!((dominant.share - 1_000.0 / 1_100.0).abs() < 1e-9);
    let zero = Instant::now();
    let mut timeline = Timeline::default();
    timeline.enter(Phase::Dns, zero);
    timeline.enter(Phase::Connect, zero + MS);
    timeline.end(zero + MS * 2);
    let verdict = judge(&timeline, &History::default(), 0, 0);
    assert_eq!(verdict.dominant.unwrap().phase, Phase::Dns);
    assert_eq!((verdict.upload, verdict.transfer), (None, None));
    assert_eq!(judge(&Timeline::default(), &History::default(), 0, 0).dominant, None);
}

#[test]
fn a_steady_download_shows_no_limit() {
    let finding = Scene::download(|_, _| {}).transfer();
    assert_eq!(finding.bound, Bound::Unknown, "{finding:?}");
    assert!((value(&finding, "bytes_per_s") - 14.5e6).abs() < 1e3);
}

#[test]
fn a_server_that_pauses_binds_the_download() {
    // 100 ms of every 100 ms but 20 nothing comes.
    let pausing = |number: u32, facts: &mut Facts| {
        let bursts = u64::from(number / 10 + u32::from(number % 10 >= 2));
        facts.rx_bytes = Some(bursts * 1_450_000);
        facts.read = bursts * 1_450_000;
        facts.rx_data_segs = Some(bursts * 1_000);
    };
    let finding = Scene::download(pausing).transfer();
    assert_eq!(finding.bound, Bound::Server, "{finding:?}");
    assert!((0.7..0.95).contains(&value(&finding, "starved_share")), "{finding:?}");
    assert!((80.0..=100.0).contains(&value(&finding, "longest_silence_ms")), "{finding:?}");

    // Nothing at all came until the limit.
    let silent = |_: u32, facts: &mut Facts| {
        (facts.rx_bytes, facts.read) = (Some(500), 500);
        facts.last_rx_age = None;
    };
    let finding = Scene::download(silent).transfer();
    assert_eq!(finding.bound, Bound::Server, "{finding:?}");
    assert_eq!(value(&finding, "starved_share"), 1.0);
}

#[test]
fn silence_within_an_interval_is_seen_by_its_age() {
    // Each burst comes right after a reading: all readings see new bytes, none of them fresh.
    let scene = |age: Duration| {
        let mut scene = Scene::lasting(10, |_, _| {});
        scene.history = History::new(Some(MS * 100));
        scene.timeline = Timeline::default();
        scene.timeline.enter(Phase::Transfer, scene.zero);
        scene.timeline.end(scene.zero + MS * 1_000);
        for number in 0..=10u32 {
            let rx_bytes = u64::from(number) * 10_000;
            let facts = Facts {
                rx_bytes: Some(rx_bytes),
                read: rx_bytes,
                min_rtt: Some(MS),
                rx_window: Some(1_000_000),
                last_rx_age: Some(age),
                ..Facts::default()
            };
            scene.history.push(Sample { at: scene.zero + MS * 100 * number, facts });
        }
        scene.transfer()
    };
    let finding = scene(MS * 96);
    assert_eq!(finding.bound, Bound::Server, "{finding:?}");
    assert_eq!(scene(MS).bound, Bound::Unknown);
}

#[test]
fn segments_that_are_not_full_are_those_of_a_server_with_nothing_more() {
    let trickling = |number: u32, facts: &mut Facts| {
        facts.rx_bytes = Some(u64::from(number) * 500);
        facts.read = u64::from(number) * 500;
        facts.rx_data_segs = Some(u64::from(number) * 5);
        facts.rx_mss = Some(536);
    };
    let finding = Scene::download(trickling).transfer();
    assert_eq!(finding.bound, Bound::Server, "{finding:?}");
    assert!((value(&finding, "mean_segment_bytes") - 100.0).abs() < 1.0);
}

#[test]
fn a_receiver_that_does_not_read_binds_the_download() {
    let full = |share: u32| {
        move |number: u32, facts: &mut Facts| {
            if number % 10 < share {
                facts.rx_window = Some(0);
                facts.read = facts.rx_bytes.unwrap().saturating_sub(2_000_000);
            }
        }
    };
    for share in [9, 6, 3] {
        let finding = Scene::download(full(share)).transfer();
        assert_eq!(finding.bound, Bound::ReceiveWindow, "{finding:?}");
        let measured = value(&finding, "window_closed_share");
        assert!((measured - f64::from(share) / 10.0).abs() < 0.02, "{finding:?}");
    }
    assert_eq!(Scene::download(full(1)).transfer().bound, Bound::Unknown);
}

#[test]
fn silence_behind_our_own_closed_window_is_not_the_servers() {
    let stuck = |number: u32, facts: &mut Facts| {
        if number > 20 {
            facts.rx_bytes = Some(2_900_000);
            facts.read = 900_000;
            facts.rx_window = Some(0);
        }
    };
    let finding = Scene::download(stuck).transfer();
    assert_eq!(finding.bound, Bound::ReceiveWindow, "{finding:?}");
}

#[test]
fn a_window_that_a_round_trip_fills_binds_the_download() {
    // 290 kB arrive in each round trip of 20 ms.
    let small = |_: u32, facts: &mut Facts| facts.rx_window = Some(310_000);
    let finding = Scene::download(small).transfer();
    assert_eq!(finding.bound, Bound::ReceiveWindow, "{finding:?}");
    assert!(value(&finding, "window_use_share") > 0.9);
}

#[test]
fn packets_out_of_order_tell_of_the_path() {
    let lossy = |share: u64| {
        move |number: u32, facts: &mut Facts| {
            facts.rx_out_of_order_packets = Some(u64::from(number) * share);
        }
    };
    let finding = Scene::download(lossy(3)).transfer();
    assert_eq!(finding.bound, Bound::Path, "{finding:?}");
    assert!((value(&finding, "out_of_order_share") - 0.03).abs() < 1e-9);
    // Also where the server waits for its timeouts, which looks like silence.
    let waiting = |number: u32, facts: &mut Facts| {
        let bursts = u64::from(number / 30);
        facts.rx_bytes = Some(bursts * 1_450_000);
        facts.read = bursts * 1_450_000;
        facts.rx_out_of_order_packets = Some(bursts * 200);
    };
    assert_eq!(Scene::download(waiting).transfer().bound, Bound::Path);
    assert_eq!(
        Scene::download(|n, facts| {
            facts.rx_out_of_order_packets = Some(u64::from(n >= 50));
        })
        .transfer()
        .bound,
        Bound::Unknown,
        "one packet is no loss to speak of"
    );
}

#[test]
fn a_round_trip_far_above_its_least_tells_of_the_path() {
    let finding = Scene::download(|_, facts| facts.rx_rtt = Some(MS * 90)).transfer();
    assert_eq!(finding.bound, Bound::Path, "{finding:?}");
    assert_eq!(value(&finding, "rtt_ms"), 90.0);
    let short = Scene::download(|_, facts| {
        facts.rx_rtt = Some(MS * 3);
        facts.min_rtt = Some(MS);
    });
    assert_eq!(short.transfer().bound, Bound::Unknown, "two milliseconds are no queue");
}

#[test]
fn what_still_grows_at_the_end_was_bound_by_slow_start() {
    // Five round trips of 40 ms, each with twice the bytes of the last.
    let growing = |number: u32, facts: &mut Facts| {
        let bytes = 14_480.0 * (2f64.powf(f64::from(number) / 4.0) - 1.0);
        facts.rx_bytes = Some(bytes as u64);
        facts.read = bytes as u64;
        facts.rx_data_segs = Some(bytes as u64 / 1_448);
        (facts.rtt, facts.rx_rtt, facts.min_rtt) = (Some(MS * 40), Some(MS * 40), Some(MS * 40));
    };
    let finding = Scene::lasting(20, growing).transfer();
    assert_eq!(finding.bound, Bound::SlowStart, "{finding:?}");
    assert!(value(&finding, "last_to_second_third") > 2.0);
    // Growth over a hundred round trips is none of slow start's.
    let slowly = |number: u32, facts: &mut Facts| {
        growing(number / 5, facts);
        facts.min_rtt = Some(MS * 2);
        facts.rx_rtt = Some(MS * 2);
    };
    assert_ne!(Scene::download(slowly).transfer().bound, Bound::SlowStart);
}

#[test]
fn too_few_readings_and_no_facts_are_not_enough_evidence() {
    for readings in 0..=3 {
        let finding = Scene::lasting(readings, |_, _| {}).transfer();
        assert_eq!(finding.bound, Bound::Unknown);
        assert_eq!(value(&finding, "readings"), f64::from(readings + 1));
    }
    let mut scene = Scene::download(|_, _| {});
    scene.history = History::default();
    let finding = scene.transfer();
    assert_eq!(finding.bound, Bound::Unknown);
    assert!(finding.evidence[0].text.contains("nothing is known"), "{finding:?}");

    let blind = Scene::download(|number, facts| {
        *facts = Facts { read: u64::from(number), ..Facts::default() };
    });
    let finding = blind.transfer();
    assert_eq!(finding.bound, Bound::Unknown);
    assert!(finding.evidence[0].text.contains("does not tell"), "{finding:?}");
}

#[test]
fn without_windows_nothing_is_said_of_them() {
    let finding = Scene::download(|_, facts| {
        facts.rx_window = None;
        facts.read = 0;
    })
    .transfer();
    assert_eq!(finding.bound, Bound::Unknown, "{finding:?}");
    assert!(!finding.evidence[0].text.contains("our window was open"), "{finding:?}");
}

#[test]
fn what_is_sent_does_not_judge_what_is_received() {
    // The limited times are about our own sending only.
    let finding = Scene::download(|number, facts| {
        facts.busy_time = Some(MS * 10 * number);
        facts.peer_window_limited = Some(MS * 10 * number);
        facts.send_buffer_limited = Some(MS * 10 * number);
        facts.retransmitted_segs = Some(u64::from(number));
    })
    .transfer();
    assert_eq!(finding.bound, Bound::Unknown, "{finding:?}");
}

#[test]
fn a_steady_upload_shows_no_limit() {
    let finding = Scene::upload(|_, _| {}).up();
    assert_eq!(finding.bound, Bound::Unknown, "{finding:?}");
    assert!((value(&finding, "bytes_per_s") - 14.5e6).abs() < 1e3);
}

#[test]
fn a_server_that_does_not_read_binds_the_upload() {
    let finding = Scene::upload(|number, facts| {
        facts.peer_window_limited = Some(MS * 8 * number);
        facts.tx_window = Some(if number == 70 { 0 } else { 3_000_000 });
    })
    .up();
    assert_eq!(finding.bound, Bound::PeerWindow, "{finding:?}");
    assert!((value(&finding, "peer_window_limited_share") - 0.8).abs() < 1e-9);
    assert_eq!(value(&finding, "least_peer_window_bytes"), 0.0);
    let third = |number: u32, facts: &mut Facts| facts.peer_window_limited = Some(MS * 3 * number);
    assert_eq!(Scene::upload(third).up().bound, Bound::PeerWindow);
}

#[test]
fn a_small_send_buffer_binds_the_upload() {
    let finding =
        Scene::upload(|number, facts| facts.send_buffer_limited = Some(MS * 7 * number)).up();
    assert_eq!(finding.bound, Bound::SendBuffer, "{finding:?}");
    assert!((value(&finding, "send_buffer_limited_share") - 0.7).abs() < 1e-9);
    let hardly = Scene::upload(|number, facts| facts.send_buffer_limited = Some(MS * number)).up();
    assert_eq!(hardly.bound, Bound::Unknown, "{hardly:?}");
}

#[test]
fn a_dry_send_buffer_and_a_full_window_are_told_apart() {
    let dry = |unsent: u64, in_flight: u64| {
        Scene::upload(|number, facts| {
            facts.written = 1_000 * u64::from(number + 1);
            facts.unsent_bytes = Some(unsent);
            facts.in_flight_segs = Some(in_flight);
            facts.tx_mss = Some(1_448);
        })
        .up()
    };
    let finding = dry(0, 30);
    assert_eq!(finding.bound, Bound::SendBuffer, "{finding:?}");
    assert_eq!(value(&finding, "send_buffer_dry_share"), 1.0);
    assert_eq!(dry(0, 95).bound, Bound::Unknown, "the window is full, and nothing waits");
    assert_eq!(dry(5_000, 30).bound, Bound::Unknown, "neither is in the way");
    let full = dry(5_000, 95);
    assert_eq!(full.bound, Bound::Path, "{full:?}");
    assert_eq!(value(&full, "congestion_window_full_share"), 1.0);
    // All was written at once: the rest is nobody's lack.
    let written = Scene::upload(|_, facts| {
        facts.written = 1_000;
        facts.unsent_bytes = Some(0);
        facts.in_flight_segs = Some(30);
    });
    assert_eq!(written.up().bound, Bound::Unknown);
}

#[test]
fn retransmissions_and_queues_tell_of_the_path_of_an_upload() {
    let lossy =
        Scene::upload(|number, facts| facts.retransmitted_segs = Some(u64::from(number) * 2)).up();
    assert_eq!(lossy.bound, Bound::Path, "{lossy:?}");
    assert!((value(&lossy, "retransmitted_share") - 0.02).abs() < 1e-9);
    let queued = Scene::upload(|_, facts| facts.rtt = Some(MS * 120)).up();
    assert_eq!(queued.bound, Bound::Path, "{queued:?}");
    assert_eq!(value(&queued, "rtt_ms"), 120.0);
}

#[test]
fn a_window_that_still_grows_tells_of_slow_start_in_an_upload() {
    let growing = |number: u32, facts: &mut Facts| {
        (facts.rtt, facts.min_rtt) = (Some(MS * 100), Some(MS * 100));
        facts.tx_cwnd_segs = Some(10 + u64::from(number) * 4);
        facts.tx_cwnd = facts.tx_cwnd_segs.map(|segs| segs * 1_448);
    };
    let finding = Scene::upload(growing).up();
    assert_eq!(finding.bound, Bound::SlowStart, "{finding:?}");
    assert!(value(&finding, "cwnd_growth") > 1.5);
    // One that has met its threshold has left slow start.
    let left = |number: u32, facts: &mut Facts| {
        growing(number, facts);
        facts.tx_ssthresh = Some(14_480);
    };
    assert_eq!(Scene::upload(left).up().bound, Bound::Unknown);
}

#[test]
fn a_short_upload_is_not_enough_evidence() {
    let mut scene = Scene::upload(|_, _| {});
    scene.sent = 5;
    scene.history = History::new(None);
    let facts = Facts::default();
    scene.history.note(Moment::Connect, Sample { at: scene.zero + MS * 49, facts });
    scene.history.note(Moment::FirstByte, Sample { at: scene.zero + MS * 1_050, facts });
    let finding = scene.up();
    assert_eq!(finding.bound, Bound::Unknown);
    assert_eq!(value(&finding, "readings"), 2.0);
    scene.sent = 0;
    assert_eq!(scene.verdict().upload, None);
}
