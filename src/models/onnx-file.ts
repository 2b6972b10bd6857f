// What an ONNX file says of itself: inputs and outputs of its graph, read from the protocol buffer without the runtime.
// Weights are stepped over, not read. https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
import { type Dtype, dtypeOfOnnx } from '../codec/dtypes.ts'
import { ModelError } from '../errors.ts'

/** An input or output as the model declares it. */
export interface ModelValue {
  readonly name: string
  /** `unknown` where it is no tensor, or of a type without a name here. */
  readonly dtype: Dtype | 'unknown'
  /** A number where the size is fixed, a name (or '') where it is free; undefined where even the number of them is. */
  readonly shape: readonly (number | string)[] | undefined
}

export interface ModelSignature {
  readonly inputs: readonly ModelValue[]
  readonly outputs: readonly ModelValue[]
}

/** A field of a message: a number, or bytes. */
interface Field {
  readonly number: number
  readonly value: bigint
  readonly bytes: Uint8Array
}

const noBytes = new Uint8Array()
const graphField = 7
const graph = { initializer: 5, input: 11, output: 12, sparseInitializer: 15, node: 1 } as const

/** Throws MODEL_FORMAT where the bytes are not an ONNX model. */
export function readSignature(onnx: Uint8Array): ModelSignature {
  const graphs = [...fields(onnx)].filter(({ number }) => number === graphField)
  const graphBytes = graphs.at(-1)?.bytes
  if (graphBytes === undefined) throw broken('it has no graph')
  const initialized = new Set<string>()
  const inputs: ModelValue[] = []
  const outputs: ModelValue[] = []
  let nodes = 0
  for (const { number, bytes } of fields(graphBytes)) {
    if (number === graph.node) nodes++
    else if (number === graph.input) inputs.push(valueOf(bytes))
    else if (number === graph.output) outputs.push(valueOf(bytes))
    else if (number === graph.initializer) initialized.add(textOf(bytes, 8))
    // The values of a sparse tensor are a tensor with its name.
    else if (number === graph.sparseInitializer) initialized.add(textOf(messageOf(bytes, 1) ?? noBytes, 8))
  }
  if (outputs.length === 0 || nodes === 0) throw broken('its graph has no output')
  // Older models list their weights as inputs, too.
  return { inputs: inputs.filter(({ name }) => !initialized.has(name)), outputs }
}

function broken(reason: string): ModelError {
  return new ModelError('MODEL_FORMAT', `not an ONNX model: ${reason}`)
}

/** The fields of a message, in order. Bytes are views. */
function* fields(message: Uint8Array): Generator<Field> {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = message[at++]
      if (byte === undefined) break
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    throw broken('a number in it does not end')
  }
  const skip = (length: number): Uint8Array => {
    if (length > message.length - at) throw broken('it is cut off')
    const bytes = message.subarray(at, at + length)
    at += length
    return bytes
  }
  while (at < message.length) {
    const tag = Number(varint())
    const number = Math.floor(tag / 8)
    const kind = tag % 8
    if (number === 0) throw broken('it has a field without a number')
    if (kind === 0) yield { number, value: varint(), bytes: noBytes }
    else if (kind === 1) yield { number, value: 0n, bytes: skip(8) }
    else if (kind === 2) yield { number, value: 0n, bytes: skip(Number(varint())) }
    else if (kind === 5) yield { number, value: 0n, bytes: skip(4) }
    else throw broken(`it has a field of kind ${kind}`)
  }
}

function messageOf(message: Uint8Array, number: number): Uint8Array | undefined {
  let found: Uint8Array | undefined
  for (const field of fields(message)) if (field.number === number) found = field.bytes
  return found
}

function textOf(message: Uint8Array, number: number): string {
  return Buffer.from(messageOf(message, number) ?? noBytes).toString()
}

/** ValueInfoProto: a name and a type. */
function valueOf(message: Uint8Array): ModelValue {
  const tensor = messageOf(messageOf(message, 2) ?? noBytes, 1)
  let dtype: ModelValue['dtype'] = 'unknown'
  let shape: (number | string)[] | undefined
  for (const { number, value, bytes } of fields(tensor ?? noBytes)) {
    if (number === 1) dtype = dtypeOfOnnx(Number(value)) ?? 'unknown'
    if (number === 2) shape = [...fields(bytes)].filter((field) => field.number === 1).map((dim) => sizeOf(dim.bytes))
  }
  return { name: textOf(message, 1), dtype, shape }
}

/** A size or a name; sizes below 0 are what some exporters write for free ones. */
function sizeOf(message: Uint8Array): number | string {
  for (const { number, value, bytes } of fields(message)) {
    if (number === 1) {
      const size = BigInt.asIntN(64, value)
      return size < 0n ? '' : Number(size)
    }
    if (number === 2) return Buffer.from(bytes).toString()
  }
  return ''
}
