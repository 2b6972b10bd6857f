// From keys to records, in batches of bounded size: strings first, for most keys are; then what is none, by its type.
import { PlanError } from '../../../errors.ts'
import type { Deployment } from '../../../redis/deployment.ts'
import type { ReadBatch, RunContext } from '../../define.ts'
import { type CollectionType, type ReadValue, type ValueType, extentsOf, readCollection, typeOf } from '../values.ts'
import { BulkColumn } from '../../../redis/protocol/column.ts'
import type { Key } from './scan.ts'
import { type StringValue, StringReader } from './strings.ts'

export interface RecordOptions {
  readonly type?: ValueType | undefined
  readonly values: boolean
  readonly binary: boolean
}

/** Collections are read together up to so many elements, or so many bytes. */
const elementsTogether = 8000
const bytesTogether = 4 * 1024 * 1024

/** A batch, and what is to be read behind it. */
interface Page {
  readonly batch: ReadBatch
  readonly rest?: AsyncGenerator<ReadBatch>
}

interface Collection {
  readonly key: Key
  readonly type: CollectionType
}

export class KeyRecords {
  readonly #deployment: Deployment
  readonly #options: RecordOptions
  readonly #context: RunContext
  readonly #strings: StringReader

  /** @param large whether strings may be too large for one reply */
  constructor(deployment: Deployment, options: RecordOptions, context: RunContext, large: boolean) {
    this.#deployment = deployment
    this.#options = options
    this.#context = context
    this.#strings = new StringReader(deployment, large, options.binary)
  }

  /** The type that a scan has to filter by. */
  get scanType(): ValueType | undefined {
    const { type, values } = this.#options
    return type === 'string' && values && !this.#strings.wantsTypes ? undefined : type
  }

  /**
   * Keys that one round trip reads, as most do; undefined where they need more, and of() is to be asked. Its command is on
   * its way when this returns.
   */
  atOnce(keys: BulkColumn): Page | Promise<Page> | undefined {
    const { type, values } = this.#options
    if (!values) return { batch: this.#named(keysOf(keys)) }
    if (type !== undefined && type !== 'string') return undefined
    if (this.#strings.needsTypes || keys.length > this.#strings.together) return undefined
    return this.#whole(keys)
  }

  async #whole(keys: BulkColumn): Promise<Page> {
    const values = await this.#strings.read(keys)
    const { batch, none } = this.#recordsOf(keysOf(keys), values)
    return this.#isOver(none) ? { batch } : { batch, rest: this.#others(none) }
  }

  async *of(keys: BulkColumn): AsyncGenerator<ReadBatch> {
    const { type } = this.#options
    if (type !== undefined && type !== 'string') {
      yield* this.#collections(keysOf(keys).map((key) => ({ key, type })))
      return
    }
    for (let at = 0; at < keys.length;) {
      const some = keys.slice(at, at + this.#strings.together)
      at += some.length
      if (type === undefined && this.#strings.needsTypes) {
        const { strings, others } = await this.#sorted(keysOf(some))
        yield* this.#stringsOf(BulkColumn.of(strings))
        yield* this.#collections(others)
      } else yield* this.#stringsOf(some)
    }
  }

  async *#stringsOf(column: BulkColumn): AsyncGenerator<ReadBatch> {
    for (let at = 0; at < column.length;) {
      const some = column.slice(at, column.length)
      const keys = keysOf(some)
      const values = await this.#strings.read(some)
      at += values.length
      const { batch, none } = this.#recordsOf(keys, values)
      yield batch
      if (!this.#isOver(none)) yield* this.#others(none)
    }
  }

  /** Whether nothing is to be read of keys that hold no string: gone since they were scanned, or of another type. */
  #isOver(none: readonly Key[]): boolean {
    return none.length === 0 || this.#options.type !== undefined || this.#strings.needsTypes
  }

  async *#others(keys: readonly Key[]): AsyncGenerator<ReadBatch> {
    yield* this.#collections((await this.#sorted(keys)).others)
  }

