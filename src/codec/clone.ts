// Structured clone as bytes: V8's serializer, with Buffers as the Uint8Arrays that structuredClone makes of them (but
// without the pool they are cut from), and with an error that says where in a record the value is that cannot be cloned.
// The bytes are read by the same or a later version of V8.
import { types } from 'node:util'
import { Deserializer, Serializer } from 'node:v8'
import { GearmillError, PlanError } from '../errors.ts'
import { holdsOpaque } from './opaque.ts'

type ViewClass = new (buffer: ArrayBuffer, byteOffset: number, length: number) => ArrayBufferView

// The position is written to the bytes: add at the end only.
const viewClasses: readonly (readonly [make: ViewClass, bytesPerElement: number])[] = [
  [DataView, 1],
  [Int8Array, 1],
  [Uint8Array, 1],
  [Uint8ClampedArray, 1],
  [Int16Array, 2],
  [Uint16Array, 2],
  [Int32Array, 4],
  [Uint32Array, 4],
  [Float32Array, 4],
  [Float64Array, 8],
  [BigInt64Array, 8],
  [BigUint64Array, 8],
]
const bufferIndex = viewClasses.length

/** What structured clone refuses; replaced by an error that has a path. */
class Refusal extends Error {}

class CloneSerializer extends Serializer {
  declare _setTreatArrayBufferViewsAsHostObjects: (treat: boolean) => void

  constructor() {
    super()
    this._setTreatArrayBufferViewsAsHostObjects(true)
  }

  // Called by V8 for views on array buffers, and for objects that only Node knows (message ports, file handles).
  _writeHostObject(value: object): void {
    if (Buffer.isBuffer(value)) {
      this.writeUint32(bufferIndex)
      this.writeUint32(value.length)
      this.writeRawBytes(value)
      return
    }
    const index = viewClasses.findIndex(([make]) => value instanceof make)
    const view = viewClasses[index]
    if (!ArrayBuffer.isView(value) || view === undefined) throw new Refusal('not structured data')
    this.writeUint32(index)
    this.writeUint32(value.byteOffset)
    this.writeUint32(value.byteLength / view[1])
    // The buffer is a value of its own: views that share one still do afterwards.
    this.writeValue(value.buffer)
  }

  _getDataCloneError(message: string): Error {
    return new Refusal(message)
  }
}

class CloneDeserializer extends Deserializer {
  _readHostObject(): ArrayBufferView {
    const index = this.readUint32()
    if (index === bufferIndex) return new Uint8Array(this.readRawBytes(this.readUint32()))
    const byteOffset = this.readUint32()
    const length = this.readUint32()
    const view = viewClasses[index]
    if (view === undefined) throw new GearmillError('EXECUTION_BLOCK_LOST', `a frame names view class ${index}`)
    return new view[0](this.readValue() as ArrayBuffer, byteOffset, length)
  }
}

/** Structured clone of records as bytes. Throws PlanError PLAN_RECORD with the path of what cannot be cloned. */
export function serializeRecords(records: readonly unknown[]): Uint8Array {
  try {
    return serialize(records)
  } catch (error) {
    throw refusalOf(records, error)
  }
}

export function deserializeRecords(bytes: Uint8Array): unknown[] {
  const reader = new CloneDeserializer(bytes)
  try {
    reader.readHeader()
  } catch (error) {
    throw new GearmillError('EXECUTION_BLOCK_LOST', 'a frame was written by a later version of Node.js', {
      cause: error,
      hint: 'Run the workers of a group on one major version of Node.js.',
    })
  }
  return reader.readValue() as unknown[]
}

function serialize(value: unknown): Uint8Array {
  // Record by record, which are small: what is met in many objects has to be kept in mind.
  const records: readonly unknown[] = Array.isArray(value) ? value : [value]
  if (records.some(holdsOpaque)) throw new Refusal('no structured data')
  const writer = new CloneSerializer()
  writer.writeHeader()
  writer.writeValue(value)
  return writer.releaseBuffer()
}

// V8's own error, for a stack that is used up; a getter's RangeError says something else.
function isTooDeep(error: unknown): boolean {
  return error instanceof RangeError && error.message === 'Maximum call stack size exceeded'
}

function isCloneable(value: unknown): boolean {
  try {
    serialize(value)
    return true
  } catch {
    return false
  }
}

// Descends into the first part that cannot be cloned by itself, until all parts of a value can but the value cannot.
function refusalOf(records: readonly unknown[], cause: unknown): unknown {
  if (isTooDeep(cause)) return new PlanError('PLAN_RECORD', 'a record is nested too deeply to travel', { cause })
  const failing = records.findIndex((record) => !isCloneable(record))
  if (failing < 0 && !(cause instanceof Refusal)) return cause
  if (failing < 0) return new PlanError('PLAN_RECORD', 'the records of a batch are too large together', { cause })
  let value = records[failing]
  let path = 'record'
  const visited = new Set<unknown>([value])
  for (;;) {
    const part = partsOf(value).find(([, inner]) => !visited.has(inner) && !isCloneable(inner))
    if (part === undefined) break
    path += part[0]
    value = part[1]
    visited.add(value)
  }
  const subject = path === 'record' ? 'a record' : `'${path}'`
  // What a getter throws is the user's own error.
  if (!(cause instanceof Refusal) && !types.isSharedArrayBuffer(value)) return cause
  return new PlanError('PLAN_RECORD', `${subject} cannot travel to another executor: it is ${describe(value)}`, {
    cause,
  })
}

function partsOf(value: unknown): [path: string, part: unknown][] {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return []
  const parts: [string, unknown][] = []
  if (value instanceof Map) {
    for (const [key, inner] of value) parts.push(['.keys()', key], [`.get(${show(key)})`, inner])
  } else if (value instanceof Set) {
    for (const inner of value) parts.push(['.values()', inner])
  }
  for (const name of Object.keys(value)) {
    const step = Array.isArray(value) ? `[${name}]` : `.${name}`
    parts.push([step, (value as Record<string, unknown>)[name]])
  }
  return parts
}

function show(key: unknown): string {
  if (typeof key === 'string') return JSON.stringify(key)
  return typeof key === 'number' || typeof key === 'bigint' ? String(key) : '...'
}

function describe(value: unknown): string {
  if (typeof value === 'function') return value.name === '' ? 'a function' : `the function ${value.name}`
  if (typeof value === 'symbol') return 'a symbol'
  if (types.isProxy(value)) return 'a Proxy'
  return `a live ${Object.prototype.toString.call(value).slice(8, -1)}`
}
