// Writes small ONNX files: enough of the format (a protocol buffer) for models that a script trains itself.

/** Element types, by their numbers in ONNX. */
const types = { float32: 1, uint8: 2, int32: 6, int64: 7, string: 8, bool: 9, float16: 10, float64: 11 } as const

export interface OnnxValue {
  readonly name: string
  readonly type: keyof typeof types
  /** A text is a size that is free, such as the number of records. */
  readonly shape: readonly (number | string)[]
}

export interface OnnxWeights {
  readonly name: string
  readonly shape: readonly number[]
  readonly data: Float32Array | BigInt64Array
}

export interface OnnxNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Whole numbers are written as INT, arrays of them as INTS, `{ float }` as FLOAT. */
  readonly attributes?: Readonly<Record<string, number | readonly number[] | { readonly float: number }>>
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[]
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
  readonly weights?: readonly OnnxWeights[]
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80)
  return Buffer.from([...bytes, rest])
}

const number = (field: number, value: number): Buffer => Buffer.concat([varint(field * 8), varint(value)])

function bytes(field: number, content: string | Uint8Array): Buffer {
  const buffer = Buffer.from(content)
  return Buffer.concat([varint(field * 8 + 2), varint(buffer.length), buffer])
}

const message = (field: number, ...parts: readonly Uint8Array[]): Buffer => bytes(field, Buffer.concat(parts))

function value(field: number, { name, type, shape }: OnnxValue): Buffer {
  const sizes = shape.map((size) => message(1, typeof size === 'number' ? number(1, size) : bytes(2, size)))
  return message(field, bytes(1, name), message(2, message(1, number(1, types[type]), message(2, ...sizes))))
}

function weights({ name, shape, data }: OnnxWeights): Buffer {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const type = data instanceof Float32Array ? types.float32 : types.int64
  return message(5, ...shape.map((size) => number(1, size)), number(2, type), bytes(8, name), bytes(9, raw))
}

function attribute(name: string, given: number | readonly number[] | { readonly float: number }): Buffer {
  if (typeof given === 'number') return message(5, bytes(1, name), number(3, given), number(20, 2))
  if (!('float' in given)) return message(5, bytes(1, name), ...given.map((one) => number(8, one)), number(20, 7))
  const float = Buffer.alloc(5)
  float[0] = 2 * 8 + 5
  float.writeFloatLE(given.float, 1)
  return message(5, bytes(1, name), float, number(20, 1))
}

function node({ op, inputs, outputs, attributes = {} }: OnnxNode): Buffer {
  return message(
    1,
    ...inputs.map((name) => bytes(1, name)),
    ...outputs.map((name) => bytes(2, name)),
    bytes(4, op),
    ...Object.entries(attributes).map(([name, given]) => attribute(name, given)),
  )
}

/** The bytes of an ONNX file (IR version 8, operators of version 13). */
export function onnxFile(graph: OnnxGraph): Uint8Array {
  return Buffer.concat([
    number(1, 8),
    message(
      7,
      ...graph.nodes.map(node),
      bytes(2, 'graph'),
      ...(graph.weights ?? []).map(weights),
      ...graph.inputs.map((each) => value(11, each)),
      ...graph.outputs.map((each) => value(12, each)),
    ),
    message(8, bytes(1, ''), number(2, 13)),
  ])
}
