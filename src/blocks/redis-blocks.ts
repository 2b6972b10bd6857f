// Blocks in the deployment itself, spread over all shards, gone after a time of their own even if nobody removes them.
//
// A block is a head and parts, each a key with a hash tag of its own. Parts are written as they fill up, under the writer's
// random generation; the head, written last, names generation and number of parts and holds the end of the stream (all
// of a small block). So a block appears, and is replaced, by one SET; a writer that dies leaves parts that nobody can find
// and that expire. The parts of a replaced generation stay too, as somebody may be reading them, but the head remembers
// them for `remove`.
import { randomBytes } from 'node:crypto'
import { hashText } from '../codec/hash.ts'
import type { Argument, Deployment, Reply } from '../redis/deployment.ts'
import { FrameReader, FrameWriter } from './framing.ts'
import { safeName } from './names.ts'
import { BlockMissingError, type BlockStore, type BlockWriter } from './store.ts'

/** Options of RedisBlocks. */
export interface RedisBlocksOptions {
  /** How long a block lives after it was written, in milliseconds. */
  readonly ttlMs: number
  /** The most bytes in one value. Default: 1 MiB. */
  readonly partBytes?: number
}

interface Generation {
  /** 16 hexadecimal digits. */
  readonly id: string
  readonly parts: number
}

interface Head {
  /** This block's, then those that it replaced, the last one first. */
  readonly generations: readonly [Generation, ...Generation[]]
  /** Bytes of the stream. */
  readonly total: number
  /** The end of the stream, after all parts. */
  readonly tail: Uint8Array
}

// A replaced generation costs 12 bytes of the head. Past this many the oldest is removed.
const mostGenerations = 16
const generationBytes = 12
const fixedBytes = 10
const mostHeadBytes = fixedBytes + mostGenerations * generationBytes
const version = 1

// Parts asked for before they are needed: hides the round trip, and bounds the memory of a reader.
const readAhead = 3
// Keys in one turn of `remove`.
const removeAtOnce = 500

export class RedisBlocks implements BlockStore {
  readonly #deployment: Deployment
  readonly #namespace: string
  readonly #ttlMs: number
  readonly #partBytes: number

  constructor(deployment: Deployment, namespace: string, options: RedisBlocksOptions) {
    this.#deployment = deployment
    this.#namespace = namespace
    this.#ttlMs = options.ttlMs
    this.#partBytes = options.partBytes ?? 1024 * 1024
  }

  writer(owner: string, name: string): BlockWriter {
    const generation = randomBytes(8).toString('hex')
    const headKey = this.#headKey(owner, name)
    let parts = 0
    const frames = new FrameWriter(this.#partBytes, async (chunk) => {
      await this.#set(this.#partKey(owner, name, generation, parts++), chunk)
    })
    const discard = async (): Promise<void> => {
      await this.#unlink(this.#partKeys(owner, name, { id: generation, parts }))
    }
    return {
      append: (frame) => frames.append(frame),
      close: async () => {
        const tail = await frames.end()
        const replaced = (await this.#generations(headKey)).filter((old) => old.parts > 0)
        const generations = [{ id: generation, parts }, ...replaced.slice(0, mostGenerations - 1)] as const
        await this.#set(headKey, encodeHead({ generations, total: frames.bytes, tail }))
        for (const old of replaced.slice(mostGenerations - 1)) await this.#unlink(this.#partKeys(owner, name, old))
      },
      discard,
    }
  }

