//! A lane with an arrival loop, a camera and a broker that somebody listens to.

use std::time::Duration;

use crate::{Camera, EMPTY, Failure, Gate, Listener, Mosquitto, Plan, Scene, Site, wait_for};

/// Everything of a lane but the gate, which a test may kill and start again.
pub struct Lane {
    /// Shows the scene's vehicles.
    pub camera: Camera,
    /// The gate's configuration and store; the scene's first vehicle is registered.
    pub site: Site,
    /// What the committee hears.
    pub ear: Listener,
    /// Who comes.
    pub scene: Scene,
    _mosquitto: Mosquitto,
}

impl Lane {
    /// A lane in which both the loop and the picture are asked, with the vehicles of one seed.
    ///
    /// # Errors
    /// If mosquitto, the site or the camera cannot be had.
    pub fn with_loop(seed: u64) -> Result<Self, Failure> {
        let scene = Scene::new(seed);
        let mosquitto = Mosquitto::running()?;
        let ear = mosquitto.listen()?;
        let site = Site::new(&Plan {
            port: Some(mosquitto.port),
            barrier: "relay = SIMULATED\npulse = \"300ms\"\nrepeat_gap = \"300ms\"",
            lane: "trigger = \"both\"\narrival_loop = {}\nleave_after = \"1s\"",
            camera: "",
        })?;
        site.inputs("arrival_loop:entry 0\n")?;
        site.register(scene.plate(0))?;
        let camera = Camera::start(&site.path("frames"), scene.pictures.clone())?;
        Ok(Self {
            camera,
            site,
            ear,
            scene,
            _mosquitto: mosquitto,
        })
    }

    /// One vehicle, or only something on the loop where `picture` is [`EMPTY`], comes, stands in
    /// front of the boom, and is gone; the passage is the `count`th that arrives.
    ///
    /// # Errors
    /// If the passage does not arrive, with what the gate says.
    pub fn visit(
        &self,
        gate: &Gate,
        (picture, count): (usize, usize),
        meanwhile: impl FnOnce(),
    ) -> Result<(), Failure> {
        self.camera.show(picture);
        std::thread::sleep(Duration::from_millis(600));
        self.site.inputs("arrival_loop:entry 1\n")?;
        std::thread::sleep(Duration::from_millis(2600));
        meanwhile();
        self.camera.show(EMPTY);
        self.site.inputs("arrival_loop:entry 0\n")?;
        let arrived = || self.ear.passages().len() >= count;
        if wait_for(Duration::from_secs(15), arrived) {
            return Ok(());
        }
        let says = gate.log().join("\n");
        Err(format!("passage {count} did not arrive; the gate says:\n{says}").into())
    }
}
