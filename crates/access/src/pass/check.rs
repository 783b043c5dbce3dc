//! What a pass that was shown is worth.

use domain::signing::PublicKey;
use domain::{PassId, PlateNumber, Reason};

use super::{Bearer, Pass, Token};
use crate::policy::Clock;
use crate::registry::RegistryView;

/// What came of looking at a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// [`Reason::Pass`] if it is accepted, else why not.
    pub reason: Reason,
    /// What the paper says, if it is genuine.
    pub token: Option<Token>,
    /// The register's pass of this number, if the paper is genuine and there is one.
    pub pass: Option<Pass>,
}

/// Looks at the text of a pass's QR code. Everything that the answer depends on comes in: the keys
/// that may issue passes here, the register, what is known of the time, the plate that the camera
/// read (if a vehicle is there), and how often an edition was used.
///
/// Nothing is spent by looking.
pub fn check(
    text: &str,
    keys: &[PublicKey],
    registry: Option<&RegistryView>,
    clock: Clock,
    plate: Option<&PlateNumber>,
    used: &dyn Fn(PassId) -> u32,
) -> Shown {
    match Token::verify(text, keys) {
        Ok(token) => worth(token, registry, clock, plate, used),
        Err(why) => Shown {
            reason: why.reason(),
            token: None,
            pass: None,
        },
    }
}

/// What a genuine paper is worth; as [`check`], for a token whose signature was looked at before.
pub fn worth(
    token: Token,
    registry: Option<&RegistryView>,
    clock: Clock,
    plate: Option<&PlateNumber>,
    used: &dyn Fn(PassId) -> u32,
) -> Shown {
    let shown = |reason, token: Option<Token>, pass: Option<&Pass>| Shown {
        reason,
        token,
        pass: pass.cloned(),
    };
    let Some(registry) = registry else {
        return shown(Reason::RegistryUnavailable, Some(token), None);
    };
    let Some(pass) = registry.book().pass(token.pass.number) else {
        return shown(Reason::PassUnknown, Some(token), None);
    };
    let reason = standing(pass, &token, registry, clock, plate, used);
    shown(reason, Some(token), Some(pass))
}

fn standing(
    pass: &Pass,
    token: &Token,
    registry: &RegistryView,
    clock: Clock,
    plate: Option<&PlateNumber>,
    used: &dyn Fn(PassId) -> u32,
) -> Reason {
    if pass.edition != token.pass.edition {
        return Reason::PassReplaced;
    }
    let near = registry.book().rules().near_limit_days;
    if let Err(why) = pass.standing(clock, near, used(pass.id())) {
        return why;
    }
    match (&pass.bearer, plate) {
        (Bearer::Blank, _) => Reason::PassBlank,
        (Bearer::Vehicle(bound), Some(read)) if bound != read => Reason::PassWrongPlate,
        _ => Reason::Pass,
    }
}
