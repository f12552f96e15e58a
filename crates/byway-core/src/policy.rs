//! How a provider is judged, and what may be done about it: every parameter with its default.
//!
//! The defaults are those of the design; all of them can be set per provider. Durations are
//! [`core::time::Duration`].

use std::time::Duration;

use jiff::Timestamp;

/// What happens when the provider refuses one of our addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnBlock {
    /// It is said, and nothing is changed.
    Alert,
    /// It is said, and stored answers bridge what routes allow.
    Stale,
    /// It is said, and traffic moves to another path of ours, as the grant allows.
    Detour(Grant),
}

impl OnBlock {
    /// The word of the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Stale => "stale",
            Self::Detour(_) => "detour",
        }
    }

    /// The grant of a detour.
    pub const fn grant(&self) -> Option<&Grant> {
        match self {
            Self::Alert | Self::Stale => None,
            Self::Detour(grant) => Some(grant),
        }
    }
}

/// Who allows detours, why, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who answers for it.
    pub owner: String,
    /// Why it is right towards this provider.
    pub reason: String,
    /// After this instant it must be renewed.
    pub expires: Timestamp,
}

/// What happens when our own way out is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnPathFailure {
    /// The next path is taken.
    Next,
    /// The caller is told.
    Stop,
}

/// Whether the gateway asks a provider anything by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probing {
    /// With the last safe request that was seen.
    Auto,
    /// With a GET of this target.
    Target(String),
    /// Never.
    Off,
}

/// So many requests in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Requests.
    pub n: u32,
    /// In this time.
    pub per: Duration,
    /// How many may come at once.
    pub burst: u32,
}

impl Pace {
    /// The share of this pace that `percent` and `instances` leave, at least one request at a time.
    #[must_use]
    pub fn share(self, percent: u32, instances: u32) -> Self {
        let per = self.per.saturating_mul(instances.max(1)).saturating_mul(100) / percent.max(1);
        let burst = u64::from(self.burst) * u64::from(percent) / 100 / u64::from(instances.max(1));
        Self { n: self.n, per, burst: u32::try_from(burst).unwrap_or(u32::MAX).max(1) }
    }
}

/// How one provider is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Whether anything is judged at all; otherwise traffic goes the provider's first path.
    pub judge: bool,
    /// What happens when the provider refuses an address of ours.
    pub on_block: OnBlock,
    /// What happens when our own way out is broken.
    pub on_path_failure: OnPathFailure,
    /// Whether, and with what, the gateway asks by itself.
    pub probing: Probing,
    /// What the provider may get from us, over all paths.
    pub budget: Option<Pace>,
    /// Instances that share the budget.
    pub instances: u32,
    /// A detour ends after this.
    pub detour_max: Duration,
    /// How much of the budget a detour may use, in percent.
    pub detour_rate: u32,
    /// How long a request may wait for the budget or a gate.
    pub wait_max: Duration,
    /// The first pause after a 429 that does not say how long; it doubles with each, 64 times at most.
    pub gate_min: Duration,
    /// No `Retry-After` is believed beyond this.
    pub gate_max: Duration,
    /// Retries, as a share of requests, in percent.
    pub retry_percent: u32,
    /// Retries a second that are always allowed.
    pub retry_per_s: u32,
    /// When a path is taken out, and how it comes back.
    pub health: Health,
    /// How paths are compared.
    pub compare: Compare,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            judge: true,
            on_block: OnBlock::Alert,
            on_path_failure: OnPathFailure::Next,
            probing: Probing::Auto,
            budget: None,
            instances: 1,
            detour_max: DETOUR_DEFAULT,
            detour_rate: 50,
            wait_max: Duration::from_secs(10),
            gate_min: Duration::from_secs(1),
            gate_max: Duration::from_secs(3600),
            retry_percent: 10,
            retry_per_s: 1,
            health: Health::default(),
            compare: Compare::default(),
        }
    }
}