  async *read(owner: string, name: string): AsyncGenerator<Uint8Array> {
    const head = decodeHead(await this.#get(this.#headKey(owner, name)))
    if (head === undefined) throw new BlockMissingError(owner, name, 'its head is not in Redis')
    const frames = new FrameReader(owner, name, head.total)
    const { id, parts } = head.generations[0]
    const asked: Promise<Uint8Array | undefined>[] = []
    for (let part = 0; part < parts; part++) {
      for (let next = part + asked.length; next < parts && asked.length < readAhead; next++) {
        const reply = this.#get(this.#partKey(owner, name, id, next))
        // A reader that stops early never looks at it.
        reply.catch(() => undefined)
        asked.push(reply)
      }
      const bytes = await asked.shift()
      if (bytes === undefined) throw new BlockMissingError(owner, name, `part ${part} of ${parts} is not in Redis`)
      yield* frames.push(bytes)
    }
    yield* frames.push(head.tail)
    frames.end()
  }

  async delete(owner: string, name: string): Promise<void> {
    await this.remove(owner, [name])
  }

  async remove(owner: string, names: Iterable<string>): Promise<void> {
    let some: string[] = []
    for (const name of names) {
      some.push(name)
      if (some.length < removeAtOnce) continue
      await this.#removeSome(owner, some)
      some = []
    }
    await this.#removeSome(owner, some)
  }

  /** The deployment is the caller's, and stays open. */
  async close(): Promise<void> {}

  async #removeSome(owner: string, names: readonly string[]): Promise<void> {
    const heads = names.map((name) => this.#headKey(owner, name))
    const generations = await Promise.all(heads.map((key) => this.#generations(key)))
    let keys: string[] = []
    for (const [i, name] of names.entries()) {
      for (const generation of generations[i] ?? []) {
        for (const key of this.#partKeys(owner, name, generation)) {
          keys.push(key)
          if (keys.length < removeAtOnce) continue
          await this.#unlink(keys)
          keys = []
        }
      }
    }
    await this.#unlink(keys)
    // Last: without its head nobody finds a block's parts.
    await this.#unlink(heads)
  }

  // UNLINK frees in the background. In a cluster each key has its own slot; the commands of a tick share a round trip.
  async #unlink(keys: Iterable<string>): Promise<void> {
    const all = Array.from(keys)
    const [first] = all
    if (first === undefined) return
    if (this.#deployment.topology.cluster)
      await Promise.all(all.map((key) => this.#deployment.command(key, ['UNLINK', key])))
    else await this.#deployment.command(first, ['UNLINK', ...all])
  }

  /** The generations named by a head, without its content; none where there is no head. */
  async #generations(headKey: string): Promise<readonly Generation[]> {
    const start = await this.#bytes(headKey, ['GETRANGE', headKey, 0, mostHeadBytes - 1])
    return decodeHead(start)?.generations ?? []
  }

  async #set(key: string, bytes: Uint8Array): Promise<void> {
    await this.#deployment.command(key, ['SET', key, bytes, 'PX', this.#ttlMs])
  }

  async #get(key: string): Promise<Uint8Array | undefined> {
    return await this.#bytes(key, ['GET', key])
  }

  async #bytes(key: string, command: readonly Argument[]): Promise<Uint8Array | undefined> {
    const reply: Reply = await this.#deployment.command(key, command, { binary: true })
    return Buffer.isBuffer(reply) ? reply : undefined
  }

  #headKey(owner: string, name: string): string {
    return this.#key(`${safeName(owner)}:${safeName(name)}:0`)
  }

  #partKey(owner: string, name: string, generation: string, part: number): string {
    return this.#key(`${safeName(owner)}:${safeName(name)}:${generation}.${part + 1}`)
  }

  *#partKeys(owner: string, name: string, { id, parts }: Generation): Generator<string> {
    for (let part = 0; part < parts; part++) yield this.#partKey(owner, name, id, part)
  }

  // One of 65,536 hash tags, by the hash of what follows: an even share for every shard, whatever slots it has.
  #key(id: string): string {
    return `${this.#namespace}:{b${(hashText(id) & 0xffff).toString(36)}}:b:${id}`
  }
}

//   u8 version, f64 total, u8 number of generations, each of them: 8 bytes id, u32 parts; then the tail
function encodeHead({ generations, total, tail }: Head): Uint8Array {
  const size = fixedBytes + generations.length * generationBytes
  const bytes = Buffer.alloc(size + tail.length)
  bytes.writeUInt8(version, 0)
  bytes.writeDoubleLE(total, 1)
  bytes.writeUInt8(generations.length, 9)
  generations.forEach(({ id, parts }, i) => {
    const position = fixedBytes + i * generationBytes
    bytes.write(id, position, 'hex')
    bytes.writeUInt32LE(parts, position + 8)
  })
  bytes.set(tail, size)
  return bytes
}

function decodeHead(bytes: Uint8Array | undefined): Head | undefined {
  if (bytes === undefined || bytes.length < fixedBytes || bytes[0] !== version) return undefined
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const count = buffer.readUInt8(9)
  const size = fixedBytes + count * generationBytes
  if (count > mostGenerations || buffer.length < size) return undefined
  const generations: Generation[] = []
  for (let position = fixedBytes; position < size; position += generationBytes) {
    generations.push({
      id: buffer.toString('hex', position, position + 8),
      parts: buffer.readUInt32LE(position + 8),
    })
  }
  const [first, ...replaced] = generations
  if (first === undefined) return undefined
  return { generations: [first, ...replaced], total: buffer.readDoubleLE(1), tail: bytes.subarray(size) }
}
