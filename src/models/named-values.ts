// Named values in Redis: models and tensors. A value is a hash with what is said about it and, where it is small, its bytes;
// larger ones lie beside it in parts, so that no call carries more than one part. Parts are uploaded under a name of their own
// and expire until one function call makes them the value: a reader sees the old one or the new one.
import { createHash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { ModelError } from '../errors.ts'
import type { Deployment, Reply } from '../redis/deployment.ts'
import { ReplyError } from '../redis/failures.ts'
import { itemsOf, numberOf, textOf } from '../redis/replies.ts'

/** Bytes that lie in the hash itself. */
const inline = 512 * 1024
const partBytes = 1024 * 1024
/** Parts of uploads that never ended. */
const uploadMs = 60 * 60 * 1000
/** Readers begin again where a value was replaced while they read it. */
const mostReads = 5
const nameRule = /^[\w.:\-/]{1,128}$/

/** What is kept beside the bytes. */
export interface ValueInfo {
  readonly name: string
  /** SHA-256 of the bytes, in hexadecimal. */
  readonly hash: string
  readonly bytes: number
  /** When it was stored, in milliseconds since the epoch. */
  readonly storedAt: number
}

export class NamedValues<I extends ValueInfo> {
  readonly #deployment: Deployment
  readonly #kind: string
  readonly #isValid: (info: Partial<I>) => boolean
  readonly #prefix: string
  /** The names of all values. */
  readonly #index: string

  /** @param kind `model` or `tensor` @param isValid whether this can be what is said about a value of the kind */
  constructor(deployment: Deployment, namespace: string, kind: string, isValid: (info: Partial<I>) => boolean) {
    this.#deployment = deployment
    this.#kind = kind
    this.#isValid = isValid
    this.#prefix = `${namespace}:{${kind}:`
    this.#index = `${namespace}:{gm0}:${kind}s`
  }

  #key(name: string): string {
    if (typeof name !== 'string' || !nameRule.test(name)) {
      throw new ModelError('MODEL_NAME', `${this.#kind}: ${inspect(name, { depth: 0 })} is not a name`)
    }
    // The name is the hash tag: a value and its parts are in one slot, and values are spread over the shards.
    return `${this.#prefix}${name}}`
  }

  /** Stores a value in place of one of the same name. Throws MODEL_NAME. */
  async put(name: string, about: Omit<I, keyof ValueInfo>, bytes: Uint8Array): Promise<I> {
    const key = this.#key(name)
    const hash = createHash('sha256').update(bytes).digest('hex')
    const info = { name, hash, bytes: bytes.length, storedAt: Date.now(), ...about } as I
    // Named before it is there, and again after: whoever removes an older one at the same time takes the name away.
    await this.#deployment.command(this.#index, ['SADD', this.#index, name])
    for (let tries = 0; ; tries++) {
      const upload = randomBytes(6).toString('hex')
      const small = bytes.length <= inline
      const parts = small ? 0 : Math.ceil(bytes.length / partBytes)
      for (let part = 0; part < parts; part++) {
        const slice = bytes.subarray(part * partBytes, (part + 1) * partBytes)
        await this.#deployment.command(key, ['SET', `${key}:${upload}:${part}`, slice, 'PX', uploadMs])
      }
      const text = JSON.stringify(info)
      const args = [text, upload, parts, small ? bytes : '']
      if (numberOf(await this.#deployment.call('value_put', [key], args)) === 1) break
      if (tries > 2) throw this.#damaged(name, 'its parts were gone before all of them were stored')
    }
    await this.#deployment.command(this.#index, ['SADD', this.#index, name])
    return info
  }

  /** Undefined where there is none. Throws MODEL_DAMAGED. */
  async info(name: string): Promise<I | undefined> {
    const [text] = await this.#fields(name, ['info'])
    return text === null || text === undefined ? undefined : this.#infoOf(name, textOf(text))
  }

  async #fields(name: string, fields: readonly string[]): Promise<readonly Reply[]> {
    const key = this.#key(name)
    try {
      return itemsOf(await this.#deployment.command(key, ['HMGET', key, ...fields], { binary: true }))
    } catch (error) {
      if (!(error instanceof ReplyError) || error.prefix !== 'WRONGTYPE') throw error
      throw this.#damaged(name, 'its key holds another type of value')
    }
  }

  #infoOf(name: string, text: string): I {
    let info: Partial<I> | null
    try {
      info = JSON.parse(text) as Partial<I> | null
    } catch {
      throw this.#damaged(name, 'what is known of it is no JSON')
    }
    if (
      info?.name === name &&
      typeof info.hash === 'string' &&
      Number.isSafeInteger(info.bytes) &&
      this.#isValid(info)
    ) {
      return info as I
    }
    throw this.#damaged(name, 'what is known of it is not what was stored')
  }

  /** Undefined where there is none. Throws MODEL_DAMAGED where it is not what was stored. */
  async read(name: string): Promise<{ readonly info: I; readonly bytes: Uint8Array } | undefined> {
    const key = this.#key(name)
    for (let tries = 0; tries < mostReads; tries++) {
      const [text, upload, parts, data] = await this.#fields(name, ['info', 'upload', 'parts', 'data'])
      if (text === undefined || text === null) return undefined
      const info = this.#infoOf(name, textOf(text))
      const count = Number(textOf(parts))
      const bytes = count === 0 ? bytesOf(data) : await this.#join(`${key}:${textOf(upload)}`, count, info.bytes)
      if (bytes === undefined) continue
      if (createHash('sha256').update(bytes).digest('hex') !== info.hash) {
        throw this.#damaged(name, `expected the SHA-256 ${info.hash}`)
      }
      return { info, bytes }
    }
    throw this.#damaged(name, 'a part of it is missing')
  }

  async #join(prefix: string, parts: number, length: number): Promise<Uint8Array | undefined> {
    const whole = new Uint8Array(length)
    let at = 0
    for (let part = 0; part < parts; part++) {
      const key = `${prefix}:${part}`
      const bytes = bytesOf(await this.#deployment.command(key, ['GET', key], { binary: true }))
      if (bytes === undefined || at + bytes.length > length) return undefined
      whole.set(bytes, at)
      at += bytes.length
    }
    return at === length ? whole : undefined
  }

  #damaged(name: string, reason: string): ModelError {
    return new ModelError('MODEL_DAMAGED', `${this.#kind} ${name}: ${reason}`)
  }

  /** All values, by name. Throws MODEL_DAMAGED. */
  async list(): Promise<I[]> {
    const names = new Set<string>()
    let cursor = '0'
    do {
      const [next, found] = itemsOf(
        await this.#deployment.command(this.#index, ['SSCAN', this.#index, cursor, 'COUNT', 500]),
      )
      cursor = textOf(next)
      for (const name of itemsOf(found)) names.add(textOf(name))
    } while (cursor !== '0')
    const all = await Promise.all([...names].map((name) => this.info(name)))
    // One whose upload did not end has a name, but no value.
    return all.filter((info): info is Awaited<I> => info !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** False where there was none. */
  async remove(name: string): Promise<boolean> {
    const removed = numberOf(await this.#deployment.call('value_remove', [this.#key(name)], [])) === 1
    await this.#deployment.command(this.#index, ['SREM', this.#index, name])
    return removed
  }
}

function bytesOf(reply: Reply | undefined): Uint8Array | undefined {
  return Buffer.isBuffer(reply) ? reply : undefined
}
