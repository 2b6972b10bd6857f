// The kernel's way and the JavaScript way of reading one column of CSV: the same records, failures and places.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { toRecords } from '../../../../src/codec/batch.ts'
import type { Counter } from '../../../../src/native/text/counter.ts'
import type { ReadBatch, RunContext } from '../../../../src/pipeline/define.ts'
import { columnBatches, kernelColumn } from '../../../../src/pipeline/readers/text/columns.ts'
import type { FilesOptions } from '../../../../src/pipeline/readers/text/format.ts'
import { csvBatches } from '../../../../src/pipeline/readers/text/rows.ts'
import { Encoding, TextSource } from '../../../../src/pipeline/readers/text/source.ts'
import { textKernel } from '../../../../src/pipeline/text.ts'

const folder = mkdtempSync(join(tmpdir(), 'gearmill-columns-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = join(folder, 'in')
const utf8 = new Encoding('utf-8', false)

interface Input {
  readonly bytes: Uint8Array
  readonly column: number
  readonly from?: number
  readonly options?: Partial<FilesOptions>
  readonly longest?: number
}

type Read = (
  source: TextSource,
  entry: { path: string; first: number; size: number; columns: string[] },
  from: number,
  to: number,
  options: FilesOptions,
  context: RunContext,
) => AsyncGenerator<ReadBatch>

/** Records and failures in the order in which they come, with their places. */
async function seenBy(
  read: Read,
  chunk: number,
  { bytes, column, from = 0, options }: Input,
  texts?: Counter,
): Promise<unknown[]> {
  const seen: unknown[] = []
  const context = {
    fail: (thrown: unknown, record: unknown, place: unknown) => seen.push([String(thrown), record, place]),
    texts,
  } as unknown as RunContext
  const full: FilesOptions = {
    patterns: [path],
    format: 'csv',
    column,
    delimiter: ',',
    quote: '"',
    header: false,
    encoding: 'utf-8',
    fatal: false,
    ...options,
  }
  const entry = { path, first: 0, size: bytes.length, columns: ['0', '1', '2'] }
  for await (const { batch, place } of read(
    new TextSource(path, utf8, chunk),
    entry,
    from,
    bytes.length,
    full,
    context,
  )) {
    const records = toRecords(batch)
    for (const [i, record] of records.entries()) seen.push([record, await place?.(i)])
  }
  return seen
}

/** Failures come before the batch of the records in front of them where it is not full yet: only their own orders count. */
function sorted(seen: readonly unknown[]): unknown[] {
  const length = (item: unknown): number => (item as unknown[]).length
  return [...seen.filter((item) => length(item) === 2), ...seen.filter((item) => length(item) === 3)]
}

async function bothWays(
  input: Input,
  chunk: number,
  detour: number,
  scriptChunk = 1 << 20,
): Promise<[unknown[], unknown[]]> {
  writeFileSync(path, input.bytes)
  const { column, longest } = input
  const script = await seenBy((...parts) => csvBatches(...parts, longest), scriptChunk, input)
  const kernel = await seenBy((...parts) => columnBatches(...parts, column, longest, detour), chunk, input)
  return [sorted(kernel), sorted(script)]
}

/** How often each record comes, and the failures, where the reader counts itself what it can. */
async function counted(input: Input, detour: number): Promise<{ counts: Map<unknown, number>; failures: unknown[] }> {
  writeFileSync(path, input.bytes)
  const counter = textKernel().counter({ tokens: 'none' })
  try {
    const seen = await seenBy((...parts) => columnBatches(...parts, input.column, undefined, detour), 7, input, counter)
    const counts = countsOf(seen)
    for (const { keys, values } of counter.drain().partitions) {
      const texts = toRecords({ kind: 'text', ...keys })
      for (const [i, text] of texts.entries()) counts.set(text, (counts.get(text) ?? 0) + (values[i] as number))
    }
    return { counts, failures: failuresOf(seen) }
  } finally {
    counter.close()
  }
}

function countsOf(seen: readonly unknown[]): Map<unknown, number> {
  const counts = new Map<unknown, number>()
  for (const item of seen as readonly unknown[][]) {
    if (item.length === 2) counts.set(item[0], (counts.get(item[0]) ?? 0) + 1)
  }
  return counts
}

function failuresOf(seen: readonly unknown[]): unknown[] {
  return seen.filter((item) => (item as unknown[]).length === 3)
}

const pieces = [
  'a',
  'bc',
  ',',
  ',',
  '"',
  '"',
  '""',
  '\n',
  '\n',
  '\r\n',
  '\r',
  ' ',
  'é',
  '\u{1f600}',
  '"x,y\nz"',
  '"q""r"',
]
const soup = fc
  .array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 40 })
  .map((parts) => Buffer.from(parts.join('')))
