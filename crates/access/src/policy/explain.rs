//! A verdict in one line for people.

use std::fmt::Write as _;

use domain::{PlateNumber, Reason, Verdict, Words};

/// One line that says what was decided, about which plate, why, and by how much it was won.
pub fn explain(verdict: &Verdict) -> Words {
    let plate = verdict.plate.as_ref().map(PlateNumber::dotted);
    let evidence = &verdict.evidence;
    let lead = match (&evidence.registered, &evidence.stranger) {
        (Some(r), Some(s)) => Some(((r.score.0 - s.score.0) as f32 / 1024.0, &r.plate, &s.plate)),
        _ => None,
    };
    let mut chinese = format!(
        "{}：{}",
        verdict.decision.chinese(),
        verdict.reason.chinese()
    );
    let mut english = format!(
        "{}: {}",
        verdict.decision.english(),
        verdict.reason.english()
    );
    if let Some(plate) = plate {
        chinese = format!("{plate} {chinese}");
        english = format!("{plate} {english}");
    }
    if let (Some((lead, registered, stranger)), true) = (lead, told_by_scores(verdict.reason)) {
        let (ahead, behind, by) = if lead >= 0.0 {
            (registered, stranger, lead)
        } else {
            (stranger, registered, -lead)
        };
        // Writing to a string cannot fail.
        let _ = write!(chinese, "（{ahead} 比 {behind} 领先 {by:.1}）");
        let _ = write!(english, " ({ahead} leads {behind} by {by:.1} nats)");
    }
    Words::new(chinese, english)
}

/// Whether the scores say something about the reason.
fn told_by_scores(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Registered
            | Reason::MissedExit
            | Reason::Visitor
            | Reason::Pass
            | Reason::NotRegistered
            | Reason::Ambiguous
            | Reason::UnclearPicture
    )
}
