// Damages shared buffers in every way that comes to mind, and reads all of what is left. Whatever happens has to be
// a value or a coded error: no other exception, no crash, no hang.
import { readFileSync, writeFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { inspect } from 'node:util'
import {
  any,
  bool,
  BufferError,
  buildArray,
  buildMap,
  bytes,
  date,
  datetime,
  decimal,
  dict,
  f32,
  f64,
  i16,
  i64,
  i8,
  list,
  ndarray,
  nullable,
  openArray,
  openMap,
  optional,
  ref,
  set,
  str,
  struct,
  tuple,
  u16,
  u32,
  u64,
  u8,
  ZonedDate,
  type Schema,
} from '../../src/buffers/index.ts'

interface Tree {
  value: string
  left?: Tree
  right?: Tree
}
const tree: Schema<Tree> = struct('Tree', {
  value: str,
  left: optional(ref((): Schema<Tree> => tree)),
  right: optional(ref((): Schema<Tree> => tree)),
})

const Everything = struct('Everything', {
  numbers: tuple(i8, u8, i16, u16, u32, i64, u64, f32, f64, bool),
  text: str,
  data: bytes,
  packed: bytes({ compress: true }),
  names: list(str),
  grid: list(list(list(u8))),
  members: set(str),
  table: dict(str, list(nullable(f64))),
  rows: list(struct('Inner', { a: optional(u32), b: nullable(str), c: tree })),
  when: datetime,
  day: date,
  price: decimal,
  matrix: ndarray,
  anything: any,
})

const loop: Tree = { value: 'loop' }
loop.left = { value: 'left', right: loop }

const everything: typeof Everything.type = {
  numbers: [-1, 2, -3, 4, 5, -6n, 7n, 0.5, 0.25, true],
  text: 'some text that is long enough, and é',
  data: Uint8Array.of(1, 2, 3),
  packed: new Uint8Array(700),
  names: Array.from({ length: 70 }, (_, index) => `name ${index}`),
  grid: [[[1, 2], [3]], [], [[4]]],
  members: new Set(Array.from({ length: 12 }, (_, index) => `member ${index}`)),
  table: new Map(Array.from({ length: 10 }, (_, index) => [`key ${index}`, [index, null]])),
  rows: [
    { a: 1, b: null, c: loop },
    { b: 'b', c: loop },
  ],
  when: new ZonedDate(0, 60),
  day: new Date(0),
  price: '1.50',
  matrix: { shape: [2, 1], data: Float32Array.of(1, 2) },
  anything: {
    list: [1, 'two', 3n, null, undefined, [0.5], new Date(5)],
    map: new Map<unknown, unknown>([[1, new Set(['x'])]]),
    data: Uint8Array.of(9),
    floats: Float64Array.of(1, 2, 3),
    'a key': { nested: { deeper: true } },
  },
}

/** Files to damage, as bytes. */
async function sources(path: string): Promise<readonly Buffer[]> {
  const files: Buffer[] = []
  const keep = () => files.push(readFileSync(path))
  await buildArray(path, Everything, [everything, everything], { intern: true })
  keep()
  await buildArray(path, tree, [loop, { value: 'x', left: loop }])
  keep()
  await buildArray(path, list(list(any)), [[[1, [2]], ['a']], []], { segmentBytes: 4096 })
  keep()
  const words = Array.from({ length: 300 }, (_, index) => [`key ${index % 250}`, `value ${index}`] as const)
  await buildMap(path, str, str, words, { segmentBytes: 4096, hashBits: 64 })
  keep()
  await buildMap(path, str, u32, words.map(([key], index) => [key, index]), { approximate: true, multi: true }) // prettier-ignore
  keep()
  await buildMap(path, f64, Everything, [1, 2.5, -3].map((key) => [key, everything])) // prettier-ignore
  keep()
  await buildMap(path, any, date, [[['a', 1], new Date(0)], ['b', new Date(0)]]) // prettier-ignore
  keep()
  return files
}

/** xorshift32: the same damage for the same seed. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed * 2 + 1
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

const interesting = [
  0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff,
]

type Random = (below: number) => number

/** Changes bytes, words or runs of bytes between `from` and `to`. */
function mutate(file: Buffer, random: Random, from: number, to: number): void {
  const length = to - from
  if (length < 8) return
  const any = (room: number) => from + random(length - room + 1)
  for (let changes = 1 + random(random(4) === 0 ? 40 : 4); changes > 0; changes--) {
    switch (random(6)) {
      case 0:
        file[any(1)] = random(256)
        break
      case 1: {
        const at = any(1)
        file[at] = (file[at] ?? 0) ^ (1 << random(8))
        break
      }
      case 2:
        file.writeUInt32LE(interesting[random(interesting.length)] ?? 0, any(4))
        break
      case 3: {
        // A pointer or a count that is off by little.
        const at = from + random(length >> 2) * 4
        if (at + 4 <= to) file.writeUInt32LE((file.readUInt32LE(at) + random(65) - 32) >>> 0, at)
        break
      }
      case 4:
        file.copyWithin(any(8), any(8), Math.min(to, any(8) + random(8)))
        break
      default: {
        const at = any(8)
        file.fill(random(256), at, at + random(8))
      }
    }
  }
}

function damage(source: Buffer, random: Random): Buffer {
  const file = Buffer.from(source)
  const directoryAt = Number(file.readBigUInt64LE(24))
  const directoryEnd = directoryAt + file.readUInt32LE(32)
  switch (random(10)) {
    case 0:
      return file.subarray(0, random(file.length))
    case 1:
      mutate(file, random, 0, 64)
      break
    case 2:
      // A header that is wrong and says that it is right.
      mutate(file, random, 8, 40)
      file.writeUInt32LE(crc32(file.subarray(0, 40)), 40)
      break
    case 3:
    case 4: {
      mutate(file, random, directoryAt, directoryEnd)
      sign(file, directoryAt, directoryEnd)
      break
    }
    case 5: {
      // Still JSON: other digits and letters.
      for (let changes = 1 + random(4); changes > 0; changes--) {
        const at = directoryAt + random(directoryEnd - directoryAt)
        const byte = file[at] ?? 0
        if (byte >= 48 && byte <= 57) file[at] = 48 + random(10)
        else if (byte >= 97 && byte <= 122 && random(3) === 0) file[at] = 97 + random(26)
      }
      sign(file, directoryAt, directoryEnd)
      break
    }
    default:
      mutate(file, random, 64, directoryAt)
  }
  return file
}

function sign(file: Buffer, from: number, to: number): void {
  file.writeUInt32LE(crc32(file.subarray(from, to)), 36)
  file.writeUInt32LE(crc32(file.subarray(0, 40)), 40)
}

/** Runs one read; anything but a value or a coded error is thrown on. */
function attempt(read: () => unknown): void {
  try {
    read()
  } catch (error) {
    if (!(error instanceof BufferError)) throw error
  }
}

/** Touches everything that a value leads to, to a depth. */
function walk(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null || depth === 0) return
  if (ArrayBuffer.isView(value) || value instanceof Date) return
  if (Array.isArray(value) || value instanceof Set) {
    let left = 100
    attempt(() => {
      for (const item of value as Iterable<unknown>) {
        walk(item, depth - 1)
        if (--left === 0) break
      }
    })
    return
  }
  const isSetOrMap = 'has' in value && 'size' in value
  if (isSetOrMap) {
    const keyed = value as ReadonlyMap<unknown, unknown>
    attempt(() => keyed.has('member 3'))
    attempt(() => walk([...keyed.keys()].slice(0, 100), depth - 1))
    if ('get' in keyed) attempt(() => walk(keyed.get('key 3'), depth - 1))
    return
  }
  for (const name in value) attempt(() => walk((value as Record<string, unknown>)[name], depth - 1))
}

