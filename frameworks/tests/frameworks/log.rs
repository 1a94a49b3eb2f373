//! An observer that keeps what it is told, and how to wait for it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use conniver::{FailedConn, Handle, Observer, Report};

/// Everything that observers are told of.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Events>>);

#[derive(Default)]
struct Events {
    opened: Vec<Handle>,
    closed: Vec<Report>,
    failed: Vec<FailedConn>,
}

impl Log {
    pub(crate) fn opened(&self) -> Vec<Handle> {
        self.0.lock().unwrap().opened.clone()
    }

    pub(crate) fn failed(&self) -> Vec<FailedConn> {
        self.0.lock().unwrap().failed.clone()
    }

    /// The reports, once there are so many; those that come later would be seen too.
    pub(crate) async fn closed(&self, count: usize) -> Vec<Report> {
        self.closed_that(|_| true, count).await
    }

    /// The reports that are asked for.
    pub(crate) async fn closed_that(
        &self,
        is_wanted: fn(&Report) -> bool,
        count: usize,
    ) -> Vec<Report> {
        for _ in 0..1000 {
            let mut closed = self.0.lock().unwrap().closed.clone();
            closed.retain(is_wanted);
            if closed.len() >= count {
                assert_eq!(closed.len(), count, "a report too many: {closed:?}");
                return closed;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("waited in vain for {count} reports, have {:?}", self.0.lock().unwrap().closed);
    }
}

impl Observer for Log {
    fn opened(&self, conn: &Handle) {
        self.0.lock().unwrap().opened.push(conn.clone());
    }

    fn failed(&self, failed: &FailedConn) {
        self.0.lock().unwrap().failed.push(failed.clone());
    }

    fn closed(&self, report: &Report) {
        self.0.lock().unwrap().closed.push(report.clone());
    }
}
