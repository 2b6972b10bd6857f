// Splitting loses nothing and cuts only between rows.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gearmill } from './command-line.ts'

let cwd: string
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'gearmill-split-'))
})
afterEach(() => rm(cwd, { recursive: true }))

async function split(content: string | Uint8Array, ...args: string[]) {
  await writeFile(join(cwd, 'in.csv'), content)
  return gearmill(['split', 'in.csv', '--out', 'parts', ...args], { cwd })
}

async function parts(): Promise<string[]> {
  const names = (await readdir(join(cwd, 'parts'))).sort()
  return Promise.all(names.map((name) => readFile(join(cwd, 'parts', name), 'latin1')))
}

describe('gearmill split', () => {
  it('repeats the header and prints the paths in order', async () => {
    const { code, stdout, stderr } = await split('a,b\n1,2\n3,4\n5,6\n', '--rows', '2')
    expect(code).toBe(0)
    expect(stdout).toBe(`${join(cwd, 'parts/in-0001.csv')}\n${join(cwd, 'parts/in-0002.csv')}\n`)
    expect(stderr).toBe('3 rows in 2 files\n')
    expect(await parts()).toEqual(['a,b\n1,2\n3,4\n', 'a,b\n5,6\n'])
  })

  it('says the same as JSON', async () => {
    const { stdout } = await split('a\n1\n2\n3', '--rows', '2', '--json')
    expect(JSON.parse(stdout)).toEqual({
      rows: 3,
      parts: [
        { path: join(cwd, 'parts/in-0001.csv'), rows: 2, bytes: 6 },
        { path: join(cwd, 'parts/in-0002.csv'), rows: 1, bytes: 3 },
      ],
    })
  })

  it('keeps quoted line ends, doubled quotes, CRLF, a byte order mark and other encodings as they are', async () => {
    const rows = ['"x\r\ny",1\r\n', '"say ""hi""\n",2\r\n', 'caf\u00e9,3\r\n', '5" disk,4\r\n']
    const header = '\u00ef\u00bb\u00bf"na\nme",n\r\n'
    await split(Buffer.from(header + rows.join(''), 'latin1'), '--rows', '1')
    expect(await parts()).toEqual(rows.map((row) => header + row))
  })

  it('takes other delimiters and quotes, and files without a header', async () => {
    await split("a;'b\n;c'\nd\n", '--rows', '1', '--no-header', '--delimiter', ';', '--quote', "'")
    expect(await parts()).toEqual(["a;'b\n;c'\n", 'd\n'])
  })

  it('makes no part of a file without rows', async () => {
    expect(await split('a,b\n', '--rows', '2')).toMatchObject({ code: 0, stdout: '', stderr: '0 rows in 0 files\n' })
    expect(await split('', '--rows', '2')).toMatchObject({ code: 0, stdout: '' })
  })

  it('is undone by putting the parts together, whatever the cells hold', async () => {
    const cell = fc.oneof(
      fc.stringMatching(/^[a-z ]{0,9}$/),
      fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r') }),
    )
    const quoted = cell.map((text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text))
    const table = fc.array(fc.tuple(quoted, quoted), { minLength: 1, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(table, fc.integer({ min: 1, max: 7 }), fc.boolean(), async (rows, size, ended) => {
        const lines = rows.map((row) => `${row.join(',')},x\n`)
        const content = lines.join('').slice(0, ended ? undefined : -1)
        const { code } = await split(`h,i\n${content}`, '--rows', String(size), '--force')
        expect(code).toBe(0)
        const written = (await parts()).slice(0, Math.ceil(rows.length / size))
        expect(written.map((part) => part.replace(/^h,i\n/, '')).join('')).toBe(content)
        written.forEach((part, index) => {
          expect(part).toBe(`h,i\n${lines.slice(index * size, (index + 1) * size).join('')}`.slice(0, part.length))
        })
      }),
      { numRuns: 40 },
    )
  })

  it('handles rows and headers across the chunks it reads in', async () => {
    const row = `"${'x'.repeat(700_000)}\n",1\n`
    await split(`h,n\n${row.repeat(5)}`, '--rows', '2')
    expect((await parts()).map((part) => part.length)).toEqual([4 + 2 * row.length, 4 + 2 * row.length, 4 + row.length])
  })
})

describe('what cannot be split', () => {
  it('refuses delimiters and quotes of several bytes as a mistake of the command line', async () => {
    for (const flags of [
      ['--delimiter', ';;'],
      ['--delimiter', ''],
      ['--quote', 'é'],
    ]) {
      const { code, stderr } = await gearmill(['split', 'in.csv', '--rows', '1', ...flags], { cwd })
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('Expected one ASCII character.') })
    }
  })

  it('names the line of a quote that is never closed, and leaves nothing', async () => {
    const { code, stderr } = await split('a\n1\n2\n"3\n4\n', '--rows', '1')
    expect(code).toBe(1)
    expect(stderr).toContain(`error PLAN_CSV: ${join(cwd, 'in.csv')}:4: a quoted column begins here`)
    expect(await readdir(join(cwd, 'parts'))).toEqual([])
  })

  it('refuses a missing file, a directory and parts that exist', async () => {
    expect(await gearmill(['split', 'no.csv', '--rows', '1'], { cwd })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`PLAN_FILE: ${join(cwd, 'no.csv')}`),
    })
    await mkdir(join(cwd, 'folder'))
    expect((await gearmill(['split', 'folder', '--rows', '1'], { cwd })).stderr).toContain('is a directory')
    await split('a\n1\n', '--rows', '1')
    const again = await split('a\n2\n', '--rows', '1')
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('in-0001.csv exists') })
    expect(await parts()).toEqual(['a\n1\n'])
    expect(await split('a\n2\n', '--rows', '1', '--force')).toMatchObject({ code: 0 })
    expect(await parts()).toEqual(['a\n2\n'])
  })
})
