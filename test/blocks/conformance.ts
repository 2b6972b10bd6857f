// What every block store must do; the tests of each store run it.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { BlockStore } from '../../src/blocks/store.ts'

export interface StoreUnderTest {
  readonly store: BlockStore
  /** What the store holds for all owners: files, or keys. */
  list(): Promise<string[]>
  /** What holds the block damage/block. */
  pieces(): Promise<readonly Piece[]>
  /** Arguments for killed-writer.ts, which opens the same store. */
  readonly reopen: readonly string[]
  close(): Promise<void>
}

/** A file or a value that holds a part of a block. */
export interface Piece {
  readonly bytes: Uint8Array
  /** Writes other bytes in its place; undefined removes it. */
  readonly replace: (bytes: Uint8Array | undefined) => Promise<void>
}

export const missing = expect.objectContaining({ name: 'BlockMissingError', code: 'EXECUTION_BLOCK_LOST' })

export async function write(
  store: BlockStore,
  owner: string,
  name: string,
  frames: Iterable<Uint8Array>,
): Promise<void> {
  const writer = store.writer(owner, name)
  for (const frame of frames) await writer.append(frame)
  await writer.close()
}

export async function readAll(store: BlockStore, owner: string, name: string): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = []
  for await (const frame of store.read(owner, name)) frames.push(Uint8Array.from(frame))
  return frames
}

/** What a test compares in place of megabytes: length and digest of each frame. */
export function digests(frames: readonly Uint8Array[]): string[] {
  return frames.map((frame) => `${frame.length} ${createHash('sha1').update(frame).digest('hex')}`)
}

/** `length` bytes that differ from place to place and from `seed` to `seed`. */
export function bytesOf(length: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed + 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    bytes[i] = state >>> 24
  }
  return bytes
}

