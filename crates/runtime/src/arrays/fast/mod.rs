//! Operators on arrays that the kernels of this machine do; whatever is not here is done by its definition.
//!
//! The one design choice: whether a kernel does an operator follows from the operator and the types of its inputs alone,
//! never from what they hold.

mod attention;
mod elements;
mod kinds;
mod products;
mod quantized;
mod recurrent;
mod rows;
mod windows;

use graph::Elem;
use graph::array::{ArrayOp, UnaryKind, View, ViewMut};
use host::{cast, cast_mut};
use kernels::Cpu;

/// Does an operator, if there are kernels for it; `scratch` is what its definition would work in.
pub(super) fn run(
    cpu: &Cpu,
    op: &ArrayOp,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
    scratch: &mut [u8],
) -> bool {
    let done = match op {
        ArrayOp::Cast(_) => kinds::widen(cpu, inputs, outputs),
        ArrayOp::Dense(op) => products::dense(cpu, *op, inputs, outputs),
        ArrayOp::MatMul(op) if op.widens => products::whole(cpu, *op, inputs, outputs),
        ArrayOp::MatMulMeant(_) => products::meant(cpu, inputs, outputs),
        ArrayOp::Quantize(op) => quantized::quantize(cpu, *op, inputs, outputs),
        ArrayOp::Requantize(op) => quantized::requantize(cpu, *op, inputs, outputs),
        ArrayOp::Select(op) => kinds::select(*op, inputs, outputs),
        ArrayOp::Unary(op) if op.kind == UnaryKind::IsNan => kinds::ask(op.kind, inputs, outputs),
        _ => floats_alone(cpu, op, inputs, outputs, scratch),
    };
    done.is_some()
}

/// Of 32-bit floats alone.
fn floats_alone(
    cpu: &Cpu,
    op: &ArrayOp,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
    scratch: &mut [u8],
) -> Option<()> {
    let plain = |view: &View<'_>| view.kind.elem == Elem::F32;
    if let (ArrayOp::MatMul(op), [a, b]) = (op, inputs)
        && plain(a)
        && !plain(b)
    {
        return products::narrow(cpu, *op, inputs, outputs);
    }
    if !inputs.iter().all(plain) {
        return None;
    }
    match op {
        ArrayOp::Attention(op) => attention::attention(cpu, *op, inputs, outputs),
        ArrayOp::Binary(op) => elements::binary(cpu, *op, inputs, outputs),
        ArrayOp::Conv(op) => windows::conv(cpu, op, inputs, outputs, scratch),
        ArrayOp::ConvTranspose(op) => windows::conv_transpose(cpu, op, inputs, outputs, scratch),
        ArrayOp::MatMul(op) => products::matmul(cpu, *op, inputs, outputs),
        ArrayOp::Norm(op) => rows::norm(cpu, *op, inputs, outputs),
        ArrayOp::Pool(op) => windows::pool(cpu, op, inputs, outputs),
        ArrayOp::Recurrent(op) => recurrent::recurrent(cpu, op, inputs, outputs, scratch),
        ArrayOp::Reduce(op) => rows::reduce(cpu, op, inputs, outputs),
        ArrayOp::Softmax(op) => rows::softmax(cpu, *op, inputs, outputs),
        ArrayOp::Unary(op) => elements::unary(cpu, *op, inputs, outputs),
        _ => None,
    }
}

/// Elements of an input as f32; `None` if it lies where the output does.
fn floats<'a>(view: &View<'a>) -> Option<&'a [f32]> {
    cast(view.bytes?)
}

fn floats_mut<'a>(view: &'a mut ViewMut<'_>) -> Option<&'a mut [f32]> {
    cast_mut(view.bytes)
}
