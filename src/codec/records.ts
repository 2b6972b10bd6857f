// Records of no known shape as MessagePack, which carries plain data several times faster than V8's serializer, but not all
// that structured clone carries: a walk over the records decides whether they are plain enough.
import { Packr, Unpackr } from 'msgpackr/pack'

// Without shared structures: each frame defines the shapes that it uses, and can be read alone.
const packr = new Packr({ useRecords: true })
const unpackr = new Unpackr({ useRecords: true })

/** Loading the native part of MessagePack takes as long as it saves in so many bytes of records with texts. */
const worthNative = 4 * 1024 * 1024
let decoded = 0

// Deeper nesting and wider objects are the serializer's: recursion stays shallow here, and MessagePack would keep the
// shapes of objects that are used as dictionaries.
const deepest = 64
const widest = 64

/** MessagePack of the records, or undefined where one of them is more than plain data. Nothing may have given properties to all objects. */
export function encodePlain(records: readonly unknown[]): Uint8Array | undefined {
  for (let i = 0; i < records.length; i++) {
    if (!isPlainRecord(records[i])) return undefined
  }
  return packr.pack(records)
}

export function decodePlain(bytes: Uint8Array): unknown[] {
  if (decoded < worthNative && (decoded += bytes.length) >= worthNative) {
    // The whole package gives the decoder above its native part, where that is installed.
    import('msgpackr').catch(() => undefined)
  }
  return unpackr.unpack(bytes) as unknown[]
}

// The objects of the record that is walked over: one that is met again is shared or part of a cycle.
const met: object[] = []
const fewObjects = 16
let many: Set<object> | undefined

const lastNames = new Array<string>((deepest + 1) * widest).fill('')

function isPlainRecord(record: unknown): boolean {
  if (typeof record === 'object' && record !== null) {
    met.length = 0
    many = undefined
  }
  return isPlain(record, 0)
}

function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed()
    case 'number':
      return value !== 0 || 1 / value > 0
    case 'boolean':
    case 'undefined':
      return true
    case 'object':
      return value === null || isPlainObject(value, depth)
    default:
      return false
  }
}

function isPlainObject(value: object, depth: number): boolean {
  if (depth > deepest || isMet(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype) {
    let width = 0
    for (const name in value) {
      if (width === widest) return false
      // Neighbours mostly have the same names in the same order: names that passed once need no second look.
      const place = depth * widest + width++
      if (name !== lastNames[place]) {
        if (!isPlainName(name)) return false
        lastNames[place] = name
      }
      if (!isPlain((value as Record<string, unknown>)[name], depth + 1)) return false
    }
    return true
  }
  if (prototype !== Array.prototype || !Array.isArray(value)) return false
  // Named properties and holes are carried by the serializer.
  if (Object.keys(value).length !== value.length) return false
  for (let i = 0; i < value.length; i++) {
    const item: unknown = value[i]
    if (!isPlain(item, depth + 1) || (item === undefined && !(i in value))) return false
  }
  return true
}

// MessagePack's implementation looks at a value's `constructor` and `toJSON`, and renames `__proto__`.
function isPlainName(name: string): boolean {
  return name !== 'constructor' && name !== 'toJSON' && name !== '__proto__' && name.isWellFormed()
}

function isMet(value: object): boolean {
  if (many !== undefined) {
    if (many.has(value)) return true
    many.add(value)
    return false
  }
  for (let i = 0; i < met.length; i++) if (met[i] === value) return true
  met.push(value)
  if (met.length > fewObjects) many = new Set(met)
  return false
}
