// Where chunks end must not matter, nor how far a border looks back.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import type { RunContext } from '../../../../src/pipeline/define.ts'
import type { FilesOptions } from '../../../../src/pipeline/readers/text/format.ts'
import { linesIn } from '../../../../src/pipeline/readers/text/lines.ts'
import { rowStarts, stateAfter, synchronized } from '../../../../src/pipeline/readers/text/quotes.ts'
import { csvBatches } from '../../../../src/pipeline/readers/text/rows.ts'
import { Encoding, TextSource } from '../../../../src/pipeline/readers/text/source.ts'
import { toRecords } from '../../../../src/codec/batch.ts'

const folder = mkdtempSync(join(tmpdir(), 'gearmill-chunks-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'in')

const soup = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', 'é'), minLength: 1, maxLength: 80 })
const chunkBytes = fc.integer({ min: 1, max: 9 })
const dialect = { delimiter: 0x2c, quote: 0x22 }
const utf8 = new Encoding('utf-8', false)
const options: FilesOptions = {
  patterns: [path],
  format: 'csv',
  delimiter: ',',
  quote: '"',
  header: false,
  encoding: 'utf-8',
  fatal: false,
}

async function rows(chunk: number, width: number, size: number, longest?: number): Promise<unknown[]> {
  const seen: unknown[] = []
  const context = {
    fail: (thrown: unknown, _record: unknown, place: unknown) => seen.push([String(thrown), place]),
  } as unknown as RunContext
  const columns = Array.from({ length: width }, (_, i) => String(i))
  const entry = { path, first: 0, size, columns }
  for await (const { batch, place } of csvBatches(
    new TextSource(path, utf8, chunk),
    entry,
    0,
    size,
    options,
    context,
    longest,
  )) {
    for (const [i, record] of toRecords(batch).entries()) seen.push([record, await place?.(i)])
  }
  return seen
}

describe('chunks', () => {
  it('give the same rows and failures wherever they end', async () => {
    await fc.assert(
      fc.asyncProperty(soup, chunkBytes, fc.integer({ min: 1, max: 3 }), async (text, chunk, width) => {
        writeFileSync(path, text)
        const size = Buffer.byteLength(text)
        expect(await rows(chunk, width, size)).toEqual(await rows(1000, width, size))
      }),
      { numRuns: 500 },
    )
  })

  it('are not kept for a row without an end: it is stepped over', async () => {
    const long = 'x'.repeat(1000)
    const text = `a,b\n"${long}\n1,2\n${long}${long}\n3,4\n`
    writeFileSync(path, text)
    expect(await rows(64, 2, text.length, 200)).toEqual([
      [{ 0: 'a', 1: 'b' }, `${path}:1`],
      [`PlanError: ${path}:2: the row is longer than 200 bytes`, `${path}:2`],
      [{ 0: '1', 1: '2' }, `${path}:3`],
      [`PlanError: ${path}:4: the row is longer than 200 bytes`, `${path}:4`],
      [{ 0: '3', 1: '4' }, `${path}:5`],
    ])
    const unclosed = `a,b\n"x,\n${'1,2\n'.repeat(100)}`
    writeFileSync(path, unclosed)
    const [, refused, ...rest] = await rows(64, 2, unclosed.length, 200)
    expect(refused).toEqual([`PlanError: ${path}:2: a quote is not closed within 200 bytes`, `${path}:2`])
    expect(rest).toEqual(Array.from({ length: 100 }, (_, i) => [{ 0: '1', 1: '2' }, `${path}:${i + 3}`]))
    writeFileSync(path, text)
    const source = new TextSource(path, utf8, 64)
    const seen: unknown[] = []
    for await (const { bytes, bounds, tooLong } of linesIn(source.chunks(0), 0, 0, text.length, 200)) {
      for (let i = 0; i < bounds.length; i += 2) seen.push(bytes.toString('utf8', bounds[i], bounds[i + 1]))
      if (tooLong !== undefined) seen.push(await source.place(tooLong))
    }
    expect(seen).toEqual(['a,b', `${path}:2`, '1,2', `${path}:4`, '3,4'])
  })

  it('give the same lines wherever they end, whatever the part', async () => {
    await fc.assert(
      fc.asyncProperty(soup, chunkBytes, fc.nat(80), async (text, chunk, border) => {
        writeFileSync(path, text)
        const size = Buffer.byteLength(text)
        const source = new TextSource(path, utf8, chunk)
        const lines: string[] = []
        for (const [from, to] of [
          [0, Math.min(border, size)],
          [Math.min(border, size), size],
        ] as const) {
          if (from === to) continue
          for await (const { bytes, bounds, offsets } of linesIn(source.chunks(from > 0 ? from - 1 : 0), 0, from, to)) {
            for (let i = 0; i < offsets.length; i++)
              lines.push(bytes.toString('utf8', bounds[2 * i], bounds[2 * i + 1]))
          }
        }
        const expected = text.split('\n').map((line) => line.replace(/\r$/, ''))
        if (text.endsWith('\n')) expected.pop()
        expect(lines).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })
})

describe('borders', () => {
  it('find the same row starts however far they look back', async () => {
    await fc.assert(
      fc.asyncProperty(soup, fc.uniqueArray(fc.integer({ min: 1, max: 80 })), async (text, borders) => {
        writeFileSync(path, text)
        const size = Buffer.byteLength(text)
        const inside = borders.filter((border) => border < size).sort((a, b) => a - b)
        const starts = await rowStarts(path, 0, size, inside, dialect, 1_000_000)
        for (const window of [2, 3, 8]) {
          expect(await rowStarts(path, 0, size, inside, dialect, window)).toEqual(starts)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('know the state behind a place that is the same for all states', () => {
    fc.assert(
      fc.property(soup, (text) => {
        const bytes = Buffer.from(text)
        const found = synchronized(bytes, dialect)
        if (found === undefined) return
        for (const state of ['start', 'plain', 'quoted', 'closing'] as const) {
          expect(stateAfter(state, bytes, 0, found.at, dialect)).toBe(found.state)
        }
      }),
      { numRuns: 1000 },
    )
  })
})
