// Strings of many keys: by MGET, as many at a time as make about half a MiB, where no string can be large; else the start of
// each by GETRANGE, and the rest of large ones in parts.
import { isUtf8 } from 'node:buffer'
import { PlanError } from '../../../errors.ts'
import type { Argument, Deployment, Reply } from '../../../redis/deployment.ts'
import { itemsOf } from '../../../redis/replies.ts'
import { type Key, groupsOf } from './scan.ts'

/** A string, its bytes where they were asked for, null where there is none, or the reason why it cannot be had. */
export type StringValue = string | Uint8Array | null | PlanError

const replyBytes = 512 * 1024
const mostTogether = 1000
const firstTogether = 128
/** The start of a string that may be large. */
const startBytes = 16 * 1024
const partBytes = 1024 * 1024
/** Values that are read in parts are kept together up to so many bytes. */
const largeTogether = 8 * 1024 * 1024

export class StringReader {
  /** How many keys to ask for at once. */
  together = firstTogether
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

  /** Values of the first keys, of all unless they are large. */
  async read(keys: readonly Key[]): Promise<readonly StringValue[]> {
    const values = await (this.#large ? this.#byParts(keys) : this.#whole(keys))
    let bytes = 0
    for (const value of values) if (typeof value === 'string' || value instanceof Uint8Array) bytes += value.length
    const fitting = Math.floor((replyBytes * values.length) / Math.max(1, bytes))
    this.together = Math.max(1, Math.min(mostTogether, fitting, this.together * 2))
    return values
  }

  async #whole(keys: readonly Key[]): Promise<readonly StringValue[]> {
    const { cluster } = this.#deployment.topology
    if (!cluster) return this.#mget(keys)
    const values = new Array<StringValue>(keys.length)
    await Promise.all(
      groupsOf(keys, cluster).map(async (group) => {
        const found = await this.#mget(group.map((i) => keys[i] as Key))
        for (const [at, i] of group.entries()) values[i] = found[at] as StringValue
      }),
    )
    return values
  }

  async #mget(keys: readonly Key[]): Promise<readonly StringValue[]> {
    const first = keys[0] as Key
    const found = itemsOf(await this.#deployment.command(first, ['MGET', ...keys], { binary: this.#binary }))
    if (this.#binary) return found.map((bytes) => (bytes === null ? null : new Uint8Array(bytes as Buffer)))
    const values = found as readonly (string | null)[]
    const odd = values.flatMap((value, i) => (value?.includes('\uFFFD') === true ? [i] : []))
    if (odd.length === 0) return values
    // They have no such text, or have this very character: their bytes tell.
    const checked: StringValue[] = [...values]
    for (const i of odd) checked[i] = this.#decoded(await this.#command(keys[i] as Key, ['GET', keys[i] as Key]))
    return checked
  }

  async #byParts(keys: readonly Key[]): Promise<readonly StringValue[]> {
    const starts = await Promise.all(keys.map((key) => this.#range(key, 0, startBytes)))
    const values: StringValue[] = []
    let large = 0
    for (const [i, start] of starts.entries()) {
      const key = keys[i] as Key
      if (start === null || start.length < startBytes) {
        const missing = start === null || (start.length === 0 && (await this.#command(key, ['EXISTS', key])) === 0)
        values.push(missing ? null : this.#decoded(start))
        continue
      }
      const bytes = await this.#rest(key, start)
      values.push(this.#decoded(bytes))
      large += bytes.length
      if (large >= largeTogether) break
    }
    return values
  }

  async #rest(key: Key, start: Buffer): Promise<Buffer> {
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
  async #range(key: Key, from: number, length: number): Promise<Buffer | null> {
    try {
      return (await this.#command(key, ['GETRANGE', key, from, from + length - 1])) as Buffer
    } catch (error) {
      if (error instanceof Error && error.message.includes('WRONGTYPE')) return null
      throw error
    }
  }

  #command(key: Key, args: readonly Argument[]): Promise<Reply> {
    return this.#deployment.command(key, args, { binary: true })
  }

  #decoded(reply: Reply): StringValue {
    if (reply === null) return null
    const bytes = reply as Buffer
    if (this.#binary) return new Uint8Array(bytes)
    return isUtf8(bytes) ? bytes.toString() : new PlanError('PLAN_ENCODING', 'the value is not UTF-8')
  }
}
