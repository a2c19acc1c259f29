//! Runs a network in TFLite several times: `stream NET.tflite RUNS < inputs > outputs`, bytes of all ports one after another.
//!
//! For `tests/networks/against_tflite.py --runs`, which compares what a network carries from run to run. Not a program for people.

use formats::{Contents, Limits};
use graph::{ArrayType, Bounds, Plan};
use host::{Ledger, Pool, ReadAt};
use kernels::Cpu;
use models::network::{Item, Network, Port};
use pintpot_runtime::{ArrayExecutor, ArrayParts};
use std::error::Error;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

fn ports(network: &Network, ports: &[Port]) -> Vec<(graph::ValueId, usize)> {
    let port = |port: &Port| match port.item {
        Item::Value(id) => {
            let value = network.graph.value_of(id);
            let extents = value.dims.known()?;
            Some((id, ArrayType { elem: value.elem, extents }.bytes()))
        }
        _ => None,
    };
    ports.iter().filter_map(port).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().collect();
    let [_, path, runs] = &words[..] else { return Err("stream NET.tflite RUNS < inputs > outputs".into()) };
    let Contents::Tflite(model) = formats::examine(Path::new(path), Limits::default())? else {
        return Err("not a TFLite model".into());
    };
    let file = std::fs::read(path)?;
    let network = models::tflite::build(&model, &[&file as &dyn ReadAt], &[])?;
    let (inputs, outputs) = (ports(&network, &network.inputs), ports(&network, &network.outputs));
    let ledger = Ledger::new(4 << 30);
    let graph = Arc::new(network.graph);
    let plan = Plan::new(&graph, Bounds { rows: 1, logit_rows: 1 });
    let cpu = Cpu::new(kernels::best(), Pool::new(&ledger, 2)?, &ledger)?;
    let parts = ArrayParts { graph: Arc::clone(&graph), plan, dynamic: network.dynamic, cpu, passing: None };
    let read = |weight: usize, _: u64, bytes: &mut [u8]| {
        let place = &network.weights[graph.weights[weight].tensor];
        let (tensor, offset) = (graph.weights[weight].name.clone(), place.range.start);
        place.read(&file, bytes).map_err(|source| memory::Error::Read { tensor, offset, source })
    };
    let mut executor = ArrayExecutor::new(&ledger, parts, read)?;
    let (mut from, mut to) = (std::io::stdin().lock(), std::io::stdout().lock());
    for _ in 0..runs.parse::<usize>()? {
        let mut fed = Vec::new();
        for (_, len) in &inputs {
            let mut bytes = vec![0; *len];
            from.read_exact(&mut bytes)?;
            fed.push(bytes);
        }
        let feeds: Vec<_> = inputs.iter().zip(&fed).map(|((id, _), bytes)| (*id, &bytes[..])).collect();
        executor.run(feeds)?;
        for (id, _) in &outputs {
            to.write_all(executor.value(*id).ok_or("an output is nowhere")?.1)?;
        }
    }
    Ok(())
}
