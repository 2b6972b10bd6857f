// Models for tests.
import { onnxFile } from '../../examples/onnx/onnx-writer.ts'

/** y = x W + b, with x [N, inputs] and y [N, outputs]; W is in C order. */
export function linear(inputs: number, outputs: number, w: readonly number[], b: readonly number[]): Uint8Array {
  return onnxFile({
    inputs: [{ name: 'x', type: 'float32', shape: ['N', inputs] }],
    outputs: [{ name: 'y', type: 'float32', shape: ['N', outputs] }],
    weights: [
      { name: 'W', shape: [inputs, outputs], data: Float32Array.from(w) },
      { name: 'b', shape: [outputs], data: Float32Array.from(b) },
    ],
    nodes: [
      { op: 'MatMul', inputs: ['x', 'W'], outputs: ['xW'] },
      { op: 'Add', inputs: ['xW', 'b'], outputs: ['y'] },
    ],
  })
}

/** y = x W + b of x [N, 2]: sum and difference, plus 10 and 20. */
export const sumAndDifference = linear(2, 2, [1, 1, 1, -1], [10, 20])

/** One operator over values as they are. */
export function operator(
  op: string,
  type: 'float32' | 'float64' | 'float16' | 'int32' | 'int64' | 'uint8' | 'string' | 'bool',
  shape: readonly (number | string)[],
  more: readonly string[] = [],
): Uint8Array {
  const names = ['x', ...more]
  return onnxFile({
    inputs: names.map((name) => ({ name, type, shape })),
    outputs: [{ name: 'y', type, shape }],
    nodes: [{ op, inputs: names, outputs: ['y'] }],
  })
}

/** Takes row `x` of a table of 4 rows, [x, x + 0.5]: numbers that are no row make it fail. */
export const lookup = onnxFile({
  inputs: [{ name: 'x', type: 'int64', shape: ['N'] }],
  outputs: [{ name: 'y', type: 'float32', shape: ['N', 2] }],
  weights: [{ name: 'table', shape: [4, 2], data: Float32Array.of(0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5) }],
  nodes: [{ op: 'Gather', inputs: ['table', 'x'], outputs: ['y'], attributes: { axis: 0 } }],
})