function readArray(file: string): void {
  const array = openArray<unknown>(file)
  try {
    for (const place of [0, 1, 5]) {
      attempt(() => walk(array.at(place), 6))
      attempt(() => array.get(place))
      attempt(() => inspect(array.at(place)))
      attempt(() => (array.at(place) as { toJSON?: () => unknown } | null | undefined)?.toJSON?.())
      attempt(() => walk(array.cursor().moveTo(place), 2))
    }
    attempt(() => {
      let left = 100
      for (const view of array.scan()) {
        walk(view, 2)
        if (--left === 0) break
      }
    })
    attempt(() => array.verify())
  } finally {
    array.close()
  }
}

function readMap(file: string): void {
  const map = openMap(file)
  try {
    for (const key of ['key 3', 'key 249', 'b', ['a', 1], 1, 2.5, 7n, null]) {
      attempt(() => walk(map.at(key), 4))
      attempt(() => map.get(key))
      attempt(() => map.getAll(key))
    }
    attempt(() => {
      let left = 300
      for (const key of map.keys()) {
        map.has(key)
        if (--left === 0) break
      }
    })
    attempt(() => {
      let left = 50
      for (const value of map.values()) {
        walk(value, 2)
        if (--left === 0) break
      }
    })
    attempt(() => map.verify())
  } finally {
    map.close()
  }
}

/** Damages and reads `count` files. Throws what should never be thrown, with the seed that leads there. */
export async function fuzz(path: string, count: number, firstSeed: number): Promise<{ readonly opened: number }> {
  const files = await sources(path)
  let opened = 0
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const random = randomNumbers(seed)
    random(2)
    writeFileSync(path, damage(files[random(files.length)] as Buffer, random))
    for (const read of [readArray, readMap]) {
      try {
        attempt(() => {
          read(path)
          opened++
        })
      } catch (cause) {
        throw new Error(`seed ${seed}: ${String(cause)}`, { cause })
      }
    }
  }
  return { opened }
}
