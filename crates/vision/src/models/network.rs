//! The only code that speaks to tract: an ONNX file becomes an optimised plan, a plan runs.

use std::sync::Arc;

use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTValue, TValue, TVec,
    Tensor, TractResult, TypedSimplePlan, TypedSimpleState, tvec,
};

use super::manifest::{Channels, Input, Output};

/// An optimised network for one input shape; cheap to clone and to share between threads.
#[derive(Clone)]
pub(super) struct Network {
    plan: Arc<TypedSimplePlan>,
    shape: [usize; 4],
    /// What a sample of 0 to 255 becomes.
    samples: Arc<[f32; 256]>,
    channels: Channels,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Parses and optimises an ONNX file. The error is tract's own text, or says which shape
    /// differs from what is expected.
    pub(super) fn new(onnx: &[u8], input: &Input, outputs: &[Output]) -> Result<Self, String> {
        let plan = compile(onnx, input, outputs)?;
        let samples = std::array::from_fn(|v| v as f32 / input.divide - input.subtract);
        Ok(Self {
            plan,
            shape: input.shape,
            samples: Arc::new(samples),
            channels: input.channels,
        })
    }

    /// A runner with buffers of its own, for one thread.
    pub(super) fn runner(&self) -> Result<Runner, String> {
        let state = self.plan.spawn().map_err(|e| format!("{e:#}"))?;
        let input = zeros(self.shape).map_err(|e| format!("{e:#}"))?;
        Ok(Runner {
            network: self.clone(),
            state,
            input: Arc::new(input),
        })
    }
}

fn zeros(shape: [usize; 4]) -> TractResult<Tensor> {
    Tensor::zero::<f32>(&shape)
}

fn compile(onnx: &[u8], input: &Input, outputs: &[Output]) -> Result<Arc<TypedSimplePlan>, String> {
    let mut model = tract_onnx::onnx()
        .model_for_read(&mut &*onnx)
        .map_err(|e| format!("{e:#}"))?;
    let stated = model.input_outlets().map_err(|e| format!("{e:#}"))?.len();
    if stated != 1 {
        return Err(format!("it has {stated} inputs, one was expected"));
    }
    let named = model
        .outlet_label(model.inputs[0])
        .unwrap_or_else(|| model.node(model.inputs[0].node).name.as_str())
        .to_owned();
    if named != input.name {
        return Err(format!(
            "its input is called {named:?}, the manifest says {:?}",
            input.name
        ));
    }
    let fact = model.input_fact(0).map_err(|e| format!("{e:#}"))?;
    let stated = fact.shape.as_concrete_finite().ok().flatten();
    if let Some(stated) = stated.filter(|s| s.as_slice() != input.shape) {
        return Err(format!(
            "its input is {stated:?}, the manifest says {:?}",
            input.shape
        ));
    }
    model
        .set_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), input.shape))
        .map_err(|e| format!("{e:#}"))?;
    let found: Vec<String> = model
        .outputs
        .iter()
        .map(|&o| {
            model
                .outlet_label(o)
                .unwrap_or_else(|| model.node(o.node).name.as_str())
                .to_owned()
        })
        .collect();
    let expected: Vec<&str> = outputs.iter().map(|o| o.name.as_str()).collect();
    if found != expected {
        return Err(format!(
            "its outputs are {found:?}, the manifest says {expected:?}"
        ));
    }
    let model = model.into_optimized().map_err(|e| format!("{e:#}"))?;
    for (
        index,
        Output {
            name,
            shape: expected,
        },
    ) in outputs.iter().enumerate()
    {
        let fact = model.output_fact(index).map_err(|e| format!("{e:#}"))?;
        let found = fact.shape.as_concrete();
        if found != Some(expected.as_slice()) || fact.datum_type != f32::datum_type() {
            return Err(format!(
                "its output {name:?} is {fact:?}, f32 {expected:?} was expected"
            ));
        }
    }
    model.into_runnable().map_err(|e| format!("{e:#}"))
}

/// Runs one network on one thread; its input buffer is used again and again.
#[derive(Debug)]
pub(super) struct Runner {
    network: Network,
    state: TypedSimpleState,
    input: Arc<Tensor>,
}

/// A network's answer.
pub struct Answer(TVec<TValue>);

impl Answer {
    /// An output's values in row order; empty if there is no such output.
    pub fn values(&self, output: usize) -> &[f32] {
        self.0
            .get(output)
            .and_then(|t| t.as_plain_ram())
            .and_then(|t| t.as_slice::<f32>().ok())
            .unwrap_or(&[])
    }
}

impl Runner {
    /// Runs the network on RGB pixels of exactly the input's size.
    pub(super) fn run(&mut self, rgb: &[u8]) -> Result<Answer, String> {
        let [_, _, rows, columns] = self.network.shape;
        if rgb.len() != rows * columns * 3 {
            return Err(format!(
                "{} bytes were given for {columns} x {rows} pixels",
                rgb.len()
            ));
        }
        // tract drops its share of the buffer at the end of each run; if it ever keeps one,
        // the buffer is made anew instead of failing.
        if Arc::get_mut(&mut self.input).is_none() {
            self.input = Arc::new(zeros(self.network.shape).map_err(|e| format!("{e:#}"))?);
        }
        if let Some(tensor) = Arc::get_mut(&mut self.input) {
            let mut view = tensor
                .try_as_plain_ram_mut()
                .map_err(|e| format!("{e:#}"))?;
            let plain = view.as_slice_mut::<f32>().map_err(|e| format!("{e:#}"))?;
            fill(plain, rgb, &self.network.samples, self.network.channels);
        }
        let input = Arc::clone(&self.input).into_tvalue();
        self.state
            .run(tvec!(input))
            .map(Answer)
            .map_err(|e| format!("{e:#}"))
    }
}

/// Pixels to planes.
fn fill(planes: &mut [f32], rgb: &[u8], samples: &[f32; 256], channels: Channels) {
    let (first, rest) = planes.split_at_mut(rgb.len() / 3);
    let (second, third) = rest.split_at_mut(rgb.len() / 3);
    let (red, blue) = match channels {
        Channels::Rgb => (first, third),
        Channels::Bgr => (third, first),
    };
    for (((pixel, r), g), b) in rgb.chunks_exact(3).zip(red).zip(second).zip(blue) {
        *r = samples[usize::from(pixel[0])];
        *g = samples[usize::from(pixel[1])];
        *b = samples[usize::from(pixel[2])];
    }
}
