// Objects that all have the same names, with texts, numbers or booleans behind them, as a column for each name. Most of the
// work of carrying objects is to look at every value: here each is looked at once, and written together with its like.
//
// Objects in objects stay with MessagePack: to make them of columns takes longer than to write them so saves.
import { numbersOf, stringsOf, textColumn } from './batch.ts'
import { type ColumnReader, type Part, numberParts, textParts } from './columns.ts'

type Kind = 'text' | 'number' | 'boolean' | 'null' | 'undefined'
/** In a frame as JSON. */
type Heading = readonly (readonly [name: string, kind: Kind])[]

/** Of fewer objects a table is larger than they are. */
const fewestObjects = 8
const mostNames = 64

interface Column {
  readonly kind: Kind
  readonly texts: string[]
  readonly numbers: Float64Array
}

/**
 * Objects as a table; undefined where the records are not alike, or more than plain data. Nothing may have given properties
 * to all objects.
 */
export function encodeTable(records: readonly unknown[]): Part[] | undefined {
  const [first] = records
  if (records.length < fewestObjects || typeof first !== 'object' || first === null) return undefined
  const names = Object.keys(first)
  // A name that sets the prototype is no property where objects are made.
  if (names.length > mostNames || names.includes('__proto__')) return undefined
  const columns: Column[] = []
  for (const name of names) {
    const column = columnFor((first as Record<string, unknown>)[name], records.length)
    if (column === undefined) return undefined
    columns.push(column)
  }
  for (let i = 0; i < records.length; i++) if (!put(names, columns, records[i], i)) return undefined
  const parts = columns.map(partsOf)
  const heading = textColumn([JSON.stringify(names.map((name, k) => [name, columns[k]?.kind]))])
  if (heading === undefined || parts.includes(undefined)) return undefined
  return [...numberParts(Float64Array.of(records.length)), ...textParts(heading), ...(parts as Part[][]).flat()]
}

const none = new Float64Array(0)

function columnFor(value: unknown, length: number): Column | undefined {
  switch (typeof value) {
    case 'string':
      return { kind: 'text', texts: new Array<string>(length), numbers: none }
    case 'number':
      return { kind: 'number', texts: [], numbers: new Float64Array(length) }
    case 'boolean':
      return { kind: 'boolean', texts: [], numbers: new Float64Array(length) }
    case 'undefined':
      return { kind: 'undefined', texts: [], numbers: none }
    default:
      return value === null ? { kind: 'null', texts: [], numbers: none } : undefined
  }
}

/** False where a record is not like the first. */
function put(names: readonly string[], columns: readonly Column[], record: unknown, at: number): boolean {
  if (typeof record !== 'object' || record === null || Object.getPrototypeOf(record) !== Object.prototype) return false
  let count = 0
  for (const name in record) {
    if (names[count] !== name) return false
    const column = columns[count++] as Column
    const value = (record as Record<string, unknown>)[name]
    switch (column.kind) {
      case 'text':
        if (typeof value !== 'string') return false
        column.texts[at] = value
        break
      case 'number':
        if (typeof value !== 'number') return false
        column.numbers[at] = value
        break
      case 'boolean':
        if (typeof value !== 'boolean') return false
        column.numbers[at] = value ? 1 : 0
        break
      case 'null':
        if (value !== null) return false
        break
      case 'undefined':
        if (value !== undefined) return false
    }
  }
  return count === names.length
}

/** Undefined where a text is none that UTF-8 can carry. */
function partsOf({ kind, texts, numbers }: Column): Part[] | undefined {
  if (kind === 'number' || kind === 'boolean') return numberParts(numbers)
  if (kind !== 'text') return []
  const column = textColumn(texts)
  return column && textParts(column)
}

export function decodeTable(reader: ColumnReader): object[] {
  const [length = 0] = reader.numbers()
  const [heading = ''] = stringsOf(reader.text())
  const names: string[] = []
  const columns: unknown[][] = []
  for (const [name, kind] of JSON.parse(heading) as Heading) {
    names.push(name)
    columns.push(valuesOf(kind, length, reader))
  }
  const objects = new Array<object>(length)
  for (let i = 0; i < length; i++) {
    const object: Record<string, unknown> = {}
    for (let k = 0; k < names.length; k++) object[names[k] as string] = (columns[k] as unknown[])[i]
    objects[i] = object
  }
  return objects
}

function valuesOf(kind: Kind, length: number, reader: ColumnReader): unknown[] {
  switch (kind) {
    case 'text':
      return stringsOf(reader.text())
    case 'number':
      return numbersOf(reader.numbers())
    case 'boolean':
      return numbersOf(reader.numbers()).map((value) => value === 1)
    case 'null':
      return new Array<null>(length).fill(null)
    case 'undefined':
      return new Array<undefined>(length)
  }
}