  /** The strings that are there, and the keys that hold none. */
  #recordsOf(
    keys: readonly Key[],
    values: readonly StringValue[],
  ): { readonly batch: ReadBatch; readonly none: readonly Key[] } {
    const texts = this.#options.binary ? undefined : textRecords(keys, values)
    if (texts !== undefined) return { batch: batchOf(texts, keys), none: [] }
    const batch = new Batch(this.#options.binary, this.#context.fail)
    const none: Key[] = []
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as StringValue
      const key = keys[i] as Key
      if (value === null) none.push(key)
      else batch.put(key, 'string', value)
    }
    return { batch: batch.done(), none }
  }

  async #sorted(keys: readonly Key[]): Promise<{ readonly strings: readonly Key[]; readonly others: Collection[] }> {
    const types = await Promise.all(keys.map(async (key) => typeOf(await this.#deployment.command(key, ['TYPE', key]))))
    const strings: Key[] = []
    const others: Collection[] = []
    let skipped = 0
    for (const [i, type] of types.entries()) {
      if (type === 'string') strings.push(keys[i] as Key)
      else if (type === 'other') skipped++
      else if (type !== 'none') others.push({ key: keys[i] as Key, type })
    }
    if (skipped > 0) this.#context.task.count({ skipped })
    return { strings, others }
  }

  async *#collections(collections: readonly Collection[]): AsyncGenerator<ReadBatch> {
    const extents = await extentsOf(this.#deployment, collections)
    for (let at = 0; at < collections.length;) {
      const reading: Promise<ReadValue | undefined>[] = []
      const keys: Key[] = []
      let elements = 0
      let bytes = 0
      for (; at < collections.length; at++) {
        const extent = extents[at]
        if (extent === undefined) continue
        const over = elements + extent.length > elementsTogether || bytes + extent.bytes > bytesTogether
        if (over && keys.length > 0) break
        elements += extent.length
        bytes += extent.bytes
        const { key } = collections[at] as Collection
        keys.push(key)
        reading.push(readCollection(this.#deployment, key, extent, this.#options.binary))
      }
      const batch = new Batch(this.#options.binary, this.#context.fail)
      for (const [i, value] of (await Promise.all(reading)).entries()) {
        if (value !== undefined) batch.put(keys[i] as Key, value.type, value.error ?? value.value)
      }
      yield batch.done()
    }
  }

  #named(keys: Key[]): ReadBatch {
    const { binary } = this.#options
    const failed = keys.filter((key) => !binary && typeof key !== 'string')
    for (const key of failed) failKey(this.#context.fail, key)
    const good = failed.length === 0 ? keys : keys.filter((key) => typeof key === 'string')
    const records = binary ? good.map(bytesOf) : good
    return batchOf(records, good)
  }
}

/** Records of keys and values. */
class Batch {
  readonly #binary: boolean
  readonly #fail: RunContext['fail']
  readonly #records: unknown[] = []
  readonly #keys: Key[] = []

  constructor(binary: boolean, fail: RunContext['fail']) {
    this.#binary = binary
    this.#fail = fail
  }

  put(key: Key, type: ValueType, value: unknown): void {
    if (value instanceof PlanError) this.#fail(value, String(key), String(key))
    else if (this.#binary) this.#add(key, { key: bytesOf(key), type, value })
    else if (typeof key === 'string') this.#add(key, { key, type, value })
    else failKey(this.#fail, key)
  }

  #add(key: Key, record: unknown): void {
    this.#keys.push(key)
    this.#records.push(record)
  }

  done(): ReadBatch {
    return batchOf(this.#records, this.#keys)
  }
}

/** Records of text alone, as most are; undefined where there is anything else among them. */
function textRecords(keys: readonly Key[], values: readonly StringValue[]): unknown[] | undefined {
  const records: unknown[] = []
  for (let i = 0; i < values.length; i++) {
    const key = keys[i]
    const value = values[i]
    if (typeof key !== 'string' || typeof value !== 'string') return undefined
    records.push({ key, type: 'string', value })
  }
  return records
}

function batchOf(records: unknown[], keys: readonly Key[]): ReadBatch {
  return { batch: { kind: 'records', records }, place: (i) => String(keys[i]) }
}

function keysOf(column: BulkColumn): Key[] {
  return column.items() as Key[]
}

function failKey(fail: RunContext['fail'], key: Key): void {
  fail(new PlanError('PLAN_ENCODING', 'a key is not UTF-8'), String(key), String(key))
}

function bytesOf(key: Key): Uint8Array {
  return new Uint8Array(typeof key === 'string' ? Buffer.from(key) : key)
}
