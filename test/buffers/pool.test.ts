import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  any,
  createPool,
  f64,
  i64,
  list,
  optional,
  ref,
  str,
  struct,
  u32,
  type Schema,
} from '../../src/buffers/index.ts'
import { codeOf, temporaryFolder } from './folder.ts'

const path = temporaryFolder()
const Point = struct('Point', { name: str, x: f64, tags: list(str), count: optional(i64) })

describe('a pool', () => {
  it('gives back what was packed, from any segment', () => {
    const pool = createPool({ segmentBytes: 4096 })
    const other = createPool()
    fc.assert(
      fc.property(
        fc.array(fc.record({ name: fc.string(), x: fc.double(), tags: fc.array(fc.string({ maxLength: 9 })) }), {
          maxLength: 50,
        }),
        fc.anything({ maxDepth: 1, maxKeys: 3 }),
        (points, value) => {
          const positions = points.map((point, index) =>
            index % 2 ? pool.pack(Point, point) : pool.add(other.packed(Point, point)),
          )
          const anywhere = pool.pack(any, value)
          expect(new Set(positions).size).toBe(points.length)
          expect(positions.map((position) => pool.get(Point, position))).toEqual(points)
          expect(positions.map((position) => pool.at(Point, position).name)).toEqual(points.map(({ name }) => name))
          expect(pool.get(any, anywhere)).toEqual(value)
        },
      ),
    )
    expect(pool.bytes).toBeGreaterThan(4096)
    pool.close()
  })

  it('holds cycles, and numbers that change in place', () => {
    interface Node {
      value: number
      next?: Node
    }
    const node: Schema<Node> = struct('Node', { value: u32, next: optional(ref((): Schema<Node> => node)) })
    const pool = createPool()
    const loop: Node = { value: 1 }
    loop.next = loop
    const position = pool.pack(node, loop)
    pool.at(node, position).value = 7
    const copy = pool.get(node, position)
    expect(copy.next).toBe(copy)
    expect(copy.value).toBe(7)
    pool.close()
  })

  it('interns when it is asked to', () => {
    const [apart, together] = [createPool(), createPool({ intern: true })]
    const tags = ['a tag that is rather long', 'and another one']
    for (let index = 0; index < 100; index++) {
      apart.pack(Point, { name: 'n', x: index, tags })
      together.pack(Point, { name: 'n', x: index, tags })
    }
    expect(together.bytes).toBeLessThan(apart.bytes / 2)
  })

  it('refuses what it cannot do, and leaves no file', () => {
    const folder = dirname(path())
    const pool = createPool({ segmentBytes: 4096, dir: folder })
    const position = pool.pack(str, 'kept')
    expect(codeOf(() => pool.pack(str, 'x'.repeat(5000)))).toBe('BUFFER_TOO_LARGE')
    expect(codeOf(() => pool.packed(str, 'x'.repeat(5000)))).toBe('BUFFER_TOO_LARGE')
    expect(codeOf(() => pool.add(new Uint8Array(5000)))).toBe('BUFFER_TOO_LARGE')
    expect(codeOf(() => pool.pack(u32, -1))).toBe('BUFFER_VALUE')
    expect(codeOf(() => pool.at(str, 2 ** 31))).toBe('BUFFER_RANGE')
    expect(codeOf(() => pool.at(str, -1))).toBe('BUFFER_RANGE')
    expect(pool.get(str, position)).toBe('kept')
    expect(readdirSync(folder)).toEqual([])
    const view = pool.at(Point, pool.pack(Point, { name: 'n', x: 1, tags: [] }))
    pool.close()
    expect(codeOf(() => view.x)).toBe('BUFFER_CLOSED')
    expect(codeOf(() => pool.get(str, position))).toBe('BUFFER_CLOSED')
    expect(codeOf(() => pool.pack(str, ''))).toBe('BUFFER_CLOSED')
    expect(codeOf(() => createPool({ segmentBytes: 1 }))).toBe('BUFFER_OPTION')
  })
})