impl Policy {
    /// The same policy in a world that goes `speed` times faster: for drills.
    #[must_use]
    pub fn at_speed(mut self, speed: u32) -> Self {
        let speed = speed.max(1);
        let Health { window, backoff_min, backoff_max, probes_over, ramp_step, .. } =
            &mut self.health;
        for timer in [window, backoff_min, backoff_max, probes_over, ramp_step] {
            *timer /= speed;
        }
        let Compare { spacing, control_every, window, pause, .. } = &mut self.compare;
        for timer in [spacing, control_every, window, pause] {
            *timer /= speed;
        }
        for timer in [
            &mut self.health.flap_half_life,
            &mut self.health.hold,
            &mut self.detour_max,
            &mut self.wait_max,
            &mut self.gate_min,
            &mut self.gate_max,
        ] {
            *timer /= speed;
        }
        if let Some(pace) = &mut self.budget {
            pace.per /= speed;
        }
        self.retry_per_s = self.retry_per_s.saturating_mul(speed);
        self
    }
}

/// A detour lasts this long unless told otherwise.
pub const DETOUR_DEFAULT: Duration = Duration::from_secs(4 * 3600);
/// No detour lasts longer, whatever the configuration says.
pub const DETOUR_CEILING: Duration = Duration::from_secs(24 * 3600);

/// When a path is taken out, and how it comes back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Health {
    /// Hard failures in a row that take it out.
    pub consecutive_max: u32,
    /// Strong block signatures in a row that take it out.
    pub strong_max: u32,
    /// The window of the ratio.
    pub window: Duration,
    /// Below this share of good answers, in percent, it is taken out ...
    pub good_percent_min: u32,
    /// ... if the window has at least so many attempts.
    pub n_window_min: u32,
    /// The first pause before a probe.
    pub backoff_min: Duration,
    /// The longest pause before a probe.
    pub backoff_max: Duration,
    /// Good probes in a row that begin the ramp ...
    pub n_probes: u32,
    /// ... if the first and the last are at least this far apart.
    pub probes_over: Duration,
    /// How long each step of the ramp (1, 10, 50, 100 %) lasts at least.
    pub ramp_step: Duration,
    /// What each transition adds to the penalty of a flapping path (RFC 2439).
    pub flap_penalty: u32,
    /// In this time half of the penalty is gone.
    pub flap_half_life: Duration,
    /// Above this the path stays out ...
    pub flap_suppress: u32,
    /// ... until the penalty is below this.
    pub flap_reuse: u32,
    /// After the last path recovered, an incident stays open for this long.
    pub hold: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            consecutive_max: 5,
            strong_max: 2,
            window: Duration::from_secs(30),
            good_percent_min: 50,
            n_window_min: 10,
            backoff_min: Duration::from_secs(5),
            backoff_max: Duration::from_secs(300),
            n_probes: 3,
            probes_over: Duration::from_secs(120),
            ramp_step: Duration::from_secs(30),
            flap_penalty: 1000,
            flap_half_life: Duration::from_secs(900),
            flap_suppress: 2000,
            flap_reuse: 750,
            hold: Duration::from_secs(600),
        }
    }
}

/// How paths are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compare {
    /// Between two rounds of probes.
    pub spacing: Duration,
    /// Rounds before a comparison gives up.
    pub n_rounds_max: u32,
    /// Probes in an hour, over all paths.
    pub probes_per_hour: u32,
    /// Between two control probes over the path that was left.
    pub control_every: Duration,
    /// Control probes in a day.
    pub controls_per_day: u32,
    /// Evidence older than this does not count in a comparison.
    pub window: Duration,
    /// A comparison without a result is not repeated before this.
    pub pause: Duration,
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            spacing: Duration::from_millis(250),
            n_rounds_max: 5,
            probes_per_hour: 60,
            control_every: Duration::from_secs(60),
            controls_per_day: 200,
            window: Duration::from_secs(60),
            pause: Duration::from_secs(30),
        }
    }
}
