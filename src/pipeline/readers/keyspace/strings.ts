// Strings of many keys: by MGET, as many at a time as make about half a MiB, where no string can be large; else the start of
// each by GETRANGE, and the rest of large ones in parts.
import { isUtf8 } from 'node:buffer'
import { ConnectError, PlanError } from '../../../errors.ts'
import type { Argument, Deployment, Reply } from '../../../redis/deployment.ts'
import { BulkColumn, type Item } from '../../../redis/protocol/column.ts'
import { groupsBySlot } from './scan.ts'

/** A string, its bytes where they were asked for, null where there is none, or the reason why it cannot be had. */
export type StringValue = string | Uint8Array | null | PlanError

interface ReadStrings {
  readonly values: readonly StringValue[]
  /** About as many as the replies had. */
  readonly bytes: number
}

const replyBytes = 512 * 1024
const mostTogether = 1000
const firstTogether = 128
/** The start of a string that may be large. */
const startBytes = 16 * 1024
const partBytes = 1024 * 1024
/** Where one of so many keys is no string, it is cheaper to ask for the type first. */
const mostOthers = 8
/** Values that are read in parts are kept together up to so many bytes. */
const largeTogether = 8 * 1024 * 1024

export class StringReader {
  /** How many keys to ask for at once. */
  together = firstTogether
  #asked = 0
  #missing = 0
  readonly #deployment: Deployment
  readonly #large: boolean
  readonly #binary: boolean

  constructor(deployment: Deployment, large: boolean, binary: boolean) {
    this.#deployment = deployment
    this.#large = large
    this.#binary = binary
  }

  /** Where it is true, keys of other types must not be asked for. */
  get needsTypes(): boolean {
    return this.#large
  }

  /** Whether a scan for strings finds them sooner by their type than by MGET, which gives no value for what is no string. */
  get wantsTypes(): boolean {
    return this.#large || this.#missing * mostOthers > this.#asked
  }

  /** Values of the first keys, of all unless they are large. */
  async read(keys: BulkColumn): Promise<readonly StringValue[]> {
    const { values, bytes } = await this.#read(keys)
    const fitting = Math.floor((replyBytes * values.length) / Math.max(1, bytes))
    this.together = Math.max(1, Math.min(mostTogether, fitting, this.together * 2))
    return values
  }

  #read(keys: BulkColumn): Promise<ReadStrings> {
    if (this.#large) return this.#byParts(keys)
    return this.#deployment.topology.cluster ? this.#bySlot(keys) : this.#mget(keys)
  }

  async #bySlot(keys: BulkColumn): Promise<ReadStrings> {
    const values = new Array<StringValue>(keys.length)
    let bytes = 0
    await Promise.all(
      groupsBySlot(keys).map(async (group) => {
        const found = await this.#mget(keys.select(group))
        bytes += found.bytes
        for (const [at, i] of group.entries()) values[i] = found.values[at] as StringValue
      }),
    )
    return { values, bytes }
  }

  async #mget(keys: BulkColumn): Promise<ReadStrings> {
    const reply = await this.#deployment.columns({ key: keys.bytesOf(0) }, ['MGET'], keys)
    if (!(reply instanceof BulkColumn)) throw new ConnectError('CONNECT_REPLY', 'MGET was answered with no list')
    return { values: this.#valuesOf(reply), bytes: reply.bytes.length }
  }

  #valuesOf(reply: BulkColumn): readonly StringValue[] {
    const found = reply.items()
    this.#asked += found.length
    let isText = true
    for (const item of found) {
      if (item === null) this.#missing++
      else if (typeof item !== 'string') isText = false
    }
    return isText && !this.#binary ? found : found.map((item, i) => this.#valueOf(item, reply, i))
  }

  #valueOf(item: Item, values: BulkColumn, i: number): StringValue {
    if (item === null) return null
    if (this.#binary) return new Uint8Array(values.bytesOf(i))
    return typeof item === 'string' ? item : notText()
  }

  async #byParts(column: BulkColumn): Promise<ReadStrings> {
    const keys = Array.from({ length: column.length }, (_, i) => column.bytesOf(i))
    const starts = await Promise.all(keys.map((key) => this.#range(key, 0, startBytes)))
    const values: StringValue[] = []
    let large = 0
    let small = 0
    for (const [i, start] of starts.entries()) {
      const key = keys[i] as Buffer
      if (start === null || start.length < startBytes) {
        const missing = start === null || (start.length === 0 && (await this.#command(key, ['EXISTS', key])) === 0)
        values.push(missing ? null : this.#decoded(start))
        small += start?.length ?? 0
        continue
      }
      const bytes = await this.#rest(key, start)
      values.push(this.#decoded(bytes))
      large += bytes.length
      if (large >= largeTogether) break
    }
    return { values, bytes: large + small }
  }

  async #rest(key: Buffer, start: Buffer): Promise<Buffer> {
    const parts = [start]
    for (let from = startBytes; ; from += partBytes) {
      const part = await this.#range(key, from, partBytes)
      if (part === null) break
      parts.push(part)
      if (part.length < partBytes) break
    }
    return Buffer.concat(parts)
  }

  /** Null where another type has taken the key. */
  async #range(key: Buffer, from: number, length: number): Promise<Buffer | null> {
    try {
      return (await this.#command(key, ['GETRANGE', key, from, from + length - 1])) as Buffer
    } catch (error) {
      if (error instanceof Error && error.message.includes('WRONGTYPE')) return null
      throw error
    }
  }

  #command(key: Buffer, args: readonly Argument[]): Promise<Reply> {
    return this.#deployment.command(key, args, { binary: true })
  }

  #decoded(reply: Reply): StringValue {
    if (reply === null) return null
    const bytes = reply as Buffer
    if (this.#binary) return new Uint8Array(bytes)
    return isUtf8(bytes) ? bytes.toString() : notText()
  }
}

function notText(): PlanError {
  return new PlanError('PLAN_ENCODING', 'the value is not UTF-8')
}