const column = fc.nat(2)

describe('a column of CSV', () => {
  it('is the same by the kernel and in JavaScript, broken rows included', async () => {
    await fc.assert(
      fc.asyncProperty(
        soup,
        column,
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 30 }),
        async (bytes, index, chunk, detour) => {
          const [kernel, script] = await bothWays({ bytes, column: index }, chunk, detour)
          expect(kernel).toEqual(script)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('is counted by the reader as its records would be', async () => {
    await fc.assert(
      fc.asyncProperty(soup, column, fc.integer({ min: 1, max: 30 }), async (bytes, index, detour) => {
        const input = { bytes, column: index }
        const { counts, failures } = await counted(input, detour)
        const script = await seenBy(csvBatches, 1 << 20, input)
        expect(counts).toEqual(countsOf(script))
        expect(failures).toEqual(failuresOf(script))
      }),
      { numRuns: 300 },
    )
  })

  it('is the same for any bytes, from the middle of a file, with other separators and without quotes', async () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 60 })
    const some = fc.array(fc.oneof(bytes, soup), { minLength: 1, maxLength: 4 }).map((parts) => Buffer.concat(parts))
    const dialect = fc.constantFrom({}, { quote: '' }, { delimiter: ';' }, { quote: "'", delimiter: 'a' })
    await fc.assert(
      fc.asyncProperty(some, column, dialect, fc.nat(20), async (text, index, options, start) => {
        const from = Math.min(start, text.length)
        const [kernel, script] = await bothWays({ bytes: text, column: index, from, options }, 7, 5)
        expect(kernel).toEqual(script)
      }),
      { numRuns: 300 },
    )
  })

  it('steps over rows that are too long as the other way does', async () => {
    const long = 'x'.repeat(1000)
    for (const text of [`a,b\n"${long}\n1,2\n${long}${long}\n3,4\n`, `a,b\n"x,\n${'1,2\n'.repeat(100)}`]) {
      const [kernel, script] = await bothWays({ bytes: Buffer.from(text), column: 0, longest: 200 }, 64, 1, 64)
      // How much of a long row is shown depends on where chunks end.
      const short = (seen: unknown[]): unknown[] =>
        seen.map((item) => [(item as unknown[])[0], (item as unknown[]).at(-1)])
      expect(short(kernel)).toEqual(short(script))
    }
  })

  it('is read in JavaScript where the kernel cannot: other encodings, bytes that have to be valid, far columns', () => {
    const options: FilesOptions = {
      patterns: [path],
      format: 'csv',
      column: 'text',
      delimiter: ',',
      quote: '"',
      header: true,
      encoding: 'utf-8',
      fatal: false,
    }
    const entry = { path, first: 0, size: 0, columns: ['id', 'text'] }
    const source = (encoding: Encoding): TextSource => new TextSource(path, encoding)
    expect(kernelColumn(source(utf8), entry, options)).toBe(1)
    expect(kernelColumn(source(new Encoding('latin1', false)), entry, options)).toBeUndefined()
    expect(kernelColumn(source(new Encoding('utf-8', true)), entry, options)).toBeUndefined()
    expect(kernelColumn(source(utf8), entry, { ...options, column: 255 })).toBeUndefined()
    expect(kernelColumn(source(utf8), { ...entry, columns: [] }, options)).toBeUndefined()
    const { column: _, ...rows } = options
    expect(kernelColumn(source(utf8), entry, rows)).toBeUndefined()
  })
})