/** `partBytes`: the size that pieces of the store under test have, so that blocks of several are made. */
export function testStore(partBytes: number, open: () => Promise<StoreUnderTest>): void {
  let under: StoreUnderTest
  let store: BlockStore
  beforeAll(async () => {
    under = await open()
    store = under.store
  })
  afterAll(async () => {
    await under.close()
  })

  test('gives back frames in the order of append, whatever their sizes', async () => {
    const sizes = fc.array(fc.oneof(fc.nat(40), fc.nat(3 * partBytes), fc.constantFrom(partBytes - 8, partBytes)), {
      maxLength: 8,
    })
    await fc.assert(
      fc.asyncProperty(sizes, async (lengths) => {
        const frames = lengths.map((length, i) => bytesOf(length, i))
        await write(store, 'order', 'block', frames)
        expect(digests(await readAll(store, 'order', 'block'))).toStrictEqual(digests(frames))
      }),
      { numRuns: 30 },
    )
  })

  test('keeps blocks without frames, and frames without bytes', async () => {
    await write(store, 'empty', 'none', [])
    expect(await readAll(store, 'empty', 'none')).toStrictEqual([])
    await write(store, 'empty', 'zero', [new Uint8Array(0), bytesOf(3), new Uint8Array(0)])
    expect(await readAll(store, 'empty', 'zero')).toStrictEqual([new Uint8Array(0), bytesOf(3), new Uint8Array(0)])
  })

  test('lets the caller reuse the bytes of a frame when append is done', async () => {
    const frame = new Uint8Array(2 * partBytes + 5)
    const writer = store.writer('reuse', 'block')
    for (const value of [1, 2, 3]) {
      await writer.append(frame.fill(value))
    }
    await writer.close()
    const frames = await readAll(store, 'reuse', 'block')
    expect(frames.map((read) => [read[0], read.at(-1)])).toStrictEqual([1, 2, 3].map((value) => [value, value]))
  })

  test('shows nothing before close, and leaves nothing after discard', async () => {
    const writer = store.writer('open', 'block')
    await writer.append(bytesOf(3 * partBytes))
    await expect(readAll(store, 'open', 'block')).rejects.toThrow(missing)
    await writer.discard()
    await expect(readAll(store, 'open', 'block')).rejects.toThrow(missing)
    await store.remove('open', [])
    expect((await under.list()).filter((name) => name.includes('open'))).toStrictEqual([])
  })

  test('shows nothing of a writer that was killed', async () => {
    const script = fileURLToPath(new URL('killed-writer.ts', import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', script, ...under.reopen, String(partBytes)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    await expect(readAll(store, 'killed', 'block')).rejects.toThrow(missing)
    await write(store, 'killed', 'block', [bytesOf(5)])
    expect(await readAll(store, 'killed', 'block')).toStrictEqual([bytesOf(5)])
  })

  test('replaces a block; who is reading the old one reads it to its end', async () => {
    const old = [bytesOf(partBytes, 1), bytesOf(9 * partBytes, 2), bytesOf(5 * partBytes, 3)]
    await write(store, 'again', 'block', old)
    const reading = store.read('again', 'block')[Symbol.asyncIterator]()
    const first = await reading.next()
    await write(store, 'again', 'block', [bytesOf(4 * partBytes, 4)])
    expect(digests(await readAll(store, 'again', 'block'))).toStrictEqual(digests([bytesOf(4 * partBytes, 4)]))
    const seen = [first.value as Uint8Array]
    for (let next = await reading.next(); next.done !== true; next = await reading.next()) seen.push(next.value)
    expect(digests(seen)).toStrictEqual(digests(old))
  })

  test('keeps one whole block of several writers of one id', async () => {
    const versions = [1, 2, 3, 4].map((seed) => [
      bytesOf(2 * partBytes, seed),
      bytesOf(100, seed),
      bytesOf(3 * partBytes, seed),
    ])
    await Promise.all(versions.map((frames) => write(store, 'race', 'block', frames)))
    expect(versions.map(digests)).toContainEqual(digests(await readAll(store, 'race', 'block')))
  })

  test('can stop reading early', async () => {
    await write(store, 'early', 'block', [bytesOf(10), bytesOf(20 * partBytes)])
    for await (const frame of store.read('early', 'block')) {
      expect(frame.length).toBe(10)
      break
    }
    expect(await readAll(store, 'early', 'block')).toHaveLength(2)
  })

  test('tells blocks apart by any name', async () => {
    const names = [
      'a',
      'A',
      'é',
      'é'.normalize('NFD'),
      '',
      '.',
      '..',
      '../a',
      '/a',
      'a:b',
      '{a}',
      'a b',
      '\0',
      '\ud800',
      '%61',
      'a'.repeat(300),
      `${'a'.repeat(299)}b`,
    ]
    for (const owner of names) {
      for (const name of names) await write(store, owner, name, [Buffer.from(JSON.stringify([owner, name]))])
    }
    for (const owner of names) {
      for (const name of names) {
        expect(Buffer.concat(await readAll(store, owner, name)).toString()).toBe(JSON.stringify([owner, name]))
      }
      await store.remove(owner, names)
    }
  })

  test('removes a block, or all of an owner, and nothing else', async () => {
    for (const name of ['one', 'two', 'three']) {
      // Written twice: what was replaced goes too.
      for (const seed of [1, 2]) await write(store, 'gone', name, [bytesOf(3 * partBytes, seed)])
    }
    await write(store, 'kept', 'one', [bytesOf(1)])
    await store.delete('gone', 'one')
    await store.delete('gone', 'one')
    await expect(readAll(store, 'gone', 'one')).rejects.toThrow(missing)
    expect(await readAll(store, 'gone', 'two')).toHaveLength(1)
    await store.remove('gone', ['one', 'two', 'three', 'never written'])
    await store.remove('gone', ['one', 'two', 'three', 'never written'])
    expect((await under.list()).filter((name) => name.includes('gone'))).toStrictEqual([])
    expect(await readAll(store, 'kept', 'one')).toStrictEqual([bytesOf(1)])
  })

  test('notices every cut and every change of what it stored', async () => {
    for (const owner of ['order', 'empty', 'reuse', 'killed', 'again', 'race', 'early', 'kept', 'damage']) {
      await store.remove(owner, ['block', 'none', 'zero', 'one'])
    }
    await write(store, 'damage', 'block', [bytesOf(50, 1), bytesOf(2 * partBytes, 2), bytesOf(70, 3)])
    const pieces = (await under.pieces()).filter(({ bytes }) => bytes.length > 0)
    for (const { bytes, replace } of pieces) {
      const places = [0, 1, 7, 8, 9, 15, 16, 20, Math.floor(bytes.length / 2), bytes.length - 9, bytes.length - 1]
      for (const place of places.filter((at) => at >= 0 && at < bytes.length)) {
        const flipped = Uint8Array.from(bytes)
        flipped[place] = (flipped[place] as number) ^ 0x41
        await replace(flipped)
        await expect(readAll(store, 'damage', 'block')).rejects.toThrow(missing)
        await replace(bytes.subarray(0, place))
        await expect(readAll(store, 'damage', 'block')).rejects.toThrow(missing)
      }
      await replace(Buffer.concat([bytes, Uint8Array.of(0)]))
      await expect(readAll(store, 'damage', 'block')).rejects.toThrow(missing)
      await replace(undefined)
      await expect(readAll(store, 'damage', 'block')).rejects.toThrow(missing)
      await replace(bytes)
      expect(await readAll(store, 'damage', 'block')).toHaveLength(3)
    }
  })
}

/** Writes and reads 100 MB; returns the most bytes that buffers held meanwhile. */
export async function heldByHundredMegabytes(store: BlockStore): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  // What the event loop still holds of the last read goes with its next rounds.
  const held = async (): Promise<number> => {
    for (let round = 0; round < 3; round++) {
      await new Promise((resolve) => setImmediate(resolve))
      collect()
    }
    return process.memoryUsage().arrayBuffers
  }
  const frame = bytesOf(100_000)
  const before = await held()
  let most = 0
  const writer = store.writer('large', 'block')
  for (let i = 0; i < 1000; i++) {
    frame[0] = i & 0xff
    await writer.append(frame)
    if (i % 100 === 99) most = Math.max(most, await held())
  }
  await writer.close()
  let count = 0
  for await (const read of store.read('large', 'block')) {
    expect(read[0]).toBe(count & 0xff)
    count++
    if (count % 100 === 0) most = Math.max(most, await held())
  }
  expect(count).toBe(1000)
  await store.remove('large', ['block'])
  return most - before
}
