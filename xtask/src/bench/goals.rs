//! The goals for byway's speed, and whether a run met them.

use super::{
    peers::Peer,
    results::{Results, Table},
};

/// The relay that the gateway's own loop is built like.
const CHOSEN: Peer = Peer::BareTokio;

/// One line of the table of goals.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    /// What is asked now, and where it should end.
    pub(crate) now: f64,
    pub(crate) end: f64,
    /// `None`: this run did not measure it.
    pub(crate) measured: Option<f64>,
}

impl Goal {
    pub(crate) fn verdict(&self) -> String {
        let Some(measured) = self.measured else { return String::from("not measured") };
        let percent = |limit: f64| (measured / limit - 1.0).abs() * 100.0;
        if measured > self.now {
            return format!("**missed** by {:.0} %", percent(self.now));
        }
        if measured > self.end {
            return format!(
                "met by {:.0} %; {:.0} % short of the end",
                percent(self.now),
                percent(self.end)
            );
        }
        format!("met by {:.0} %, the end too by {:.0} %", percent(self.now), percent(self.end))
    }
}

/// Against whom.
#[derive(Clone, Copy)]
enum Base {
    Of(Peer),
    /// The better of nginx and HAProxy.
    Better,
}

type Row = (&'static str, Base, f64, f64);

const ROWS: &[Row] = &[
    ("get1k", Base::Of(CHOSEN), 1.15, 1.05),
    ("post4k", Base::Of(CHOSEN), 1.15, 1.05),
    ("get1k", Base::Of(Peer::Floor), 1.25, 1.10),
    ("post4k", Base::Of(Peer::Floor), 1.25, 1.10),
    ("get1k", Base::Better, 0.85, 0.75),
    ("post4k", Base::Better, 0.75, 0.60),
    ("tls1k", Base::Better, 0.62, 0.55),
    ("get64k", Base::Of(Peer::Nginx), 0.60, 0.40),
    ("get64k", Base::Of(Peer::NginxTuned), 0.90, 0.75),
    ("get1k", Base::Of(Peer::Envoy), 0.30, 0.20),
];

pub(crate) fn check(results: &Results) -> Vec<Goal> {
    let mut goals: Vec<Goal> = ROWS.iter().map(|row| ratio(results, *row)).collect();
    let memory = results.memory.iter().find(|(peer, _)| *peer == Peer::Byway);
    goals.push(Goal {
        what: String::from("memory per idle client connection"),
        unit: " KiB",
        now: 4.0,
        end: 1.0,
        measured: memory.and_then(|(_, row)| Some(row.as_ref().ok()?.per_connection())),
    });
    let calls = results.syscalls.iter().find(|(peer, _)| *peer == Peer::Byway);
    goals.push(Goal {
        what: String::from("socket system calls, GET 1 KiB"),
        unit: "",
        // Four a request, and connections have to be set up and closed.
        now: 4.02,
        end: 4.02,
        measured: calls.and_then(|(_, row)| Some(row.as_ref().ok()?.socket)),
    });
    goals
}

fn ratio(results: &Results, (key, base, now, end): Row) -> Goal {
    let table = results.table(key);
    let title = super::workload::ALL.iter().find(|w| w.key == key).map_or(key, |w| w.title);
    let (name, peer) = match base {
        Base::Of(peer) => (peer.name(), Some(peer)),
        Base::Better => ("the better of nginx and HAProxy", table.and_then(Table::better)),
    };
    let spread = peer.and_then(|peer| table?.ratio(Peer::Byway, peer));
    let measured = spread.map(|spread| spread.median);
    Goal { what: format!("{title} against {name}"), unit: "×", now, end, measured }
}

#[cfg(test)]
mod tests {
    //! Verdicts as they are printed.
    use super::*;

    fn goal(measured: Option<f64>) -> Goal {
        Goal { what: String::new(), unit: "×", now: 1.0, end: 0.5, measured }
    }

    #[test]
    fn a_verdict_says_by_how_much() {
        assert_eq!(goal(Some(1.2)).verdict(), "**missed** by 20 %");
        assert_eq!(goal(Some(0.75)).verdict(), "met by 25 %; 50 % short of the end");
        assert_eq!(goal(Some(0.4)).verdict(), "met by 60 %, the end too by 20 %");
        assert_eq!(goal(None).verdict(), "not measured");
    }
}
